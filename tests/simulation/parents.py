"""Parent orders as their events tell them. Rule: a child is told first, has one parent, and is never too much.

Nothing of a parent is placed once its pause or its end has been asked for and answered.
"""

from collections.abc import Callable, Mapping
from decimal import Decimal
from uuid import UUID

from patriot.domain.algorithm import Algorithm
from patriot.domain.errors import InvalidTransition
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.runtime.aggregates import ALGORITHM
from patriot.store.api import RecordedEvent
from schemas.algorithm_events import (
    AlgorithmCancelled,
    AlgorithmChildPlaced,
    AlgorithmCompleted,
    AlgorithmEvent,
)
from schemas.events import OrderCreated


class Parents:
    """`orders` are all orders of the platform, `require` collects what does not hold."""

    def __init__(self, orders: Mapping[UUID, Order], require: Callable[[object, str], None]) -> None:
        self._orders, self._require = orders, require
        self._parents: dict[UUID, Algorithm] = {}
        self._children: dict[UUID, AlgorithmChildPlaced] = {}

    @property
    def running(self) -> list[Algorithm]:
        return [one for one in self._parents.values() if not one.ended]

    @property
    def children(self) -> int:
        return len(self._orders.keys() & self._children.keys())

    def saw(self, event: AlgorithmEvent, recorded: RecordedEvent) -> None:
        before = self._parents.get(event.algorithm_id)
        try:
            parent = ALGORITHM.fold(before, event, recorded.version, recorded.occurred_at)
        except InvalidTransition as error:
            self._require(False, f"{event.TYPE} {recorded.version}: {error}")
            return
        self._parents[event.algorithm_id] = parent
        if isinstance(event, AlgorithmChildPlaced):
            self._told(event, before)
        if isinstance(event, AlgorithmCompleted | AlgorithmCancelled):
            left = [order.order_id for order in self._family(parent) if not order.ended]
            self._require(not left, f"{event.algorithm_id} has ended, its children {left} have not")

    def _told(self, event: AlgorithmChildPlaced, parent: Algorithm | None) -> None:
        self._require(event.order_id not in self._children, f"child {event.order_id} was told twice")
        self._children[event.order_id] = event
        if parent is not None:
            self._require(_goes_on(parent), f"{event.algorithm_id} decided on a child, but is {_standing(parent)}")
            open_ones = [order.order_id for order in self._family(parent) if not order.ended]
            self._require(not open_ones, f"{event.algorithm_id} has another child while {open_ones} are open")
            left = parent.quantity - self._filled(parent)
            self._require(event.quantity <= left, f"child of {event.quantity} where {left} are left")

    def created(self, event: OrderCreated) -> None:
        told = self._children.get(event.order_id)
        if told is None:
            names = {f"{one.algorithm} {str(one.algorithm_id)[:8]}" for one in self._parents.values()}
            self._require(event.strategy_id not in names, f"{event.order_id} is a child that nobody has told of")
            return
        parent = self._parents[told.algorithm_id]
        self._require(_goes_on(parent), f"{parent.algorithm_id} placed a child, but is {_standing(parent)}")
        same = (event.quantity, event.price) == (told.quantity, told.price)
        self._require(same, f"{event.order_id} is another child than the one that was told")

    def check(self) -> None:
        """At rest: a parent has done what its children have."""
        for parent in self._parents.values():
            filled = self._filled(parent)
            self._require(filled <= parent.quantity, f"children have filled {filled} of {parent.quantity}")
            self._require(filled == parent.filled_quantity, f"{parent.filled_quantity} counted, {filled} filled")

    def _family(self, parent: Algorithm) -> list[Order]:
        ids = [told.order_id for told in self._children.values() if told.algorithm_id == parent.algorithm_id]
        return [self._orders[order_id] for order_id in ids if order_id in self._orders]

    def _filled(self, parent: Algorithm) -> Decimal:
        return sum((order.filled_quantity for order in self._family(parent)), ZERO)


def _goes_on(parent: Algorithm) -> bool:
    return parent.status == "running" and not parent.cancelling


def _standing(parent: Algorithm) -> str:
    return "being cancelled" if parent.cancelling else parent.status
