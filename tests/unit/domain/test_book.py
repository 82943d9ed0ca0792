import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sortedcontainers import SortedDict

from patriot.domain import book as module
from patriot.domain.book import NEAR, NEAR_MAX, OrderBook
from patriot.protocols.market import BookDelta, BookSnapshot

Levels = list[tuple[int, int]]


def snapshot(bids: Levels, asks: Levels, sequence: int = 1) -> BookSnapshot:
    return BookSnapshot("X", bids, asks, sequence, 7)


def delta(bids: Levels, asks: Levels, last: int = 2) -> BookDelta:
    return BookDelta("X", bids, asks, last, last, last - 1, 8)


def book(bids: Levels, asks: Levels) -> OrderBook:
    one = OrderBook("X")
    one.apply(snapshot(bids, asks))
    return one


def test_empty_book_has_no_best() -> None:
    one = OrderBook("X")
    assert (one.best_bid(), one.best_ask(), one.top(5), one.crossed) == (None, None, ([], []), False)


def test_snapshot_replaces_everything() -> None:
    one = book([(9, 1)], [(11, 1)])
    one.apply(snapshot([(8, 2), (7, 0)], [(12, 3)], sequence=5))
    assert one.top(9) == ([(8, 2)], [(12, 3)])
    assert (one.sequence, one.time_ms) == (5, 7)


def test_delta_sets_adds_and_removes_levels() -> None:
    one = book([(9, 1), (8, 2)], [(11, 1), (12, 2)])
    one.apply(delta([(9, 0), (7, 5), (6, 0)], [(11, 4), (10, 1), (12, 0)]))
    assert one.top(9) == ([(8, 2), (7, 5)], [(10, 1), (11, 4)])
    assert (one.best_bid(), one.best_ask()) == ((8, 2), (10, 1))
    assert (one.sequence, one.time_ms) == (2, 8)


def test_best_comes_back_after_it_was_gone() -> None:
    one = book([(9, 1), (8, 1)], [(11, 1)])
    one.apply(delta([(9, 0)], [(11, 0)]))
    assert (one.best_bid(), one.best_ask()) == ((8, 1), None)
    one.apply(delta([(9, 3)], [(11, 2)]))
    assert (one.best_bid(), one.best_ask()) == ((9, 3), (11, 2))


@pytest.mark.parametrize(("bid", "ask", "crossed"), [(9, 10, False), (10, 10, True), (11, 10, True)])
def test_crossed_book_says_so(bid: int, ask: int, *, crossed: bool) -> None:
    assert book([(bid, 1)], [(ask, 1)]).crossed is crossed


def test_clear_forgets_levels_and_sequence() -> None:
    one = book([(9, 1)], [(11, 1)])
    one.clear()
    assert (one.bids, one.asks, one.sequence, one.best_bid()) == ({}, {}, 0, None)


def test_prices_in_order_stay_few_when_levels_come_and_go() -> None:
    one = book([(1, 1)], [(10**9, 1)])
    for number in range(20 * NEAR_MAX):
        price = 2 + number % (10 * NEAR_MAX)
        one.apply(delta([(price, 1)], [(10**9 - price, 1)]))
        one.apply(delta([(price, 0)], [(10**9 - price, 0)]))
    assert max(len(one._near_bids), len(one._near_asks)) <= NEAR_MAX
    assert (one.best_bid(), one.best_ask()) == ((1, 1), (10**9, 1))


def test_levels_far_from_the_top_are_found_when_it_comes_to_them() -> None:
    prices = range(1, 10 * NEAR)
    one = book([(price, 1) for price in prices], [(10**6 - price, 1) for price in prices])
    one.apply(delta([(10 * NEAR, 2)], [(10**6 - 10 * NEAR, 2)]))
    one.apply(delta([(-5, 3)], [(10**6 + 5, 3)]))  # behind all others
    for price in reversed(range(1, 10 * NEAR + 1)):
        best = one.best_bid(), one.best_ask()
        assert best == ((price, 1 + price // (10 * NEAR)), (10**6 - price, 1 + price // (10 * NEAR)))
        one.apply(delta([(price, 0)], [(10**6 - price, 0)]))
    assert (one.best_bid(), one.best_ask()) == ((-5, 3), (10**6 + 5, 3))


def test_more_levels_are_shown_than_are_kept_in_order() -> None:
    bids, asks = ([(sign * price, price) for price in range(1, 3 * NEAR_MAX)] for sign in (-1, 1))
    one = book(bids, asks)
    assert one.top(2 * NEAR_MAX) == (bids[: 2 * NEAR_MAX], asks[: 2 * NEAR_MAX])
    one.apply(delta([bids[0], (-2, 0)], [asks[0], (2, 0)]))
    assert one.top(10**6) == ([bids[0], *bids[2:]], [asks[0], *asks[2:]])
    assert one.top(0) == ([], [])


side = st.lists(st.tuples(st.integers(1, 30), st.integers(0, 3)), max_size=6)


@pytest.fixture(params=[(NEAR, NEAR_MAX), (2, 4), (1, 1)])
def few(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """So few prices in order that the list is cut, and made again, all the time."""
    monkeypatch.setattr(module, "NEAR", request.param[0])
    monkeypatch.setattr(module, "NEAR_MAX", request.param[1])


@pytest.mark.usefixtures("few")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(side, side, st.lists(st.tuples(side, side, st.booleans()), max_size=30))
def test_book_equals_a_sorted_map(bids: Levels, asks: Levels, changes: list[tuple[Levels, Levels, bool]]) -> None:
    one, oracle = OrderBook("X"), (SortedDict(), SortedDict())
    for number, (more_bids, more_asks, whole) in enumerate([(bids, asks, True), *changes]):
        one.apply(snapshot(more_bids, more_asks, number) if whole else delta(more_bids, more_asks, number))
        for known, levels in zip(oracle, (more_bids, more_asks), strict=True):
            if whole:
                known.clear()
            for price, quantity in levels:
                known[price] = quantity
            for price in [price for price, quantity in known.items() if not quantity]:
                del known[price]
        assert one.best_bid() == (oracle[0].peekitem(-1) if oracle[0] else None)
        assert one.best_ask() == (oracle[1].peekitem(0) if oracle[1] else None)
        assert one.top(4) == (list(reversed(oracle[0].items()))[:4], list(oracle[1].items())[:4])
        assert one.sequence == number


def test_book_equals_a_sorted_map_over_many_random_diffs() -> None:
    rng, one, oracle = random.Random(7), OrderBook("X"), (SortedDict(), SortedDict())
    one.apply(snapshot([], []))
    for number in range(20_000):
        changes: tuple[Levels, Levels] = ([], [])
        for _ in range(rng.randrange(5)):
            number_of_side = rng.randrange(2)
            changes[number_of_side].append((rng.randrange(5000) + 5000 * number_of_side, rng.choice((0, 1, 2))))
        one.apply(delta(*changes, last=number))
        for known, levels in zip(oracle, changes, strict=True):
            for price, quantity in levels:
                known[price] = quantity
                if not quantity:
                    del known[price]
        if rng.random() < 0.5:  # the best is not always asked for, so stale prices pile up
            assert one.best_bid() == (oracle[0].peekitem(-1) if oracle[0] else None)
            assert one.best_ask() == (oracle[1].peekitem(0) if oracle[1] else None)
    assert one.bids == dict(oracle[0])
    assert one.asks == dict(oracle[1])
