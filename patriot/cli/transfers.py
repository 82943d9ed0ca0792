"""`patriot account …`: money out and between accounts. Rule: each command may be repeated with the same key."""

import uuid
from typing import Annotated, Any

import typer
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.accounts import app
from patriot.cli.common import Account, Json, Key, state_of
from patriot.cli.figures import money
from patriot.cli.output import done, show
from patriot.cli.tables import Column, amount, plain_text, table, time_of

STYLES = {"arrived": "green", "rejected": "red", "returned": "red", "requested": "yellow"}
COLUMNS = (
    Column("transfer", lambda row: lookup.short(row["transfer_id"])),
    time_of("created_at"),
    plain_text("kind"),
    amount("amount"),
    plain_text("asset"),
    Column("state", lambda row: Text(_state(row), STYLES.get(row["status"], ""))),
    plain_text("destination", wide=True),
    plain_text("reason", wide=True),
)

Asset = Annotated[str, typer.Argument(help="For example USDT.")]
Transfer = Annotated[str, typer.Argument(help="The whole id of a transfer.")]


def withdraw(
    context: typer.Context,
    asset: Asset,
    quantity: Annotated[str, typer.Argument(metavar="AMOUNT")],
    to: Annotated[str, typer.Option("--to", help="Where it goes: an address, a bank account.")],
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Ask for money out. It is held at once and leaves when the approvals are there."""
    body = {"kind": "withdrawal", "asset": asset.upper(), "amount": quantity, "destination": to}
    _create(context, body, account, key, as_json=as_json)


def transfer(
    context: typer.Context,
    asset: Asset,
    quantity: Annotated[str, typer.Argument(metavar="AMOUNT")],
    to: Annotated[str, typer.Option("--to", help="The other account: its id or its beginning.")],
    account: Account = None,
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Move money to another account of yours."""
    target = lookup.account_id(state_of(context, as_json).client(), to)
    body = {"kind": "internal", "asset": asset.upper(), "amount": quantity, "to_account_id": target}
    _create(context, body, account, key, as_json=as_json)


def approve(context: typer.Context, transfer_id: Transfer, key: Key = None, as_json: Json = False) -> None:
    """Agree to somebody else's withdrawal (permission broker:manage)."""
    _act(context, "POST", f"/transfers/{transfer_id}/approvals", None, key, as_json=as_json)


def reject(
    context: typer.Context,
    transfer_id: Transfer,
    reason: Annotated[str, typer.Option(help="Why.")],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Refuse somebody's withdrawal (permission broker:manage)."""
    _act(context, "POST", f"/transfers/{transfer_id}/rejection", {"reason": reason}, key, as_json=as_json)


def take_back(context: typer.Context, transfer_id: Transfer, key: Key = None, as_json: Json = False) -> None:
    """Take back your own request, as long as it is not approved."""
    _act(context, "DELETE", f"/transfers/{transfer_id}", None, key, as_json=as_json)


def transfers(context: typer.Context, as_json: Json = False) -> None:
    """What came in, went out and moved."""
    _list(context, "/transfers", as_json=as_json)


def pending(context: typer.Context, as_json: Json = False) -> None:
    """What waits for an approval (permission broker:manage)."""
    _list(context, "/transfers/pending", as_json=as_json)


def _create(context: typer.Context, body: Any, account: str | None, key: str | None, *, as_json: bool) -> None:
    account_id = lookup.account_id(state_of(context, as_json).client(), account)
    _act(context, "POST", "/transfers", {**body, "account_id": account_id}, key, as_json=as_json)


def _act(context: typer.Context, method: str, path: str, body: Any, key: str | None, *, as_json: bool) -> None:
    state = state_of(context, as_json)
    told = state.client().call(method, path, body, Idempotency_Key=key or str(uuid.uuid4()))
    sum_ = f"{money(told['amount'], told['asset'])} {told['asset']}"
    text = f"{told['kind']} of {sum_}: {_state(told)} ({told['transfer_id']})"
    show(told, as_json=state.as_json, text=done(text))


def _list(context: typer.Context, path: str, *, as_json: bool) -> None:
    state = state_of(context, as_json)
    page = state.client().call("GET", path)
    show(page, as_json=state.as_json, text=table(COLUMNS, page["transfers"]))


def _state(row: Any) -> str:
    if row["status"] != "requested":
        return str(row["status"])
    return f"{row['approvals']} of {row['approvals_needed']} approvals"


app.command("take-back")(take_back)
for command in (withdraw, transfer, approve, reject, transfers, pending):
    app.command()(command)


def register(main: typer.Typer) -> None:
    main.add_typer(app, name="account")
