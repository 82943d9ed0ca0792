"""The venue's book against a plain model of its queues: who stands where, before and after every change."""

from dataclasses import dataclass
from itertools import groupby
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue.book import Book

FAR = 1 << 40
Queue = list[tuple[Any, int]]
"""(order, or None for external quantity; how much), first to last."""


@dataclass(eq=False)
class Resting:
    """What the book needs to know of an order."""

    price_units: int
    left_units: int
    is_buy: bool = True
    reduce_only: bool = False
    display_units: int = 0
    ticket: int = 0


def fresh() -> Book:
    return Book("X", {})


def queues(book: Book) -> dict[int, Queue]:
    """Bids as a seller would meet them; neighbouring external quantity is one."""
    found: dict[int, Queue] = {}
    for maker, price, size in book.crossing(False, -FAR):
        found.setdefault(price, []).append((maker, size))
    return {price: merged(queue) for price, queue in found.items()}


def merged(queue: Queue) -> Queue:
    groups = (list(group) for _, group in groupby(queue, key=lambda entry: id(entry[0])))
    return [(group[0][0], sum(size for _, size in group)) for group in groups]


class Model:
    """The queue model of external levels, word by word."""

    def __init__(self) -> None:
        self.queues: dict[int, Queue] = {}

    def rest(self, order: Resting) -> None:
        self.queues.setdefault(order.price_units, []).append((order, order.left_units))

    def remove(self, order: Resting) -> None:
        self._put(order.price_units, [entry for entry in self.queues[order.price_units] if entry[0] is not order])

    def set_external(self, price: int, quantity: int) -> None:
        queue = self.queues.get(price, [])
        missing = quantity - sum(size for owner, size in queue if owner is None)
        if missing > 0:
            queue = [*queue, (None, missing)]
        kept: Queue = []
        for owner, size in reversed(queue):
            cut = min(size, max(0, -missing)) if owner is None else 0
            missing += cut
            kept.append((owner, size - cut))
        self._put(price, kept[::-1])

    def take(self, quantity: int) -> None:
        for price in sorted(self.queues, reverse=True):
            queue = []
            for owner, size in self.queues[price]:
                taken = min(size, quantity)
                quantity -= taken
                queue.append((owner, size - taken))
            self._put(price, queue)

    def _put(self, price: int, queue: Queue) -> None:
        self.queues[price] = merged([(owner, size) for owner, size in queue if size])
        if not self.queues[price]:
            del self.queues[price]


prices, quantities = st.integers(1, 3), st.integers(0, 6)
steps = st.one_of(
    st.tuples(st.just("external"), prices, quantities),
    st.tuples(st.just("rest"), prices, st.integers(1, 5)),
    st.tuples(st.just("remove"), st.integers(0, 5), st.just(0)),
    st.tuples(st.just("take"), st.integers(1, 9), st.just(0)),
)


@given(st.lists(steps, max_size=25))
def test_queues_follow_the_model(todo: list[tuple[str, int, int]]) -> None:
    book, model, orders = fresh(), Model(), list[Resting]()
    for what, one, two in todo:
        living = [order for order in orders if order.ticket]
        if what == "external":
            book.set_external(True, one, two)
            model.set_external(one, two)
        elif what == "rest":
            orders.append(Resting(one, two))
            book.rest(cast("Any", orders[-1]))
            model.rest(orders[-1])
        elif what == "take":
            book.take(False, -FAR, one)
            model.take(one)
        elif living:
            order = living[one % len(living)]
            book.remove(cast("Any", order))
            model.remove(order)
        assert queues(book) == model.queues
        totals = {price: sum(size for _, size in queue) for price, queue in model.queues.items()}
        assert book.snapshot(9, 0).bids == sorted(totals.items(), reverse=True)


@pytest.mark.parametrize("sizes", [[5], [2, 5], [9, 5], [2, 9, 3, 5]])
def test_a_level_that_changed_often_is_still_one_fill(sizes: list[int]) -> None:
    book = fresh()
    for size in sizes:
        book.set_external(True, 10, size)
    assert book.take(False, 10, 5) == [(None, 10, 5)]


def test_deltas_are_counted_alike_whether_they_are_made_or_not() -> None:
    made, skipped = fresh(), fresh()
    for quantity in (1, 2, 2, 0):
        for book in (made, skipped):
            book.set_external(True, 10, quantity)
        made.take_delta(0)
        skipped.skip_delta()
    assert made.sequence == skipped.sequence == 3
    assert skipped.take_delta(0) is None
