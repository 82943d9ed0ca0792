"""`patriot account …`: list, link, rotate, fund, leverage, deactivate. Rule: a credential is never an argument, others
could read it. What moves money stands beside it, in `transfers.py`.
"""

import os
import uuid
from typing import Annotated

import httpx
import typer
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, Key, State, state_of
from patriot.cli.figures import money
from patriot.cli.output import done, show
from patriot.cli.session import Client
from patriot.cli.tables import Column, is_wide, plain_text, table

app = typer.Typer(help="Exchange accounts: list, link, fund, transfer, leverage, deactivate.", no_args_is_help=True)

Named = Annotated[str, typer.Argument(help="Account id or its beginning.")]

COLUMNS = (
    Column("account id", lambda account: account["account_id"]),
    plain_text("exchange"),
    plain_text("mode"),
    plain_text("label"),
    Column("state", lambda account: Text("active", "green") if account["active"] else Text("deactivated", "dim")),
)


def list_accounts(context: typer.Context, as_json: Json = False) -> None:
    """Your accounts."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/accounts")
    empty = "none; open a paper account: patriot account link BINANCE"
    show(page, as_json=state.as_json, text=table(COLUMNS, page["accounts"], empty=empty))


def link(
    context: typer.Context,
    exchange: Annotated[str, typer.Argument(help="BINANCE, BYBIT or COINBASE.")],
    label: Annotated[str, typer.Option(help="What you call it.")] = "main",
    live: Annotated[bool, typer.Option("--live", help="Real money. The key is asked for, or PATRIOT_API_KEY.")] = False,
    as_json: Json = False,
) -> None:
    """Open a paper account at the built-in venue, or link one of a real exchange."""
    state = state_of(context, as_json)
    body = {"exchange": exchange.upper(), "label": label, "mode": "live" if live else "paper"}
    body |= _credentials() if live else {}
    account = state.client().call("POST", "/accounts", body, Idempotency_Key=str(uuid.uuid4()))
    text = f"{account['mode']} account {account['label']!r} at {account['exchange']}: {account['account_id']}"
    show(account, as_json=state.as_json, text=done(text))


def rotate(context: typer.Context, account: Named, as_json: Json = False) -> None:
    """Take another key of a live account; it is asked for, or PATRIOT_API_KEY and PATRIOT_API_SECRET."""
    state = state_of(context, as_json)
    client = state.client()
    path = f"/accounts/{lookup.account_id(client, account)}/credentials"
    rotated = client.call("POST", path, _credentials(), Idempotency_Key=str(uuid.uuid4()))
    text = f"account {rotated['label']!r} has another key; its connections open anew"
    show(rotated, as_json=state.as_json, text=done(text))


def fund(
    context: typer.Context,
    asset: Annotated[str, typer.Argument(help="For example USDT.")],
    amount: str,
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Put paper money into a paper account."""
    state = state_of(context, as_json)
    client = state.client()
    account_id = lookup.account_id(client, account)
    body = {"asset": asset.upper(), "amount": amount}
    path = f"/accounts/{account_id}/funds"
    funded = client.call("POST", path, body, Idempotency_Key=key or str(uuid.uuid4()))
    name = funded["account_id"] if is_wide() else lookup.short(funded["account_id"])
    text = f"{money(amount, body['asset'])} {body['asset']} put into {funded['label']!r} ({name})"
    show({**funded, **body}, as_json=state.as_json, text=done(text))


def leverage(
    context: typer.Context,
    instrument: Annotated[str | None, typer.Argument(help="For example BINANCE:BTC/USDT:USDT.")] = None,
    times: Annotated[int | None, typer.Argument(help="5: a fifth of a position's value is bound as margin.")] = None,
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Choose the leverage of a perpetual, while nothing is open in it; or show what was chosen."""
    state = state_of(context, as_json)
    client = state.client()
    account_id = lookup.account_id(client, account)
    if instrument is None or times is None:
        _show_leverages(state, client, account_id, instrument)
        return
    body, path = {"instrument": instrument.upper(), "leverage": times}, f"/accounts/{account_id}/leverage"
    answer = client.ask("POST", path, body, Idempotency_Key=key or str(uuid.uuid4()))
    if answer.is_error:
        about = answer.status_code == httpx.codes.UNPROCESSABLE_ENTITY and lookup.is_about_instrument(answer.json())
        client.refuse(answer, lookup.instrument_hint(client, instrument.upper()) if about else "")
    text = f"{body['instrument']} is traded at {times}x from the next order on"
    show(answer.json(), as_json=state.as_json, text=done(text))


def _show_leverages(state: State, client: Client, account_id: str, instrument: str | None) -> None:
    accounts = client.call("GET", "/accounts")["accounts"]
    chosen: dict[str, int] = next((one["leverages"] for one in accounts if one["account_id"] == account_id), {})
    rows = [
        {"instrument": name, "leverage": times}
        for name, times in sorted(chosen.items())
        if instrument is None or name == instrument.upper()
    ]
    columns = (plain_text("instrument"), Column("leverage", lambda row: f"{row['leverage']}x", right=True))
    empty = "none chosen: the whole value of a position is bound"
    show({"account_id": account_id, "leverages": rows}, as_json=state.as_json, text=table(columns, rows, empty=empty))


def deactivate(
    context: typer.Context,
    account: Named,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: Json = False,
) -> None:
    """Stop trading on an account. Its history stays."""
    state = state_of(context, as_json)
    client = state.client()
    account_id = lookup.account_id(client, account)
    if not yes:
        typer.confirm(f"Stop trading on account {account_id}?", abort=True, err=True)
    ended = client.call("DELETE", f"/accounts/{account_id}", Idempotency_Key=str(uuid.uuid4()))
    show(ended, as_json=state.as_json, text=done(f"account {ended['label']!r} trades no more"))


def _credentials() -> dict[str, str]:
    """From the environment, else asked for."""
    key = os.environ.get("PATRIOT_API_KEY") or typer.prompt("API key", err=True)
    secret = os.environ.get("PATRIOT_API_SECRET") or typer.prompt("API secret", hide_input=True, err=True)
    return {"api_key": key, "api_secret": secret}


app.command("list")(list_accounts)
for command in (link, rotate, fund, leverage, deactivate):
    app.command()(command)
