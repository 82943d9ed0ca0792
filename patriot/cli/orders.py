"""`patriot order …`: create (place), modify (amend), cancel, list, show."""

import time
import uuid
from typing import Annotated, Any

import typer

from patriot.cli.common import client_of, wants_json
from patriot.cli.output import rows, show
from patriot.cli.session import Client

app = typer.Typer(help="Create, modify, cancel, list and show orders.", no_args_is_help=True)

ENDED = frozenset({"filled", "cancelled", "rejected", "expired"})
COLUMNS = ("order_id", "instrument", "side", "order_type", "quantity", "price", "filled_quantity", "average_price")
FULL = (*COLUMNS, "status", "reason")
POLL_SECONDS = 0.05

Json = Annotated[bool, typer.Option("--json", help="print one JSON document")]


def create(
    context: typer.Context,
    instrument: Annotated[str, typer.Argument(help="for example BINANCE:BTC/USDT:USDT; see `patriot prices`")],
    side: Annotated[str, typer.Argument(help="buy or sell")],
    quantity: Annotated[str, typer.Argument(help="in the base asset")],
    price: Annotated[str | None, typer.Argument(help="limit price; none = market order")] = None,
    order_type: Annotated[str | None, typer.Option("--type", help="stop, stop_limit, take_profit, …")] = None,
    stop_price: Annotated[str | None, typer.Option(help="trigger of stop and take-profit orders")] = None,
    time_in_force: Annotated[str, typer.Option(help="GTC, IOC, FOK or GTD")] = "GTC",
    expire_at: Annotated[str | None, typer.Option(help="with GTD: 2026-12-31T00:00:00Z")] = None,
    post_only: Annotated[bool, typer.Option(help="refuse to take liquidity")] = False,
    reduce_only: Annotated[bool, typer.Option(help="never open or flip a position")] = False,
    account: Annotated[str | None, typer.Option(help="account id; default: the session's")] = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for a fill or an end")] = 2.0,
    as_json: Json = False,
) -> None:
    """Place an order and show what became of it."""
    client = client_of(context)
    body = {
        "account_id": account or client.session.account_id,
        "instrument": instrument,
        "side": side,
        "quantity": quantity,
        "price": price,
        "order_type": order_type or ("limit" if price else "market"),
        "stop_price": stop_price,
        "time_in_force": time_in_force,
        "expire_at": expire_at,
        "post_only": post_only,
        "reduce_only": reduce_only,
    }
    receipt = client.call("POST", "/orders", body, Idempotency_Key=str(uuid.uuid4()))
    order = _settled(client, receipt["order_id"], wait)
    show(order, as_json=wants_json(context, as_json), table=rows("", FULL, [order]))


def modify(
    context: typer.Context,
    order_id: str,
    quantity: Annotated[str | None, typer.Option(help="the new total quantity")] = None,
    price: Annotated[str | None, typer.Option(help="the new limit price")] = None,
    wait: Annotated[float, typer.Option(help="seconds to wait for the venue's answer")] = 1.0,
    as_json: Json = False,
) -> None:
    """Change quantity or price of an open order."""
    client = client_of(context)
    client.call("PATCH", f"/orders/{order_id}", {"quantity": quantity, "price": price})
    time.sleep(wait)
    order = client.call("GET", f"/orders/{order_id}")
    show(order, as_json=wants_json(context, as_json), table=rows("", FULL, [order]))


def cancel(
    context: typer.Context,
    order_id: str,
    wait: Annotated[float, typer.Option(help="seconds to wait for the venue's answer")] = 2.0,
    as_json: Json = False,
) -> None:
    """Cancel an order. Repeating it is harmless."""
    client = client_of(context)
    client.call("DELETE", f"/orders/{order_id}")
    order = _settled(client, order_id, wait)
    show(order, as_json=wants_json(context, as_json), table=rows("", FULL, [order]))


def list_orders(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="comma-separated; `open` for all that are not over")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """The newest orders."""
    wanted = "pending,submitted,accepted,partially_filled,unknown" if status == "open" else status
    query = f"?limit={limit}" + (f"&status={wanted}" if wanted else "")
    page = client_of(context).call("GET", "/orders" + query)
    show(page, as_json=wants_json(context, as_json), table=rows("orders", FULL, page["orders"]))


def show_order(context: typer.Context, order_id: str, as_json: Json = False) -> None:
    """One order and its events."""
    client = client_of(context)
    order = client.call("GET", f"/orders/{order_id}")
    events = client.call("GET", f"/events/{order_id}")["events"]
    if wants_json(context, as_json):
        show({**order, "events": events}, as_json=True, table="")
        return
    show(order, as_json=False, table=rows("", FULL, [order]))
    show(events, as_json=False, table=rows("events", ("version", "occurred_at", "type", "actor"), events))


def _settled(client: Client, order_id: str, seconds: float) -> Any:
    """The order once it is over or rests at the venue, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        order = client.call("GET", f"/orders/{order_id}")
        resting = order["status"] in {"accepted", "partially_filled"} and order["order_type"] != "market"
        if order["status"] in ENDED or resting or time.monotonic() > deadline:
            return order
        time.sleep(POLL_SECONDS)


for names, command in (
    (("create", "place"), create),
    (("modify", "amend"), modify),
    (("cancel",), cancel),
    (("list",), list_orders),
    (("show",), show_order),
):
    for number, name in enumerate(names):
        app.command(name, hidden=number > 0)(command)
