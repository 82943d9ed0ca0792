"""Looking: `patriot portfolio`, `prices`, `trades`, `events`."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, NoReturn
from uuid import UUID

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, state_of
from patriot.cli.figures import average, moment, money, number
from patriot.cli.orders import event_table
from patriot.cli.output import NOT_FOUND, USAGE, console, fail, show, show_line
from patriot.cli.session import Client
from patriot.cli.story import story
from patriot.cli.tables import Column, amount, figure, is_wide, plain_text, profit, table, time_of

FOLLOW_SECONDS = 0.5
KINDS = ("order", "position", "account", "user", "algorithm", "strategy", "transfer", "risk")

Follow = Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")]

ACCOUNT = Column("account", lambda entry: lookup.short(entry["account_id"]))
BALANCES = (
    plain_text("asset"),
    amount("total"),
    amount("reserved"),
    amount("margin"),
    amount("available"),
)
POSITIONS = (
    plain_text("instrument"),
    figure("quantity"),
    Column("average", lambda position: average(position["average_price"]), right=True),
    figure("mark_price", "mark"),
    profit("unrealised_pnl", "unrealised"),
    profit("realised_pnl", "realised"),
    amount("fees", wide=True),
    Column("leverage", lambda position: f"{position.get('leverage', 1)}x", right=True, wide=True),
)
PRICES = (
    plain_text("instrument"),
    figure("bid"),
    figure("ask"),
    figure("last"),
    time_of("as_of"),
    Column("", lambda price: Text("stale", "red") if price["stale"] else ""),
)
TRADES = (
    Column("order id", lambda trade: trade["order_id"] if is_wide() else lookup.short(trade["order_id"])),
    time_of("time"),
    plain_text("instrument"),
    plain_text("side"),
    figure("quantity"),
    figure("price"),
    Column("fee", lambda trade: f"{money(trade['fee'], trade['fee_asset'])} {trade['fee_asset']}", right=True),
    plain_text("liquidity", wide=True),
    plain_text("trade_id", "trade id", wide=True),
)


def portfolio(context: typer.Context, as_json: Json = False) -> None:
    """Balances, positions and what they are worth."""
    state = state_of(context, as_json)
    data = state.client().call("GET", "/portfolio")
    show(data, as_json=state.as_json, text=portfolio_view(data))


def portfolio_view(data: Mapping[str, Any]) -> Group:
    equity = Text.assemble("equity ", (f"{money(data['equity'])} {data['currency']}", "bold"))
    if data["equity"] is None:
        equity = Text("equity unknown: a price is missing", "yellow")
    several = (ACCOUNT,) if len(data["accounts"]) > 1 else ()
    held = [position for position in data["positions"] if position["quantity"] != "0" or is_wide()]
    return Group(
        equity,
        table((*several, *BALANCES), data["balances"], "\nbalances", "none; `patriot account fund USDT 100000`"),
        table((*several, *POSITIONS), held, "\npositions"),
    )


def prices(
    context: typer.Context,
    instrument: Annotated[str | None, typer.Argument(help="None = all.")] = None,
    follow: Follow = False,
    as_json: Json = False,
) -> None:
    """The newest price of every instrument."""
    state = state_of(context, as_json)
    client = state.client()
    path = "/prices" + (f"?instrument={instrument.upper()}" if instrument else "")
    page = _prices(client, path, instrument)
    if not follow:
        show(page, as_json=state.as_json, text=_price_table(page))
        return
    with contextlib.suppress(KeyboardInterrupt):
        if state.as_json or not console.is_terminal:
            _price_lines(client, path, as_json=state.as_json)
        _live_prices(client, path, page)


def trades(
    context: typer.Context,
    account: Account = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """The newest executions."""
    state = state_of(context, as_json)
    client = state.client()
    query = f"?limit={limit}" + (f"&account_id={lookup.account_id(client, account)}" if account else "")
    page = client.call("GET", "/trades" + query)
    show(page, as_json=state.as_json, text=table(TRADES, page["trades"], empty="no trades"))


def events(
    context: typer.Context,
    aggregate_id: Annotated[
        str,
        typer.Argument(
            help="An order (id, its first characters, `last`), `account`, `user`, or the instrument of a position."
        ),
    ] = "account",
    kind: Annotated[str | None, typer.Option(help=f"{', '.join(KINDS)}; default: what the id says")] = None,
    follow: Follow = False,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """What happened to one order, position, account…; --kind risk: limits, halts, alerts, refused orders."""
    state = state_of(context, as_json)
    client = state.client()
    if kind not in {None, *KINDS}:
        fail(f"--kind is one of {', '.join(KINDS)}", USAGE, as_json=state.as_json)
    kind, identifier = _stream(client, aggregate_id, kind, account)
    if not follow:
        page = _events(client, identifier, kind, 0)
        show(page, as_json=state.as_json, text=event_table(page, numbered=kind != "risk"))
        return
    with contextlib.suppress(KeyboardInterrupt):
        _follow_events(client, identifier, kind)


def _price_table(page: Mapping[str, Any]) -> RenderableType:
    return table(PRICES, page["prices"], empty="no price yet")


def _prices(client: Client, path: str, instrument: str | None = None) -> Mapping[str, Any]:
    answer = client.ask("GET", path)
    if answer.is_error:
        client.refuse(answer, lookup.instrument_hint(client, instrument.upper()) if instrument else "")
    page: Mapping[str, Any] = answer.json()
    if instrument and not page["prices"]:
        hint = lookup.instrument_hint(client, instrument.upper())
        fail(f"there is no price of {instrument.upper()}; {hint}", NOT_FOUND, as_json=client.as_json)
    return page


def _live_prices(client: Client, path: str, page: Mapping[str, Any]) -> NoReturn:
    with Live(_price_table(page), console=console, auto_refresh=False) as live:
        while True:
            time.sleep(FOLLOW_SECONDS)
            live.update(_price_table(_prices(client, path)), refresh=True)


def _price_lines(client: Client, path: str, *, as_json: bool) -> NoReturn:
    """One line per price that has changed."""
    seen: dict[str, tuple[str, str, str]] = {}
    while True:
        for price in _prices(client, path)["prices"]:
            figures = (price["bid"], price["ask"], price["last"])
            if seen.get(price["instrument"]) == figures:
                continue
            seen[price["instrument"]] = figures
            if as_json:
                show_line(price)
            else:
                shown = " ".join(f"{number(one):>12}" for one in figures)
                console.print(f"{moment(price['as_of'])} {price['instrument']:<24} {shown}", soft_wrap=True)
        time.sleep(FOLLOW_SECONDS)


def _stream(client: Client, text: str, kind: str | None, account: str | None) -> tuple[str, str]:
    """Which stream is meant."""
    if "/" in text:
        from patriot.domain.position import position_id

        return "position", str(position_id(UUID(lookup.account_id(client, account)), text.upper()))
    if text == "account":
        return kind or "account", lookup.account_id(client, account)
    if text == "user":
        return kind or "user", str(client.call("GET", "/users/me")["user_id"])
    if kind is None or kind == "order":
        return "order", lookup.order_id(client, text)
    names = {"account": lookup.account_id, "risk": lookup.account_id, "algorithm": lookup.algorithm_id}
    return kind, names[kind](client, text) if kind in names else text


def _events(client: Client, identifier: str, kind: str, after: int) -> Sequence[Mapping[str, Any]]:
    page: Sequence[Mapping[str, Any]] = client.call("GET", f"/events/{identifier}?kind={kind}&after={after}")["events"]
    return page


def _follow_events(client: Client, identifier: str, kind: str) -> NoReturn:
    after = 0
    while True:
        for event in _events(client, identifier, kind, after):
            after = event["version"]
            if client.as_json:
                show_line(event)
            else:
                line = Text.assemble((f"{event['occurred_at'][11:23]} ", "dim"), story(event["type"], event["data"]))
                console.print(line, soft_wrap=True)
        time.sleep(FOLLOW_SECONDS)


def register(app: typer.Typer) -> None:
    for command in (portfolio, prices, trades, events):
        app.command()(command)
