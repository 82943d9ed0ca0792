"""Record what venues prove. Rule: a fill, its position, its ledger lines and its balances are one commit.

Reports come more than once, late and out of order; the order's own state knows what is new. A trade that a venue takes
back is booked the other way round: events are never deleted.
"""

from uuid import UUID

import structlog

from patriot.domain.errors import InvalidValue
from patriot.domain.external import adopt, order_id_at_venue
from patriot.domain.leverage import leverage_of
from patriot.domain.order import Order
from patriot.domain.order_reports import apply_report, take_back
from patriot.domain.position import apply_bust, apply_fill, position_id
from patriot.runtime.aggregates import ORDER, POSITION
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import not_found
from patriot.store.api import StreamId
from schemas.commands import BustTrade
from schemas.events import (
    Event,
    Filled,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRejected,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRejected,
    OrderPartiallyFilled,
    OrderRejected,
    OrderTradeBusted,
    PositionUpdated,
)
from schemas.queries import OrderReceipt
from schemas.reports import VenueReport
from schemas.topics import ORDER_STATUS
from schemas.upcasters import decode_event

log = structlog.get_logger()

function = Function(
    "order-lifecycle",
    publishes=(
        OrderAccepted,
        OrderPartiallyFilled,
        OrderFilled,
        OrderTradeBusted,
        OrderCancelled,
        OrderRejected,
        OrderExpired,
        OrderModified,
        OrderModifyRejected,
        OrderCancelRejected,
        PositionUpdated,
    ),
)


@function.on(ORDER_STATUS, VenueReport)
async def record(report: VenueReport, context: Context) -> None:
    """Turn one report into events of the order and, for fills, of its position."""
    order_id = report.order_id or order_id_at_venue(
        report.account_id, report.instrument or "", report.client_order_id, report.venue_order_id
    )
    if order_id is None:
        log.warning("report about an order that is not ours", client_order_id=report.client_order_id)
        return
    await context.decide(lambda: _propose(order_id, report, context), turn=(report.account_id, report.instrument))


@function.post("/orders/{order_id}/busts", status_code=201, needs="broker:manage", idempotent=True)
async def bust(order_id: UUID, command: BustTrade, context: Context) -> OrderReceipt:
    """Take a trade out of the books that its venue has taken back; again is harmless. Whose order it was sees it."""
    order = (await context.load(ORDER, order_id)).state
    if order is None:
        raise not_found("order", order_id)
    fill = await _fill_of(order_id, command.trade_id, context)
    turn = (order.account_id, order.instrument)
    return await context.decide(lambda: _taken_back(fill, command.reason, context), turn=turn)


async def _fill_of(order_id: UUID, trade_id: str, context: Context) -> Filled:
    """The event that booked a trade. Raises the 404 problem."""
    stream = StreamId(context.tenant_id, ORDER.kind, order_id)
    for recorded in await context.runtime.store.load(stream, 0):
        event = decode_event(recorded.type, recorded.schema_version, recorded.data)
        if isinstance(event, Filled) and event.trade_id == trade_id:
            return event
    raise not_found("trade", trade_id)


async def _taken_back(fill: Filled, reason: str, context: Context) -> Proposal[OrderReceipt]:
    loaded = await context.load(ORDER, fill.order_id)
    order = loaded.found
    changes = [Change(loaded, take_back(order, fill, reason))]
    if changes[0].events:
        instrument = await context.instrument(order.instrument)
        books = await context.load(POSITION, position_id(order.account_id, order.instrument), in_turn=True)
        leverage = order.leverage or 1
        update = apply_bust(books.found, fill, side=order.side, instrument=instrument, leverage=leverage)
        changes.append(Change(books, [update]))
    return Proposal(changes, _receipt(order, loaded.version + len(changes[0].events), context))


def _receipt(order: Order, version: int, context: Context) -> OrderReceipt:
    names = ("order_id", "client_order_id", "status", "emulated", "list_id")
    told = {name: getattr(order, name) for name in names}
    return OrderReceipt(**told, version=version, correlation_id=context.origin.correlation_id)


async def _propose(order_id: UUID, report: VenueReport, context: Context) -> Proposal[None]:
    loaded = await context.load(ORDER, order_id)  # not in turn: "nothing new" must not be said of what may yet fail
    if report.outcome == "external":
        return await _adopt(loaded, report, context)
    if loaded.state is None:
        raise InvalidValue("order_id", f"{order_id} is none of this tenant's orders")
    events = apply_report(loaded.state, report)
    changes = [Change(loaded, events)]
    fills = [event for event in events if isinstance(event, Filled)]
    if fills:
        changes.append(await _position_change(loaded.state, fills, context))
    return Proposal(changes, None)


async def _adopt(loaded: Loaded[Order], report: VenueReport, context: Context) -> Proposal[None]:
    """Take an order that was placed at the venue without us into the books, once."""
    if loaded.state is not None:
        return Proposal([], None)
    account = await context.account(report.account_id)
    instrument, default = await context.instrument(report.instrument or ""), context.runtime.settings.default_leverage
    leverage = leverage_of(account["leverages"], instrument, default)
    return Proposal([Change(loaded, adopt(report, account["user_id"], account["mode"], leverage))], None)


async def _position_change(order: Order, fills: list[Filled], context: Context) -> Change:
    instrument = await context.instrument(order.instrument)
    loaded = await context.load(POSITION, position_id(order.account_id, order.instrument), in_turn=True)
    position, updates = loaded.state, list[Event]()
    for number, fill in enumerate(fills, loaded.version + 1):
        update = apply_fill(position, fill, side=order.side, instrument=instrument, leverage=order.leverage or 1)
        position = POSITION.fold(position, update, number, context.now())
        updates.append(update)
    return Change(loaded, updates)


app = function.app
