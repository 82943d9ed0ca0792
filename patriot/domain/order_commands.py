"""What we decide on an order before the venue speaks. Rule: each decision is made once; repeated, it gives no event."""

from base64 import b32decode
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.money import ZERO, exact
from patriot.domain.order import Order, Reservation
from patriot.domain.order_states import LIVE, UNSENT
from schemas.commands import PRICED, TRIGGERED, CreateOrder, ModifyOrder
from schemas.events import (
    Hold,
    OrderCancelled,
    OrderCancelRequested,
    OrderCreated,
    OrderEvent,
    OrderExpired,
    OrderModified,
    OrderModifyRequested,
    OrderRouted,
    OrderStopMoved,
    OrderSubmitStarted,
    OrderSubmitUnknown,
    OrderTriggered,
)
from schemas.types import Emulation, ListLink

_DIGITS = "abcdefghijklmnopqrstuvwxyz234567"
_PAIRS = tuple(first + second for first in _DIGITS for second in _DIGITS)
_PAIR_SHIFTS = range(120, -1, -10)


def client_order_id(order_id: UUID, attempt: int = 1) -> str:
    """Our name for the order at the venue: 28 characters of a-z, 2-7 and "-", unique per order and attempt.

    The id in base 32, two digits at a time: `base64` takes three times as long, for every order.
    """
    bits = order_id.int << 2  # 26 digits have room for 130
    return "".join([_PAIRS[bits >> shift & 0x3FF] for shift in _PAIR_SHIFTS]) + f"-{attempt}"


def order_id_of(name: str) -> UUID | None:
    """The order that a client order id names; None where it is not one of ours."""
    code, _, attempt = name.partition("-")
    if len(code) != 26 or not attempt.isdecimal():
        return None
    try:
        order_id = UUID(bytes=b32decode(code.upper() + "======"))
    except ValueError:
        return None
    return order_id if client_order_id(order_id, int(attempt)) == name else None


def ids(order: Order) -> dict[str, Any]:
    """The fields that name the order in each of its events."""
    return {"order_id": order.order_id, "account_id": order.account_id, "user_id": order.user_id}


def hold(asset: str, amount: Decimal) -> tuple[Hold, ...]:
    """Reserve `amount` more (less, where negative) of an asset."""
    return (Hold(asset=asset, reserved=amount),) if amount else ()


def release(order: Order) -> tuple[Hold, ...]:
    """Give back all that the order still reserves."""
    return hold(order.reserved.asset, order.reserved.amount.copy_negate())


def create(
    command: CreateOrder,
    *,
    order_id: UUID,
    user_id: UUID,
    reservation: Reservation,
    limits_version: int = 0,
    emulated: tuple[Emulation, ...] = (),
    link: ListLink | None = None,
    leverage: int | None = None,
) -> list[OrderCreated]:
    """The first event of an order that the risk rules have approved."""
    return [
        OrderCreated(
            order_id=order_id,
            user_id=user_id,
            client_order_id=client_order_id(order_id),
            limits_version=limits_version,
            emulated=emulated,
            link=link,
            leverage=leverage,
            holds=hold(reservation.asset, reservation.amount),
            **dict(command),
        )
    ]


def as_command(order: Order, change: ModifyOrder | None = None) -> CreateOrder:
    """The command that would make this order as it stands, or as it will be after a modification."""
    given = {name: getattr(order, name) for name in CreateOrder.model_fields}
    return CreateOrder.model_construct(**given | (change.model_dump(exclude_none=True) if change else {}))


@exact
def request_modify(
    order: Order, command: ModifyOrder, *, request_id: UUID, reservation: Reservation
) -> list[OrderEvent]:
    """Ask for another quantity, price or stop. `reservation` is what the open remainder will need.

    An order that was never sent is modified at once. A repeated request or one that changes nothing gives [].

    Raises:
        InvalidTransition: the order is over, not yet proved at the venue, or another modification is under way.
        InvalidValue: the quantity is not above what is filled, or the order takes no such price.

    """
    if order.pending_modify and order.pending_modify.request_id == request_id:
        return []
    quantity, price = command.quantity or order.quantity, command.price or order.price
    _modifiable(order, quantity, command)
    stop_price = None if command.stop_price == order.stop_price else command.stop_price
    if (quantity, price) == (order.quantity, order.price) and stop_price is None:
        return []
    terms = {"quantity": quantity, "price": price, "stop_price": stop_price}
    missing = max(ZERO, reservation.amount - order.reserved.amount)
    request = OrderModifyRequested(
        **ids(order),
        **terms,
        request_id=request_id,
        reserved_after=reservation.amount,
        holds=hold(reservation.asset, missing),
    )
    if order.status not in UNSENT:
        return [request]
    surplus = order.reserved.amount + missing - reservation.amount
    modified = OrderModified(**ids(order), **terms, holds=hold(reservation.asset, -surplus))
    return [request, modified]


def request_cancel(order: Order, reason: str = "") -> list[OrderEvent]:
    """Ask for the end of the order; [] when it is over or the cancel is under way. An unsent order ends at once."""
    if order.ended or order.pending_cancel:
        return []
    request = OrderCancelRequested(**ids(order), reason=reason)
    if order.status not in UNSENT:
        return [request]
    return [
        request,
        OrderCancelled(**ids(order), reason=reason or "cancelled before it was sent", holds=release(order)),
    ]


def route(order: Order, route_name: str) -> list[OrderEvent]:
    """Name the venue adapter; [] when it is named already, held back by the platform, or past routing."""
    if order.route or order.waits_for or order.status not in UNSENT:
        return []
    return [OrderRouted(**ids(order), route=route_name)]


def start_submit(order: Order) -> list[OrderEvent]:
    """The right to send, given once. [] means: do not send; ask the venue if the outcome is not known."""
    if order.attempt or order.waits_for or order.status not in UNSENT:
        return []
    return [OrderSubmitStarted(**ids(order), attempt=1, client_order_id=order.client_order_id)]


def record_unknown(order: Order, reason: str) -> list[OrderEvent]:
    """The submit ended without proof; [] when something has been proved meanwhile, or it is known to be unknown."""
    return [OrderSubmitUnknown(**ids(order), reason=reason)] if order.status == "submitted" else []


def move_stop(order: Order, stop_price: Decimal, reference: Decimal) -> list[OrderEvent]:
    """Tell where a stop that the platform holds stands now; [] unless that is tighter than before: it never loosens."""
    known = order.stop_price
    if order.ended or order.waits_for != "trigger" or (known is not None and not _tighter(order, stop_price, known)):
        return []
    return [OrderStopMoved(**ids(order), stop_price=stop_price, reference=reference)]


def _tighter(order: Order, stop_price: Decimal, known: Decimal) -> bool:
    return stop_price > known if order.side == "sell" else stop_price < known


def trigger(order: Order, price: Decimal, stop_price: Decimal) -> list[OrderEvent]:
    """The market has reached the stop that the platform holds; [] when it has fired already, or the order is over, or
    the stop has been moved away meanwhile.
    """
    if order.ended or order.waits_for != "trigger" or not _reached(order, price):
        return []
    return [OrderTriggered(**ids(order), price=price, stop_price=stop_price)]


def _reached(order: Order, price: Decimal) -> bool:
    """What trails never loosens, so its stop is still reached."""
    if order.trailing is not None or order.stop_price is None:
        return True
    falls = (order.side == "sell") != order.order_type.startswith("take_profit")
    return price <= order.stop_price if falls else price >= order.stop_price


def expire(order: Order) -> list[OrderEvent]:
    """Its time has come, and the venue does not know of it: what was never sent is over, the rest is cancelled."""
    if order.ended:
        return []
    reason = "good till its date"
    if order.status in UNSENT:
        return [OrderExpired(**ids(order), reason=reason, holds=release(order))]
    return request_cancel(order, reason)


def _modifiable(order: Order, quantity: Decimal, command: ModifyOrder) -> None:
    if order.status not in UNSENT | LIVE:
        raise InvalidTransition(f"the order is {order.status}: only an open order that the venue knows can be modified")
    if order.pending_modify or order.pending_cancel:
        raise InvalidTransition("a modification or a cancel of this order is under way")
    if quantity <= order.filled_quantity:
        raise InvalidValue("quantity", f"must be above the filled quantity {order.filled_quantity}")
    if command.price is not None and order.order_type not in PRICED:
        raise InvalidValue("price", f"a {order.order_type} order takes no price")
    if command.stop_price is not None and order.order_type not in TRIGGERED:
        raise InvalidValue("stop_price", f"the stop of a {order.order_type} order cannot be set")
    if command.stop_price is not None and "trigger" in order.emulated and order.waits_for not in {"parent", "trigger"}:
        raise InvalidTransition("its stop was reached already")
