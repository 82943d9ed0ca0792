"""The rules of trailing stops: monotone, mirrored, exact where the source names figures."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from feeds.triggers.domain import RULES, Terms, moves_at, sign_of, stop_at, terms_of, units
from schemas.types import Trailing
from tests.support.host import PERPETUAL

PRICES = st.integers(1_000, 10_000_000)
TERMS = st.one_of(
    st.builds(Terms, st.just("offset"), st.integers(1, 500_000)),
    st.builds(Terms, st.just("percent"), st.integers(1, 999_999)),
    st.builds(Terms, st.just("step"), st.integers(1, 500_000), st.integers(1, 100_000)),
    st.builds(lambda entry, width: Terms("break_even", ladder=((entry + width, entry),)), PRICES, PRICES),
    st.builds(
        lambda entry: Terms("80/80/50", ladder=((entry * 3 // 2 + 1, entry * 3 // 2), (entry * 2 + 1, entry * 2))),
        PRICES,
    ),
)
SIGNS = st.sampled_from([1, -1])

patient = settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)

pytestmark = pytest.mark.requirement("P9")


def test_every_rule_is_tested_here():
    assert set(RULES) == {"offset", "percent", "step", "break_even", "80/80/50"}


@patient
@given(TERMS, PRICES, PRICES, SIGNS)
def test_a_better_price_never_gives_a_worse_stop(terms: Terms, one: int, other: int, sign: int):
    low, high = sorted((sign * one, sign * other))
    before, after = stop_at(terms, low), stop_at(terms, high)
    assert before is None or (after is not None and after >= before)


@patient
@given(TERMS, PRICES, SIGNS)
def test_a_stop_never_stands_above_the_best_price(terms: Terms, price: int, sign: int):
    stop = stop_at(terms, sign * price)
    assert stop is None or stop <= sign * price


@patient
@given(TERMS, PRICES, SIGNS, st.integers(0, 1_000_000))
def test_between_two_moves_a_stop_stands_still(terms: Terms, price: int, sign: int, further: int):
    best = sign * price
    following = moves_at(terms, best)
    if following is None:
        assert stop_at(terms, best + further) == stop_at(terms, best)
        return
    assert following > best
    assert stop_at(terms, min(following - 1, best + further)) == stop_at(terms, best)
    if not terms.is_smooth:
        assert stop_at(terms, following) != stop_at(terms, best)


def pattern(side: Any, entry: str) -> Terms:
    trailing = Trailing(rule="80/80/50", entry_price=Decimal(entry))
    return terms_of(trailing, side, PERPETUAL, sign_of(side, "trailing_stop"))


@pytest.mark.parametrize(
    ("price", "stop"),
    [("1500", None), ("1500.1", "1500"), ("1800", "1500"), ("1800.1", "1800"), ("9000", "1800")],
)
def test_80_80_50_of_a_long_position_is_as_the_source_codes_it(price: str, stop: str | None):
    found = stop_at(pattern("sell", "1000"), units(PERPETUAL, Decimal(price), 1))
    assert found == (None if stop is None else units(PERPETUAL, Decimal(stop), 1))


@pytest.mark.parametrize(
    ("price", "stop"), [("500", None), ("499.9", "500"), ("200", "500"), ("199.9", "200"), ("10", "200")]
)
def test_80_80_50_of_a_short_position_is_the_mirror(price: str, stop: str | None):
    found = stop_at(pattern("buy", "1000"), units(PERPETUAL, Decimal(price), -1))
    assert found == (None if stop is None else units(PERPETUAL, Decimal(stop), -1))


@pytest.mark.parametrize(
    ("side", "order_type", "sign"),
    [
        ("sell", "stop", 1), ("sell", "stop_limit", 1), ("sell", "trailing_stop", 1), ("buy", "take_profit", 1),
        ("buy", "stop", -1), ("buy", "trailing_stop", -1), ("sell", "take_profit_limit", -1),
    ],
)  # fmt: skip
def test_direction(side: Any, order_type: Any, sign: int):
    assert sign_of(side, order_type) == sign
