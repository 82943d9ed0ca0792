"""A venue's report becomes the order's events. Rule: what is proved is recorded once; stale or repeated gives no event.

Reports arrive at least once, in any order, from several sources. So each outcome asks first whether the order knows
the fact already. A fact about a live order (a fill, a modification) proves that the order was accepted.
"""

from collections.abc import Callable
from decimal import ROUND_UP, Decimal
from typing import Final

from patriot.domain.errors import InvalidValue
from patriot.domain.money import ZERO, exact, rounded
from patriot.domain.order import Order, fold, share_left
from patriot.domain.order_commands import hold, ids, record_unknown, release
from patriot.domain.order_states import LIVE, UNPROVED
from schemas.events import (
    Filled,
    Hold,
    OrderAccepted,
    OrderCancelled,
    OrderCancelRejected,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRejected,
    OrderPartiallyFilled,
    OrderRejected,
    OrderTradeBusted,
)
from schemas.reports import Execution, Outcome, VenueReport


@exact
def apply_report(order: Order, report: VenueReport) -> list[OrderEvent]:
    """Turn a report into what it proves about `order`; [] where that is known or overtaken.

    Raises:
        InvalidValue: the report is about another order, or lacks what its outcome needs.

    """
    if report.order_id not in {None, order.order_id}:
        raise InvalidValue("order_id", f"the report is about order {report.order_id}, not {order.order_id}")
    if report.account_id != order.account_id:
        raise InvalidValue("account_id", f"the order belongs to account {order.account_id}, not {report.account_id}")
    return _OUTCOMES[report.outcome](order, report)


def _accepted(order: Order, report: VenueReport) -> list[OrderEvent]:
    named = order.status in LIVE and report.venue_order_id and not order.venue_order_id
    if order.status not in UNPROVED and not named:
        return []
    return [OrderAccepted(**ids(order), venue_order_id=report.venue_order_id, venue_time=report.venue_time)]


def _rejected(order: Order, report: VenueReport) -> list[OrderEvent]:
    if order.filled_quantity or order.status not in UNPROVED | LIVE:
        return []  # a fill is the stronger proof
    return [OrderRejected(**ids(order), code=report.code, reason=report.reason, holds=release(order))]


def _unknown(order: Order, report: VenueReport) -> list[OrderEvent]:
    return record_unknown(order, report.reason)


def _cancelled(order: Order, report: VenueReport) -> list[OrderEvent]:
    why = order.reason if order.pending_cancel and order.reason else report.reason  # the venue only knows: it was asked
    return _ended(order, report, OrderCancelled, why)


def _expired(order: Order, report: VenueReport) -> list[OrderEvent]:
    return _ended(order, report, OrderExpired, report.reason)


def _ended(
    order: Order, report: VenueReport, kind: type[OrderCancelled | OrderExpired], reason: str
) -> list[OrderEvent]:
    if order.ended:
        return []
    modified = _proved_modification(order, report)
    order = _after(order, modified)
    return modified if order.ended else [*modified, kind(**ids(order), reason=reason, holds=release(order))]


def _cancel_rejected(order: Order, report: VenueReport) -> list[OrderEvent]:
    if not order.pending_cancel:
        return []
    return [OrderCancelRejected(**ids(order), code=report.code, reason=report.reason)]


def _modify_rejected(order: Order, report: VenueReport) -> list[OrderEvent]:
    pending = order.pending_modify
    if pending is None or report.request_id not in {None, pending.request_id}:
        return []
    over = order.filled_quantity >= order.quantity
    holds = release(order) if over else _down_to(order, pending.reserved_before)
    return [OrderModifyRejected(**ids(order), code=report.code, reason=report.reason, holds=holds)]


def _modified(order: Order, report: VenueReport) -> list[OrderEvent]:
    if order.ended:
        return []
    before = _accepted(order, report)
    order = _after(order, before)
    pending = order.pending_modify
    quantity = report.quantity or (pending.quantity if pending else order.quantity)
    price = report.price or (pending.price if pending else order.price)
    stop_price = None if report.stop_price == order.stop_price else report.stop_price
    asked = pending is not None and (quantity, price, stop_price) == (
        pending.quantity,
        pending.price,
        pending.stop_price,
    )
    known = (quantity, price) == (order.quantity, order.price) and stop_price is None
    if not asked and (known or report.source != "reconciliation"):
        return before  # an answer to an earlier request; only a fresh look at the venue may tell of what we did not ask
    terms = {"quantity": quantity, "price": price, "stop_price": stop_price}
    holds = _modified_holds(order, quantity, price)
    return [*before, OrderModified(**ids(order), **terms, venue_order_id=report.venue_order_id, holds=holds)]


def _modified_holds(order: Order, quantity: Decimal, price: Decimal | None) -> tuple[Hold, ...]:
    """As asked, or, where the venue tells of a change that we did not ask for, less in proportion and never more."""
    if order.filled_quantity >= quantity:
        return release(order)
    pending = order.pending_modify
    if pending and (quantity, price) == (pending.quantity, pending.price):
        return _down_to(order, pending.reserved_after)
    return _down_to(order, share_left(order.reserved.amount, order.open_quantity, max(ZERO, order.quantity - quantity)))


def _down_to(order: Order, target: Decimal) -> tuple[Hold, ...]:
    return hold(order.reserved.asset, target - order.reserved.amount)


def _fill(order: Order, report: VenueReport) -> list[OrderEvent]:
    execution = report.execution
    if execution is None or not execution.trade_id:
        raise InvalidValue("execution", "a fill needs an execution with a trade id")
    if execution.trade_id in order.trade_ids:
        return []
    before = _accepted(order, report)
    order = _after(order, before)
    modified = _proved_modification(order, report)
    return [*before, *modified, _filled(_after(order, modified), execution, report)]


def _proved_modification(order: Order, report: VenueReport) -> list[OrderEvent]:
    """A fill, or an end, that tells the quantity or price that we asked for proves that the modification was done."""
    pending = order.pending_modify
    if pending is None or report.quantity != pending.quantity:
        return []
    at_price = report.price is not None and report.price == pending.price != order.price
    if pending.quantity == order.quantity and not at_price:
        return []
    terms = {"quantity": pending.quantity, "price": pending.price, "stop_price": pending.stop_price}
    return [OrderModified(**ids(order), **terms, holds=_modified_holds(order, pending.quantity, pending.price))]


def _filled(order: Order, execution: Execution, report: VenueReport) -> Filled:
    total = order.filled_quantity + execution.quantity
    told = report.quantity == order.quantity  # then the venue itself says at which quantity the order ends
    complete = total >= (order.quantity if told else order.final_quantity)
    kind = OrderFilled if complete else OrderPartiallyFilled
    return kind(
        **ids(order),
        **{
            name: getattr(execution, name)
            for name in ("trade_id", "price", "quantity", "fee", "fee_asset", "liquidity")
        },
        filled_quantity=total,
        venue_time=execution.time or report.venue_time,
        reason=_remark(order, total),
        holds=release(order) if complete else _fill_share(order, execution.quantity),
    )


@exact
def take_back(order: Order, fill: Filled, reason: str) -> list[OrderTradeBusted]:
    """The venue has taken this trade back; [] where that is known. What is open again is reserved for again."""
    if fill.trade_id in order.busted_ids:
        return []
    names = ("trade_id", "price", "quantity", "fee", "fee_asset")
    again = ZERO if order.ended else rounded(order.reserved.amount * fill.quantity / order.open_quantity, ROUND_UP)
    return [
        OrderTradeBusted(
            **ids(order),
            **{name: getattr(fill, name) for name in names},
            filled_quantity=order.filled_quantity - fill.quantity,
            reason=reason,
            holds=hold(order.reserved.asset, again),
        )
    ]


def _fill_share(order: Order, quantity: Decimal) -> tuple[Hold, ...]:
    return _down_to(order, share_left(order.reserved.amount, order.open_quantity, quantity))


def _remark(order: Order, total: Decimal) -> str:
    if total > order.final_quantity:
        return f"overfilled: the venue proved {total} of {order.quantity}"
    return f"filled after it was {order.status}" if order.ended else ""


def _after(order: Order, events: list[OrderEvent]) -> Order:
    for event in events:
        order = fold(order, event, order.version + 1, order.updated_at)
    return order


_OUTCOMES: Final[dict[Outcome, Callable[[Order, VenueReport], list[OrderEvent]]]] = {
    "accepted": _accepted,
    "rejected": _rejected,
    "unknown": _unknown,
    "fill": _fill,
    "cancelled": _cancelled,
    "expired": _expired,
    "modified": _modified,
    "modify_rejected": _modify_rejected,
    "cancel_rejected": _cancel_rejected,
    "external": lambda _, __: [],  # adopted already
}
