"""One order: its state, folded from its events. Rule: money truth wins.

`order_states.py` is the state machine. What is asked and not yet answered stands beside the status: `pending_cancel`,
`pending_modify` (only one modification is under way at a time), and `waits_for` while the platform holds it back:

    parent ──armed──► trigger ──triggered──► rivals ──released──► "" (may be sent)

where an order without parent begins further on, one whose stop the venue watches has no trigger, and only what
cancels others of its list waits for rivals.

* An order is filled when the filled quantity reaches its quantity. That may also be seen when a modification is agreed
  or refused, because a fill up to the old quantity does not end an order whose quantity may just have been raised.

Reservation: `order.created` reserves (exits of a list: nothing, they close what the entry opened), each fill releases
its share of what is left, the event that ends the order releases the rest. So the holds of a stream never sum below
zero, and to zero once the order is over.

`order_commands.py` decides what we ask for, `order_lists.py` what lists do, `order_reports.py` what venues have proved.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from decimal import ROUND_UP, Decimal
from types import MappingProxyType
from typing import Any, Final, Literal
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace

from patriot.domain.errors import InvalidTransition
from patriot.domain.money import ZERO, exact, rounded
from patriot.domain.order_states import ENDED, LIVE, TRANSITIONS, UNPROVED
from schemas.events import (
    Filled,
    OrderAccepted,
    OrderArmed,
    OrderCancelled,
    OrderCancelRejected,
    OrderCancelRequested,
    OrderCreated,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderModified,
    OrderModifyRejected,
    OrderModifyRequested,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReleased,
    OrderRouted,
    OrderStopMoved,
    OrderSubmitStarted,
    OrderSubmitUnknown,
    OrderTradeBusted,
    OrderTriggered,
)
from schemas.types import Emulation, ListKind, ListLink, OrderStatus, OrderType, Side, TimeInForce, Trailing

Waiting = Literal["", "parent", "trigger", "rivals"]


class Reservation(Struct, frozen=True):
    """What an order holds of the buying power: an amount of one asset."""

    asset: str
    amount: Decimal


class PendingModify(Struct, frozen=True):
    """A modification that the venue has not answered: what the open remainder reserves without it, and with it.

    `stop_price` is None where the stop stays where it is.
    """

    request_id: UUID
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    reserved_before: Decimal
    reserved_after: Decimal


class Order(Struct, frozen=True):
    """The state of one order after `version` events. `filled_value` is the sum of price x quantity of its fills.

    `asked_quantity` is that of its creation, `stop_price` where the stop stands now, `reference` the best price that a
    trailing stop has followed. `unproved_at` is when its sending began, or ended without an answer. `busted_ids` are
    those of the `trade_ids` that the venue has taken back.
    """

    order_id: UUID
    account_id: UUID
    user_id: UUID
    client_order_id: str
    instrument: str
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Decimal
    price: Decimal | None
    stop_price: Decimal | None
    expire_at: datetime | None
    post_only: bool
    reduce_only: bool
    strategy_id: str | None
    limits_version: int
    trailing: Trailing | None
    display_quantity: Decimal | None
    emulated: tuple[Emulation, ...]
    link: ListLink | None
    leverage: int | None
    asked_quantity: Decimal
    reserved: Reservation
    version: int
    created_at: datetime
    updated_at: datetime
    unproved_at: datetime | None = None
    status: OrderStatus = "pending"
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    fees: Mapping[str, Decimal] = MappingProxyType({})
    trade_ids: frozenset[str] = frozenset()
    busted_ids: frozenset[str] = frozenset()
    venue_order_id: str = ""
    route: str = ""
    attempt: int = 0
    pending_cancel: bool = False
    pending_modify: PendingModify | None = None
    reason: str = ""
    waits_for: Waiting = ""
    reference: Decimal | None = None

    @property
    @exact
    def average_price(self) -> Decimal | None:
        """Mean price of the fills weighted by quantity, to 18 decimals."""
        return rounded(self.filled_value / self.filled_quantity) if self.filled_quantity else None

    @property
    def final_quantity(self) -> Decimal:
        """At which filled quantity the order is surely over: with a modification under way, the larger of both."""
        return max(self.quantity, self.pending_modify.quantity) if self.pending_modify else self.quantity

    @property
    @exact
    def open_quantity(self) -> Decimal:
        """What may still be filled."""
        return max(ZERO, self.final_quantity - self.filled_quantity)

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def list_id(self) -> UUID | None:
        return self.link.list_id if self.link else None

    @property
    def list_kind(self) -> ListKind | None:
        return self.link.kind if self.link else None

    @property
    def parent_id(self) -> UUID | None:
        return self.link.parent_id if self.link else None


_Changes = dict[str, Any]
_GIVEN: Final = OrderCreated.model_fields.keys() - {"postings", "holds"}


@exact
def fold(order: Order | None, event: OrderEvent, version: int, occurred_at: datetime) -> Order:
    """Return the order after `event`, the `version`th of its stream.

    Raises:
        InvalidTransition: the table does not allow the event in this status, or the version is not the next one.

    """
    if order is None:
        return _created(event, version, occurred_at)
    if version != order.version + 1:
        raise InvalidTransition(f"order {order.order_id}: event {version} cannot follow event {order.version}")
    status = TRANSITIONS[order.status].get(type(event))
    if status is None:
        raise InvalidTransition(f"order {order.order_id}: {event.TYPE} is not possible while {order.status}")
    changes: _Changes = {"status": status, "version": version, "updated_at": occurred_at}
    if status in UNPROVED and status != order.status:
        changes["unproved_at"] = occurred_at
    if event.holds:
        asset = order.reserved.asset or event.holds[0].asset
        changes["reserved"] = Reservation(asset, order.reserved.amount + _reserved(event))
    changes.update(_CHANGES[type(event)](order, event))
    return _settled(replace(order, **changes))


def _created(event: OrderEvent, version: int, occurred_at: datetime) -> Order:
    if not isinstance(event, OrderCreated) or version != 1:
        raise InvalidTransition(
            f"order {event.order_id}: {event.TYPE} cannot be its event {version}, it does not exist"
        )
    asset = event.holds[0].asset if event.holds else ""
    given = {name: getattr(event, name) for name in _GIVEN}
    return Order(
        **given,
        asked_quantity=event.quantity,
        reserved=Reservation(asset, _reserved(event)),
        version=version,
        created_at=occurred_at,
        updated_at=occurred_at,
        waits_for="parent" if event.link and event.link.parent_id else _trigger(event.emulated),
    )


def _trigger(emulated: tuple[Emulation, ...]) -> Waiting:
    return "trigger" if "trigger" in emulated else ""


def _reserved(event: OrderEvent) -> Decimal:
    return sum((hold.reserved for hold in event.holds), ZERO)


def _settled(order: Order) -> Order:
    """Close what is complete, and drop the requests of an order that is over."""
    if order.status in LIVE and order.open_quantity <= 0:
        order = replace(order, status="filled")
    if order.ended and (order.pending_cancel or order.pending_modify):
        order = replace(order, pending_cancel=False, pending_modify=None)
    return order


def _filled(order: Order, event: Filled) -> _Changes:
    quantity = order.filled_quantity + event.quantity
    return {
        "filled_quantity": quantity,
        "filled_value": order.filled_value + event.price * event.quantity,
        "fees": MappingProxyType({**order.fees, event.fee_asset: order.fees.get(event.fee_asset, ZERO) + event.fee}),
        "trade_ids": order.trade_ids | {event.trade_id},
        "pending_modify": order.pending_modify and _less(order.pending_modify, order, event.quantity),
        "reason": event.reason or order.reason,
    }


def _busted(order: Order, event: OrderTradeBusted) -> _Changes:
    return {
        "filled_quantity": event.filled_quantity,
        "filled_value": order.filled_value - event.price * event.quantity,
        "fees": MappingProxyType({**order.fees, event.fee_asset: order.fees.get(event.fee_asset, ZERO) - event.fee}),
        "busted_ids": order.busted_ids | {event.trade_id},
        "status": _status_without(order, event.filled_quantity),
        "reason": event.reason,
    }


def _status_without(order: Order, filled_quantity: Decimal) -> OrderStatus:
    """After a trade was taken back: an order that was overfilled may still be filled."""
    if order.status == "filled":
        return "filled" if filled_quantity >= order.quantity else "cancelled"
    return "accepted" if order.status == "partially_filled" and not filled_quantity else order.status


def _less(pending: PendingModify, order: Order, quantity: Decimal) -> PendingModify:
    return replace(
        pending,
        reserved_before=share_left(pending.reserved_before, order.quantity - order.filled_quantity, quantity),
        reserved_after=share_left(pending.reserved_after, pending.quantity - order.filled_quantity, quantity),
    )


def share_left(amount: Decimal, open_quantity: Decimal, filled: Decimal) -> Decimal:
    """What is left of a reservation of `open_quantity` once `filled` of it is done; never below zero."""
    return ZERO if filled >= open_quantity else rounded(amount * (open_quantity - filled) / open_quantity, ROUND_UP)


def _armed(order: Order, event: OrderArmed) -> _Changes:
    waits_for = _trigger(order.emulated) if order.waits_for == "parent" else order.waits_for
    return {"quantity": event.quantity, "waits_for": waits_for}


def _triggered(order: Order, event: OrderTriggered) -> _Changes:
    rivals = order.link is not None and order.link.kind in {"bracket", "oco"}
    return {"waits_for": "rivals" if rivals else "", "stop_price": event.stop_price}


def _modify_requested(order: Order, event: OrderModifyRequested) -> _Changes:
    before, after = order.reserved.amount, event.reserved_after
    asked = (event.request_id, event.quantity, event.price, event.stop_price)
    return {"pending_modify": PendingModify(*asked, before, after)}


def _modified(order: Order, event: OrderModified) -> _Changes:
    return {
        "quantity": event.quantity,
        "asked_quantity": event.quantity if order.waits_for else order.asked_quantity,
        "price": event.price,
        "stop_price": event.stop_price or order.stop_price,
        "venue_order_id": event.venue_order_id or order.venue_order_id,
        "pending_modify": None,
    }


def _accepted(order: Order, event: OrderAccepted) -> _Changes:
    return {"venue_order_id": event.venue_order_id or order.venue_order_id}


def _reasoned(_: Order, event: OrderCancelled | OrderExpired | OrderRejected | OrderSubmitUnknown) -> _Changes:
    return {"reason": event.reason}


_CHANGES: Final[dict[type[OrderEvent], Callable[[Order, Any], _Changes]]] = {
    OrderArmed: _armed,
    OrderStopMoved: lambda _, event: {"stop_price": event.stop_price, "reference": event.reference},
    OrderTriggered: _triggered,
    OrderReleased: lambda _, event: {"quantity": event.quantity, "waits_for": ""},
    OrderModifyRequested: _modify_requested,
    OrderCancelRequested: lambda _, event: {"pending_cancel": True, "reason": event.reason},
    OrderRouted: lambda _, event: {"route": event.route},
    OrderSubmitStarted: lambda _, event: {"attempt": event.attempt},
    OrderSubmitUnknown: _reasoned,
    OrderAccepted: _accepted,
    OrderModified: _modified,
    OrderModifyRejected: lambda _, event: {"pending_modify": None, "reason": event.reason},
    OrderCancelRejected: lambda _, event: {"pending_cancel": False, "reason": event.reason},
    OrderPartiallyFilled: _filled,
    OrderFilled: _filled,
    OrderTradeBusted: _busted,
    OrderCancelled: _reasoned,
    OrderRejected: _reasoned,
    OrderExpired: _reasoned,
}
