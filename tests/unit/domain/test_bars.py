from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.bars import BAR_SECONDS, BarBuilder
from patriot.domain.errors import InvalidValue
from patriot.protocols.market import Bar, Trade


def trade(time_ms: int, price: int = 100, quantity: int = 1) -> Trade:
    return Trade("X", price, quantity, False, "1", time_ms)


def add(builder: BarBuilder, *trades: Trade) -> list[Bar]:
    return [bar for one in trades for bar in builder.add(one)]


def test_bar_closes_with_the_first_trade_after_it() -> None:
    builder = BarBuilder("X", [1])
    assert add(builder, trade(1000, 5), trade(1400, 9, 3), trade(1999, 7)) == []
    assert builder.add(trade(2000, 8)) == [Bar("X", 1, 1000, 5, 9, 5, 7, 5, 3, closed=True)]


def test_bar_closes_with_time_alone() -> None:
    builder = BarBuilder("X", [1])
    builder.add(trade(1400))
    assert builder.advance(1999) == []
    assert builder.advance(2000) == [Bar("X", 1, 1000, 100, 100, 100, 100, 1, 1, closed=True)]
    assert builder.advance(9000) == []


def test_stretch_without_trades_makes_no_bar() -> None:
    builder = BarBuilder("X", [1])
    closed = add(builder, trade(1000), trade(9000), trade(20_000))
    assert [bar.open_ms for bar in closed] == [1000, 9000]


def test_late_trade_counts_into_the_open_bar() -> None:
    builder = BarBuilder("X", [1])
    assert add(builder, trade(2000, 5), trade(1500, 1)) == []
    [bar] = builder.advance(3000)
    assert (bar.open_ms, bar.low, bar.trades) == (2000, 1, 2)


def test_trade_older_than_a_closed_bar_never_opens_it_again() -> None:
    builder = BarBuilder("X", [1])
    add(builder, trade(1000))
    builder.advance(5000)
    assert builder.add(trade(1500, 3)) == []
    [bar] = builder.advance(6000)
    assert (bar.open_ms, bar.trades) == (5000, 1)


def test_longer_bars_are_folded_from_the_shortest() -> None:
    builder = BarBuilder("X", [60, 1])
    closed = add(builder, trade(0, 5), trade(1000, 9), trade(59_000, 2), trade(60_000, 7))
    assert [(bar.seconds, bar.open_ms) for bar in closed] == [(1, 0), (1, 1000), (1, 59_000), (60, 0)]
    assert closed[-1] == Bar("X", 60, 0, 5, 9, 2, 2, 3, 3, closed=True)


def test_growing_bars_hold_the_newest_trade() -> None:
    builder = BarBuilder("X", [1, 60])
    assert builder.growing() == []
    add(builder, trade(0, 5), trade(1000, 9), trade(2000, 1))
    assert builder.growing() == [
        Bar("X", 1, 2000, 1, 1, 1, 1, 1, 1, closed=False),
        Bar("X", 60, 0, 5, 9, 1, 1, 3, 3, closed=False),
    ]
    builder.advance(3000)
    assert builder.growing() == [Bar("X", 60, 0, 5, 9, 1, 1, 3, 3, closed=False)]


@pytest.mark.parametrize("seconds", [[], [0, 60], [-1], [2, 3], [60, 90]])
def test_lengths_must_be_multiples_of_the_shortest(seconds: list[int]) -> None:
    with pytest.raises(InvalidValue, match="seconds"):
        BarBuilder("X", seconds)


def naive(trades: Sequence[Trade], end_ms: int, seconds: int) -> list[Bar]:
    """The rule, said plainly: a trade counts at the latest time seen so far; a bucket with trades is a bar."""
    buckets: dict[int, list[Trade]] = {}
    latest = 0
    for one in trades:
        latest = max(latest, one.time_ms)
        buckets.setdefault(latest // (seconds * 1000) * seconds * 1000, []).append(one)
    return [
        Bar(
            "X", seconds, open_ms, some[0].price, max(one.price for one in some), min(one.price for one in some),
            some[-1].price, sum(one.quantity for one in some), len(some), closed=True,
        )
        for open_ms, some in sorted(buckets.items())
        if open_ms + seconds * 1000 <= end_ms
    ]  # fmt: skip


steps = st.one_of(st.integers(-3000, 3000), st.integers(0, 200_000), st.integers(0, 5_000_000))


@given(
    st.lists(st.tuples(steps, st.integers(1, 50), st.integers(1, 9)), max_size=60),
    st.sampled_from([(1,), (1, 60, 300), BAR_SECONDS, (60, 300), (7, 21)]),
    st.integers(0, 1),
)
def test_bars_equal_a_naive_oracle(moves: list[tuple[int, int, int]], lengths: tuple[int, ...], tick: int) -> None:
    builder, trades, closed, now = BarBuilder("X", lengths), [], [], 0
    for step, price, quantity in moves:
        now = max(0, now + step)
        one = trade(now, price, quantity)
        if tick and trades:
            closed += builder.advance(max(one.time_ms for one in trades))  # time that has been seen changes nothing
        trades.append(one)
        closed += builder.add(one)
    end = max((one.time_ms for one in trades), default=0)
    for seconds in lengths:
        assert [bar for bar in closed if bar.seconds == seconds] == naive(trades, end, seconds)
    closed += builder.advance(end + 10 * 86_400_000)
    for seconds in lengths:
        assert [bar for bar in closed if bar.seconds == seconds] == naive(trades, end + 10 * 86_400_000, seconds)
    assert builder.growing() == []
