"""The engine against an oracle that is a sorted list and nothing else."""

import random
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue.matching import NO_LIMIT, MatchingEngine


@dataclass
class Oracle:
    """All resting orders in one list of [ticket, buy, price, quantity], in order of arrival."""

    orders: list[list[int]] = field(default_factory=list)

    def submit(self, ticket: int, buy: bool, price: int, quantity: int) -> list[tuple[int, int, int]]:  # noqa: FBT001
        matches, left = self._match(buy, price, quantity)
        if left:
            self.orders.append([ticket, buy, price, left])
        return matches

    def match(self, buy: bool, price: int, quantity: int) -> list[tuple[int, int, int]]:  # noqa: FBT001
        return self._match(buy, price, quantity)[0]

    def cancel(self, ticket: int) -> int:
        left = self.left(ticket)
        self.orders = [order for order in self.orders if order[0] != ticket]
        return left

    def reduce(self, ticket: int, quantity: int) -> None:
        for order in self.orders:
            if order[0] == ticket:
                order[3] = quantity

    def left(self, ticket: int) -> int:
        return next((order[3] for order in self.orders if order[0] == ticket), 0)

    def crossing(self, buy: bool, price: int) -> list[tuple[int, int, int]]:  # noqa: FBT001
        others = [
            order for order in self.orders if order[1] != buy and (order[2] <= price if buy else order[2] >= price)
        ]
        others.sort(key=lambda order: order[2] if buy else -order[2])  # stable: time priority remains
        return [(ticket, at, quantity) for ticket, _, at, quantity in others]

    def _match(self, buy: bool, price: int, quantity: int) -> tuple[list[tuple[int, int, int]], int]:  # noqa: FBT001
        matches = []
        for ticket, at, available in self.crossing(buy, price):
            take = min(available, quantity)
            if not take:
                break
            quantity -= take
            matches.append((ticket, at, take))
            self.reduce(ticket, available - take)
        self.orders = [order for order in self.orders if order[3]]
        return matches, quantity


def compare(engine: MatchingEngine, oracle: Oracle) -> None:
    for buy in (True, False):
        limit = NO_LIMIT if buy else -NO_LIMIT
        expected = oracle.crossing(buy, limit)
        assert list(engine.crossing(buy, limit)) == expected
        assert engine.head(buy, limit) == (expected[0] if expected else None)
    assert len(engine) == len(oracle.orders)
    asks = [price for _, buy, price, _ in oracle.orders if not buy]
    bids = [price for _, buy, price, _ in oracle.orders if buy]
    assert engine.best_ask() == min(asks, default=None)
    assert engine.best_bid() == max(bids, default=None)


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["submit", "submit", "submit", "match", "cancel", "reduce"]),
        st.booleans(),
        st.integers(1, 12),
        st.integers(1, 20),
        st.integers(0, 40),
    ),
    max_size=120,
)


@given(OPERATIONS)
def test_engine_agrees_with_the_oracle(operations):
    engine, oracle = MatchingEngine(), Oracle()
    for number, (kind, buy, price, quantity, pick) in enumerate(operations, 1):
        if kind == "submit":
            assert engine.submit(number, buy, price, quantity) == oracle.submit(number, buy, price, quantity)
        elif kind == "match":
            assert engine.match(buy, price, quantity) == oracle.match(buy, price, quantity)
        elif kind == "cancel":
            assert engine.cancel(pick) == oracle.cancel(pick)
        elif left := oracle.left(pick):
            engine.reduce(pick, min(quantity, left))
            oracle.reduce(pick, min(quantity, left))
        compare(engine, oracle)


def test_engine_agrees_with_the_oracle_over_a_long_stream_with_sweeps():
    choose = random.Random(7)
    engine, oracle, live = MatchingEngine(), Oracle(), []
    for ticket in range(1, 6001):
        if live and choose.random() < 0.48:
            victim = live.pop(choose.randrange(len(live)))
            assert engine.cancel(victim) == oracle.cancel(victim)
            continue
        buy = choose.random() < 0.5
        price = 1000 + choose.randint(1, 40) * (-1 if buy else 1) + (choose.random() < 0.2) * (60 if buy else -60)
        quantity = choose.randint(1, 50)
        assert engine.submit(ticket, buy, price, quantity) == oracle.submit(ticket, buy, price, quantity)
        live.append(ticket)
    compare(engine, oracle)


def test_engine_forgets_cancelled_orders_in_memory():
    engine = MatchingEngine()
    for ticket in range(1, 50_001):
        engine.submit(ticket, ticket % 2 == 0, 100 + (ticket % 2) * 200 + ticket % 50, 5)
        engine.cancel(ticket)
    places = sum(len(queue) for side in (engine._bids, engine._asks) for queue in side.levels.values())
    assert places <= 1026
    assert len(engine) == 0


def test_reduce_keeps_the_place_and_refuses_an_increase():
    engine = MatchingEngine()
    engine.submit(1, True, 100, 10)
    engine.submit(2, True, 100, 10)
    engine.reduce(1, 4)
    assert engine.match(False, 100, 6) == [(1, 100, 4), (2, 100, 2)]
    with pytest.raises(AssertionError):
        engine.reduce(2, 9)
    with pytest.raises(KeyError):
        engine.reduce(1, 1)


def test_a_market_order_takes_every_price_and_its_remainder_vanishes():
    engine = MatchingEngine()
    engine.submit(1, False, 100, 1)
    engine.submit(2, False, 10**12, 1)
    assert engine.match(True, NO_LIMIT, 5) == [(1, 100, 1), (2, 10**12, 1)]
    assert engine.best_bid() is None
