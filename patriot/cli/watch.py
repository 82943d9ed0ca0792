"""Looking: `patriot portfolio`, `prices`, `events`."""

import time
from typing import Annotated, Any

import typer
from rich.console import Group

from patriot.cli.common import client_of, wants_json
from patriot.cli.orders import Json
from patriot.cli.output import rows, show

FOLLOW_SECONDS = 0.5

BALANCES = ("asset", "total", "reserved", "margin", "available")
POSITIONS = ("instrument", "quantity", "average_price", "mark_price", "unrealised_pnl", "realised_pnl", "fees")
PRICES = ("instrument", "bid", "ask", "last", "as_of", "stale")
EVENTS = ("version", "occurred_at", "type", "actor", "correlation_id")


def portfolio(context: typer.Context, as_json: Json = False) -> None:
    """Balances, positions and what they are worth."""
    data = client_of(context).call("GET", "/portfolio")
    show(data, as_json=wants_json(context, as_json), table=portfolio_view(data))  # type: ignore[arg-type]


def portfolio_view(data: dict[str, Any]) -> Group:
    equity = data["equity"] if data["equity"] is not None else "unknown: a price is missing"
    return Group(
        f"equity [bold]{equity}[/] {data['currency'] if data['equity'] else ''}",
        rows("balances", BALANCES, data["balances"]),
        rows("positions", POSITIONS, data["positions"]),
    )


def prices(context: typer.Context, as_json: Json = False) -> None:
    """The newest price of every instrument."""
    data = client_of(context).call("GET", "/prices")
    show(data, as_json=wants_json(context, as_json), table=rows("prices", PRICES, data["prices"]))


def events(
    context: typer.Context,
    aggregate_id: str,
    kind: Annotated[str, typer.Option(help="order, position, account or user")] = "order",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="go on until Ctrl-C")] = False,
    as_json: Json = False,
) -> None:
    """The event stream of one aggregate."""
    client, after = client_of(context), 0
    while True:
        page = client.call("GET", f"/events/{aggregate_id}?kind={kind}&after={after}")["events"]
        if page or not follow:
            show(page, as_json=wants_json(context, as_json), table=rows("", EVENTS, page))
        if not follow:
            return
        after = page[-1]["version"] if page else after
        time.sleep(FOLLOW_SECONDS)


def register(app: typer.Typer) -> None:
    for command in (portfolio, prices, events):
        app.command()(command)
