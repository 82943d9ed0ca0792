"""Figures that describe a market: on series whose answer is known."""

import random
from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.trading_engine.analysis.domain import (
    correlations,
    regime,
    spread_and_depth,
    trend,
    volatility,
    volume_profile,
)

pytestmark = pytest.mark.requirement("P10")


def walk(steps: list[float], start: float = 100.0) -> list[float]:
    closes = [start]
    for step in steps:
        closes.append(closes[-1] * exp(step))
    return closes


def noise(seed: int, count: int, size: float) -> list[float]:
    chance = random.Random(seed)
    return [chance.gauss(0, size) for _ in range(count)]


def test_volatility_is_the_years_standard_deviation():
    assert volatility(walk(noise(1, 5000, 0.001))) == pytest.approx(0.001 * (365 * 1440) ** 0.5, rel=0.05)
    assert volatility([100.0]) == 0


@pytest.mark.parametrize(("last", "expected"), [(0.001, "normal"), (0.0001, "calm"), (0.01, "turbulent")])
def test_regime_compares_the_last_minutes_with_what_is_usual(last: float, expected: str):
    assert regime(walk(noise(2, 224, 0.001) + noise(3, 15, last))) == expected


def test_regime_is_unknown_without_a_past():
    assert regime([100.0] * 20) == "unknown"


def test_trend_is_a_slope_that_chance_does_not_explain():
    assert trend([100 + at + (at % 2) for at in range(60)], 60) == "up"
    assert trend([100 - at + (at % 2) for at in range(60)], 60) == "down"
    assert trend([100 + (at % 2) for at in range(60)], 60) == "sideways"
    assert trend([100.0], 60) == "unknown"


@given(st.lists(st.tuples(st.floats(1, 1000), st.floats(0.001, 100)), min_size=1, max_size=50))
def test_shares_of_a_volume_profile_sum_to_one(bars: list[tuple[float, float]]):
    most, shares = volume_profile(bars)
    assert sum(shares) == pytest.approx(1)
    assert most > 0


def test_spread_and_depth():
    spread, bids, asks = spread_and_depth([(99, 1), (98, 2)], [(101, 3)])
    assert (spread, bids, asks) == (pytest.approx(200), 295, 303)
    assert spread_and_depth([], [(101, 3)]) == (0, 0, 0)


def test_correlation_of_the_same_and_the_opposite_market():
    steps = noise(4, 100, 0.001)
    closes = {
        "A": dict(enumerate(walk(steps))),
        "B": dict(enumerate(walk([2 * step for step in steps]))),
        "C": dict(enumerate(walk([-step for step in steps]))),
        "D": {0: 1.0},
    }
    found = correlations(closes, "A")
    assert found == {"B": pytest.approx(1, abs=1e-6), "C": pytest.approx(-1, abs=1e-6)}
