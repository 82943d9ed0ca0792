"""What the members of an order list do to each other. Rule: decided from how all stand, so repeating it is safe.

Bracket: an entry (order 0) and its exits. OCO: rivals. OTO: a first order and those that wait for its fills. Iceberg:
slices, each waiting for the one before. From the states of all members `settle` tells every event that is due now:

* An order that waits for its parent is armed with its share of what the parent has filled (less a fee taken in what
  was bought), in whole lots: a stop at once and again with every fill, any other order once the parent is over.
* Rivals share one total: what one fills is not left for the others. The platform makes those that it holds smaller;
  one at the venue that has become too large is cancelled.
* A stop that fires for all that is left cancels its rivals, and is released once they are over, with what they have
  not done. Reduce-only exits need not wait: they cannot turn the position. Any exit that fires ends its entry.
* A parent that ends without a fill takes those that wait for it along.

An exit that ends by itself (cancelled by its owner, refused by the venue) leaves the others standing: they protect.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from uuid import UUID, uuid5

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, exact, round_down
from patriot.domain.order import Order
from patriot.domain.order_commands import ids, request_cancel
from patriot.domain.order_states import UNSENT
from schemas.commands import CreateOrder
from schemas.events import OrderArmed, OrderCancelRequested, OrderEvent, OrderReleased
from schemas.types import ListKind, ListLink

Decided = list[tuple[Order, list[OrderEvent]]]


def member_id(list_id: UUID, number: int) -> UUID:
    """The id of a member: whoever knows the list knows all of them."""
    return uuid5(list_id, str(number))


def links(list_id: UUID, kind: ListKind, size: int) -> list[ListLink]:
    """The places of the members of a new list."""
    return [
        ListLink(list_id=list_id, kind=kind, number=number, size=size, parent_id=_parent(list_id, kind, number))
        for number in range(size)
    ]


def _parent(list_id: UUID, kind: ListKind, number: int) -> UUID | None:
    if not number or kind == "oco":
        return None
    return member_id(list_id, number - 1 if kind == "iceberg" else 0)


def reserving(kind: ListKind, orders: Sequence[CreateOrder]) -> frozenset[int]:
    """Which members reserve when they are created: what may be sent at once. The others do once they may, if at all."""
    if kind == "iceberg":
        return frozenset(range(len(orders)))
    if kind == "oco":
        return frozenset(number for number, order in enumerate(orders) if order.order_type == "limit") or frozenset({0})
    return frozenset({0})


def needs_reservation(order: Order, first: Order) -> bool:
    """Whether what is armed or released opens something. What closes the position of its parent does not."""
    return order.side == first.side and not order.reduce_only and not order.reserved.amount


def slices(command: CreateOrder) -> list[CreateOrder]:
    """The parts of an iceberg, of `display_quantity` each but the last."""
    shown, left, parts = command.display_quantity, command.quantity, list[CreateOrder]()
    assert shown is not None
    while left > 0:
        parts.append(command.model_copy(update={"quantity": min(shown, left), "display_quantity": None}))
        left -= shown
    return parts


@exact
def settle(members: Sequence[Order], instrument: Instrument) -> Decided:
    """The events that are due now, ends first; [] once everything is settled."""
    view = _List({order.order_id: order for order in members}, instrument)
    decided = [(order, view.due(order)) for order in members if not order.ended]
    found = [(order, events) for order, events in decided if events]
    return sorted(found, key=lambda one: not isinstance(one[1][0], OrderCancelRequested))


@dataclass(frozen=True, slots=True)
class _List:
    members: dict[UUID, Order]
    instrument: Instrument

    def due(self, order: Order) -> list[OrderEvent]:
        reason = self._why_over(order)
        if reason:
            return request_cancel(order, reason)
        if order.waits_for in {"parent", "trigger"}:
            return self._arm(order)
        return self._release(order) if order.waits_for == "rivals" else []

    # --- ends ---
    def _why_over(self, order: Order) -> str:
        """Why the order has nothing left to do; empty where it has."""
        parent = self._parent_of(order)
        if parent is not None and parent.ended and not _goes_on(order, parent):
            return "the order that it waits for did not fill"
        rivals = self._rivals_of(order)
        if any(rival.filled_quantity for rival in rivals) and self._is_too_large(order):
            return "another order of the list was filled"
        if any(self._overrides(rival, order) for rival in rivals):
            return "another order of the list was triggered"
        if any(_has_fired(child) and _kind(child) == "bracket" for child in self._children_of(order)):
            return "an exit was triggered"
        return ""

    def _is_too_large(self, order: Order) -> bool:
        """What the platform holds can still be made smaller; what the venue holds cannot."""
        size = self._size(order)
        return size <= order.filled_quantity if order.status in UNSENT else size < order.quantity

    def _overrides(self, rival: Order, order: Order) -> bool:
        """A rival that has fired for all that is left; of two such, the first of the list."""
        if rival.ended or not _has_fired(rival) or rival.quantity < self._left_for(rival):
            return False
        return not _has_fired(order) or _number(rival) < _number(order)

    # --- sizes ---
    def _arm(self, order: Order) -> list[OrderEvent]:
        parent = self._parent_of(order)
        if parent is not None and "trigger" not in order.emulated and not parent.ended:
            return []
        size = self._size(order)
        if not size:
            is_final = parent is not None and parent.ended
            return request_cancel(order, "too little was filled for it") if is_final else []
        if order.waits_for == "trigger" and size == order.quantity:
            return []
        return [OrderArmed(**ids(order), quantity=size)]

    def _size(self, order: Order) -> Decimal:
        """How much the order may do in all; zero where that is below the venue's minimum."""
        share, parent = order.asked_quantity, self._parent_of(order)
        if parent is not None and _kind(order) != "iceberg":
            received = self._received(parent)
            share = order.asked_quantity * received / parent.asked_quantity
            share = share if order.side == parent.side else min(share, received)
        size = round_down(max(ZERO, min(share, self._left_for(order))), self.instrument.lot_size)
        return size if size >= self.instrument.minimum_quantity else ZERO

    def _left_for(self, order: Order) -> Decimal:
        """The total that it shares with its rivals, less what these have filled."""
        rivals = self._rivals_of(order)
        if not rivals:
            return order.asked_quantity
        parent = self._parent_of(order)
        total = self._received(parent) if parent is not None else order.asked_quantity
        return total - sum((rival.filled_quantity for rival in rivals), ZERO)

    def _received(self, parent: Order) -> Decimal:
        """What a parent has brought: a spot buy pays its fee in what it buys."""
        is_spot_buy = parent.side == "buy" and not self.instrument.is_derivative
        return parent.filled_quantity - (parent.fees.get(self.instrument.base, ZERO) if is_spot_buy else ZERO)

    def _release(self, order: Order) -> list[OrderEvent]:
        parent = self._parent_of(order)
        if parent is not None and not parent.ended:
            return []
        size = self._size(order)
        if not size:
            return request_cancel(order, "nothing is left for it to do")
        takes_all = order.quantity >= self._left_for(order)
        at_venue = [rival for rival in self._rivals_of(order) if not rival.ended and rival.status not in UNSENT]
        if takes_all and at_venue and not order.reduce_only:
            return []
        return [OrderReleased(**ids(order), quantity=size)]

    # --- who is who ---
    def _parent_of(self, order: Order) -> Order | None:
        return self.members.get(order.link.parent_id) if order.link and order.link.parent_id else None

    def _children_of(self, order: Order) -> list[Order]:
        return [one for one in self.members.values() if one.link and one.link.parent_id == order.order_id]

    def _rivals_of(self, order: Order) -> list[Order]:
        """Those that do the same in another way: exits of one entry, orders of an oco list."""
        link = order.link
        if link is None or not (link.kind == "oco" or (link.kind == "bracket" and link.parent_id)):
            return []
        others = (one for one in self.members.values() if one.order_id != order.order_id)
        return [one for one in others if one.link and one.link.parent_id == link.parent_id]


def _goes_on(order: Order, parent: Order) -> bool:
    return parent.status == "filled" if _kind(order) == "iceberg" else parent.filled_quantity > 0


def _has_fired(order: Order) -> bool:
    return not order.ended and "trigger" in order.emulated and order.waits_for in {"rivals", ""}


def _kind(order: Order) -> ListKind | None:
    return order.link.kind if order.link else None


def _number(order: Order) -> int:
    return order.link.number if order.link else 0
