"""Algorithms are pure: what they want at a moment follows from the view alone."""

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from math import sinh
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.trading_engine.algorithm import Algorithm, View, chance
from feeds.trading_engine.algorithms.shortfall import held
from feeds.trading_engine.algorithms.vwap import volume_between
from feeds.trading_engine.app import kinds
from patriot.domain.algorithm import Algorithm as Parent

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARENT = Parent(
    algorithm_id=UUID(int=1), account_id=UUID(int=2), user_id=UUID(int=3), algorithm="twap",
    instrument="BINANCE:BTC/USDT:USDT", side="buy", quantity=Decimal(10), limit_price=None, parameters={},
    arrival_price=Decimal(100), reduce_only=False, version=1, started_at=NOW, updated_at=NOW,
)  # fmt: skip
VIEW = View(
    seconds=0.0, bid=Decimal(99), ask=Decimal(101), volume=Decimal(0), filled=Decimal(0), profile=[], minute=0.0,
    volatility=0.0, chance=0.0,
)  # fmt: skip

pytestmark = pytest.mark.requirement("P10")


def make(name: str, **parameters: Any) -> Algorithm:
    kind = kinds()[name]
    return kind(PARENT, kind.Parameters(**parameters))


@pytest.mark.parametrize("name", ["twap", "vwap", "shortfall"])
@given(times=st.lists(st.floats(0, 99.9), min_size=2, max_size=20), slices=st.integers(1, 50))
def test_schedules_only_grow_and_end_whole(name: str, times: list[float], slices: int):
    algorithm = make(name, seconds=100, slices=slices)
    wanted = [algorithm.target(replace(VIEW, seconds=time)) for time in sorted(times)]
    assert wanted == sorted(wanted)
    assert all(0 <= one <= 10 for one in wanted)
    assert algorithm.target(replace(VIEW, seconds=99.9999)) == 10
    assert algorithm.is_over(replace(VIEW, seconds=100))


def test_twap_sends_its_first_part_at_once():
    twap = make("twap", seconds=100, slices=4)
    assert [twap.target(replace(VIEW, seconds=at)) for at in (0, 24, 25, 99)] == [Decimal("2.5"), Decimal("2.5"), 5, 10]


def test_vwap_follows_the_recorded_profile():
    profile = [0.0] * 1440
    profile[0], profile[1] = 0.3, 0.1
    vwap = make("vwap", seconds=120, slices=2)
    assert vwap.target(replace(VIEW, profile=profile, seconds=0)) == pytest.approx(Decimal("7.5"))
    assert vwap.target(replace(VIEW, profile=profile, seconds=60)) == 10


@given(st.floats(0, 1439.9), st.floats(0, 3000))
def test_volume_of_a_flat_day_is_its_length(minute: float, minutes: float):
    assert volume_between([1 / 1440] * 1440, minute, minutes) == pytest.approx(minutes / 1440, abs=1e-9)


def test_pov_takes_its_share_and_no_more_than_all():
    pov = make("pov", participation=0.1)
    assert pov.target(replace(VIEW, volume=Decimal(40))) == 4
    assert pov.target(replace(VIEW, volume=Decimal(4000))) == 10
    assert pov.gives_up(replace(VIEW, seconds=300))


@given(number=st.integers(0, 10_000), variance=st.floats(0, 0.9))
def test_iceberg_slices_vary_within_bounds(number: int, variance: float):
    iceberg = make("iceberg", display=0.1, variance=variance)
    size = iceberg.target(replace(VIEW, chance=chance(PARENT.algorithm_id, number)))
    assert Decimal(str(1 - variance)) - Decimal("1e-9") <= size <= Decimal(str(1 + variance)) + Decimal("1e-9")


def test_chance_belongs_to_the_child_and_spreads():
    drawn = [chance(UUID(int=7), number) for number in range(1000)]
    assert drawn == [chance(UUID(int=7), number) for number in range(1000)]
    assert 0.45 < sum(drawn) / 1000 < 0.55


@given(st.floats(0, 1), st.floats(0.001, 50))
def test_shortfall_holds_what_almgren_and_chriss_say(time: float, kappa_t: float):
    assert held(time, kappa_t) == pytest.approx(sinh(kappa_t * (1 - time)) / sinh(kappa_t))
    assert held(time, kappa_t) <= 1 - time + 1e-9, "never slower than TWAP"


def test_shortfall_without_urgency_is_twap():
    twap, shortfall = make("twap", seconds=100, slices=10), make("shortfall", seconds=100, slices=10, urgency=0.0)
    for at in range(0, 100, 7):
        view = replace(VIEW, seconds=float(at))
        assert shortfall.target(view) == pytest.approx(twap.target(view))
