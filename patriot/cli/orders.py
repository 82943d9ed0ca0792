"""`patriot order …`: create (place), modify (amend), cancel, bust, list, show. Lists: `order_lists.py`."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, Key, State, state_of
from patriot.cli.figures import average, moment, money, number
from patriot.cli.output import REFUSED, show
from patriot.cli.session import Client
from patriot.cli.story import story, terms
from patriot.cli.tables import STYLES, Column, figure, is_wide, plain_text, table, time_of

app = typer.Typer(help="Create, modify, cancel, list and show orders.", no_args_is_help=True)

ENDED = frozenset({"filled", "cancelled", "rejected", "expired"})
OPEN = "pending,submitted,accepted,partially_filled,unknown"
ANSWERS_TO_MODIFY = frozenset({"order.modified", "order.modify_rejected"})
ANSWERS_TO_CANCEL = frozenset({"order.cancel_rejected"})
REFUSALS = frozenset({"order.rejected", "order.modify_rejected", "order.cancel_rejected"})
FILLS = frozenset({"order.filled", "order.partially_filled"})
POLL_SECONDS = 0.05
WAITS = {"parent": "the order before it", "trigger": "its stop", "rivals": "the end of the other orders of its list"}

OrderId = Annotated[str, typer.Argument(help="Order id, its first characters, or `last`.")]
Trail = Annotated[
    str | None,
    typer.Option(
        help="Trailing stop: 1.5% | 500 (behind) | step:500:50 | breakeven:DISTANCE:ENTRY | 80/80/50:ENTRY",
    ),
]
ActivationPrice = Annotated[str | None, typer.Option(help="The price from which on a stop trails.")]


def create(
    context: typer.Context,
    instrument: Annotated[str, typer.Argument(help="For example BINANCE:BTC/USDT:USDT; see `patriot prices`.")],
    side: Annotated[str, typer.Argument(help="buy or sell")],
    quantity: Annotated[str, typer.Argument(help="In the base asset.")],
    price: Annotated[str | None, typer.Argument(help="Limit price; none = market order.")] = None,
    order_type: Annotated[str | None, typer.Option("--type", help="stop, stop_limit, take_profit, …")] = None,
    stop_price: Annotated[str | None, typer.Option(help="Trigger of stop and take-profit orders.")] = None,
    time_in_force: Annotated[str, typer.Option(help="GTC, IOC, FOK or GTD.")] = "GTC",
    expire_at: Annotated[str | None, typer.Option(help="With GTD: 2026-12-31T00:00:00Z.")] = None,
    post_only: Annotated[bool, typer.Option("--post-only", help="Refuse to take liquidity.")] = False,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never open or flip a position.")] = False,
    display: Annotated[str | None, typer.Option(help="Iceberg: how much of it is shown at a time.")] = None,
    trail: Trail = None,
    activation_price: ActivationPrice = None,
    account: Account = None,
    key: Key = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for a fill or an end.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Place an order and show what became of it."""
    state = state_of(context, as_json)
    client = state.client()
    stop = "trailing_stop" if trail else "stop_limit" if price else "stop"
    body = {
        "account_id": lookup.account_id(client, account),
        "instrument": instrument.upper(),
        "side": side.lower(),
        "quantity": quantity,
        "price": price,
        "order_type": order_type or (stop if stop_price or trail else "limit" if price else "market"),
        "stop_price": stop_price,
        "time_in_force": time_in_force.upper(),
        "expire_at": expire_at,
        "post_only": post_only,
        "reduce_only": reduce_only,
        "display_quantity": display,
        "trailing": trailing_of(trail, activation_price) if trail else None,
    }
    answer = client.ask("POST", "/orders", body, Idempotency_Key=key or str(uuid.uuid4()))
    if answer.is_error:
        about = answer.status_code in {404, 422} and lookup.is_about_instrument(answer.json())
        client.refuse(answer, lookup.instrument_hint(client, instrument.upper()) if about else "")
    order_id = answer.json()["order_id"]
    order = _settled(client, order_id, wait)
    _report(state, order, _events(client, order_id))


def trailing_of(text: str, activation_price: str | None = None) -> dict[str, str]:
    """The rule that `--trail` names."""
    name, *numbers = text.split(":")
    if name.endswith("%"):
        rule = {"rule": "percent", "distance": name.removesuffix("%")}
    elif name == "step":
        rule = {"rule": "step"} | dict(zip(("distance", "step"), numbers, strict=False))
    elif name == "breakeven":
        rule = {"rule": "break_even"} | dict(zip(("distance", "entry_price"), numbers, strict=False))
    elif name == "80/80/50":
        rule = {"rule": name} | dict(zip(("entry_price",), numbers, strict=False))
    else:
        rule = {"rule": "offset", "distance": name}
    return rule | ({"activation_price": activation_price} if activation_price else {})


def modify(
    context: typer.Context,
    order_id: OrderId,
    quantity: Annotated[str | None, typer.Option(help="The new total quantity.")] = None,
    price: Annotated[str | None, typer.Option(help="The new limit price.")] = None,
    stop_price: Annotated[str | None, typer.Option(help="The new trigger of a stop or take-profit.")] = None,
    key: Key = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the venue's answer.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Change quantity, price or stop price of an open order."""
    state = state_of(context, as_json)
    client = state.client()
    order_id = lookup.order_id(client, order_id)
    body = {"quantity": quantity, "price": price, "stop_price": stop_price}
    receipt = client.call("PATCH", f"/orders/{order_id}", body, Idempotency_Key=key or str(uuid.uuid4()))
    at_once = receipt["status"] == "pending"  # the platform held it: no venue is asked
    _answered(state, client, receipt, ANSWERS_TO_MODIFY, 0 if at_once else wait)


def cancel(
    context: typer.Context,
    order_id: OrderId,
    key: Key = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for the venue's answer.")] = 2.0,
    as_json: Json = False,
) -> None:
    """Cancel an order. Repeating it is harmless."""
    state = state_of(context, as_json)
    client = state.client()
    order_id = lookup.order_id(client, order_id)
    receipt = client.call("DELETE", f"/orders/{order_id}", Idempotency_Key=key or str(uuid.uuid4()))
    _answered(state, client, receipt, ANSWERS_TO_CANCEL, wait)


def bust(
    context: typer.Context,
    order_id: OrderId,
    trade_id: Annotated[str, typer.Argument(help="The venue's id of the trade; see `patriot trades`.")],
    reason: Annotated[str, typer.Option(help="What the venue has told.")],
    key: Key = None,
    as_json: Json = False,
) -> None:
    """Take a trade out of the books that its venue has taken back. Needs broker:manage."""
    state = state_of(context, as_json)
    client = state.client()
    body = {"trade_id": trade_id, "reason": reason}
    order_id = lookup.order_id(client, order_id)
    receipt = client.call("POST", f"/orders/{order_id}/busts", body, Idempotency_Key=key or str(uuid.uuid4()))
    text = Text(f"trade {trade_id} of order {order_id} is booked the other way round")
    show(receipt, as_json=state.as_json, text=text)


def list_orders(
    context: typer.Context,
    status: Annotated[str | None, typer.Option(help="Comma-separated; `open` = all that are not over.")] = None,
    account: Account = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 20,
    as_json: Json = False,
) -> None:
    """The newest orders."""
    state = state_of(context, as_json)
    client = state.client()
    query = f"?limit={limit}"
    query += f"&status={OPEN if status == 'open' else status}" if status else ""
    query += f"&account_id={lookup.account_id(client, account)}" if account else ""
    page = client.call("GET", "/orders" + query)
    show(page, as_json=state.as_json, text=table(columns(), page["orders"], empty="no orders"))


def show_order(context: typer.Context, order_id: OrderId, as_json: Json = False) -> None:
    """One order and its life."""
    state = state_of(context, as_json)
    client = state.client()
    order_id = lookup.order_id(client, order_id)
    order = client.call("GET", f"/orders/{order_id}")
    events = _events(client, order_id)
    show({**order, "events": events}, as_json=state.as_json, text=Group(_card(order), event_table(events)))


def columns() -> Sequence[Column]:
    """At 80 columns the id is cut to what is needed to name the order."""
    return (
        Column("order id", lambda order: order["order_id"] if is_wide() else lookup.short(order["order_id"])),
        time_of("created_at"),
        plain_text("instrument"),
        plain_text("side"),
        Column("type", lambda order: order["order_type"].replace("_", " "), wide=True),
        Column("filled", _progress, right=True),
        Column("price", _price, right=True),
        Column("average", lambda order: average(order["average_price"]), right=True, wide=True),
        Column("status", lambda order: Text(_status(order), STYLES.get(order["status"], ""))),
        Column("reason", lambda order: order["reason"], wide=True),
    )


def event_table(events: Sequence[Mapping[str, Any]], *, numbered: bool = True) -> Any:
    """What happened to one aggregate, a line an event."""
    return table(
        (
            *((figure("version", "#"),) if numbered else ()),
            Column("time UTC", lambda event: event["occurred_at"][11:23] if not is_wide() else event["occurred_at"]),
            Column("what happened", lambda event: story(event["type"], event["data"])),
            plain_text("actor", wide=True),
            plain_text("correlation_id", "correlation id", wide=True),
        ),
        events,
        empty="no events",
    )


def _progress(order: Mapping[str, Any]) -> str:
    filled, quantity = number(order["filled_quantity"]), number(order["quantity"])
    return quantity if filled == quantity else f"{filled}/{quantity}"


def _price(order: Mapping[str, Any]) -> str:
    """At 80 columns one price: what it was filled at, else what it asks for."""
    if not is_wide() and order["average_price"]:
        return average(order["average_price"])
    return number(order["price"] or order["stop_price"]) or "market"


def _status(order: Mapping[str, Any]) -> str:
    return "partial" if order["status"] == "partially_filled" else str(order["status"])


def _card(order: Mapping[str, Any]) -> Text:
    """An order in a few lines; ids whole, to be copied."""
    status = order["status"]
    card = Text.assemble((status.replace("_", " "), STYLES.get(status, "bold")), "  ", terms(order))
    if order.get("emulated"):
        card.append(f"\n  platform  keeps its {' and '.join(order['emulated'])}; the venue has none")
    if order.get("waits_for"):
        card.append(f"\n  waits for {WAITS[order['waits_for']]}")
    if order.get("list_id"):
        card.append(f"\n  list      {order['list_kind']} {order['list_id']}")
    if order["average_price"]:
        fees = f", fees {money(order['fees'])}" if order["fees"] != "0" else ""
        card.append(f"\n  filled    {number(order['filled_quantity'])} at {average(order['average_price'])}{fees}")
    if order["reason"]:
        card.append(f"\n  reason    {order['reason']}")
    card.append(f"\n  order id  {order['order_id']}\n  created   {moment(order['created_at'])} UTC")
    return card


def _report(state: State, order: Mapping[str, Any], events: Sequence[Mapping[str, Any]]) -> None:
    """Print what became of the order; a refusal by the venue is a failed command."""
    show(order, as_json=state.as_json, text=Group(_card(order), *(_news(events))))
    if events and events[-1]["type"] in REFUSALS:
        raise typer.Exit(REFUSED)


def _news(events: Sequence[Mapping[str, Any]]) -> list[Text]:
    """The newest event, unless the card says the same."""
    told = [event for event in events[-1:] if event["type"] not in FILLS]
    return [Text(f"  {moment(event['occurred_at'])}  {story(event['type'], event['data'])}") for event in told]


def _events(client: Client, order_id: str, after: int = 0) -> Sequence[Mapping[str, Any]]:
    events: Sequence[Mapping[str, Any]] = client.call("GET", f"/events/{order_id}?after={after}")["events"]
    return events


def _answered(
    state: State, client: Client, receipt: Mapping[str, Any], answers: frozenset[str], seconds: float
) -> None:
    """Wait for the venue's answer to the request of `receipt`, or for the order's end, and report."""
    order_id, deadline = receipt["order_id"], time.monotonic() + seconds
    while True:
        events = _events(client, order_id, receipt["version"])
        order = client.call("GET", f"/orders/{order_id}")
        answer = [event for event in events if event["type"] in answers]
        if answer or order["status"] in ENDED or time.monotonic() > deadline:
            _report(state, order, answer or events)
            return
        time.sleep(POLL_SECONDS)


def _settled(client: Client, order_id: str, seconds: float) -> Any:
    """The order once it is over or rests at the venue, or as it is after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        order = client.call("GET", f"/orders/{order_id}")
        resting = order["status"] in {"accepted", "partially_filled"} and order["order_type"] != "market"
        if order["status"] in ENDED or resting or order.get("waits_for") or time.monotonic() > deadline:
            return order
        time.sleep(POLL_SECONDS)


for names, command in (
    (("create", "place"), create),
    (("modify", "amend"), modify),
    (("cancel",), cancel),
    (("bust",), bust),
    (("list",), list_orders),
    (("show",), show_order),
):
    for number_of_name, name in enumerate(names):
        app.command(name, hidden=number_of_name > 0)(command)
