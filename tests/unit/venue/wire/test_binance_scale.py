from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue.wire.binance_scale import Scale, amount, fixed
from tests.unit.venue.world import PERPETUAL, SPOT


def test_spot_numbers_have_eight_decimals_futures_their_own():
    spot, linear = Scale(SPOT), Scale(PERPETUAL)
    assert (spot.price(6_000_050), spot.quantity(1)) == ("60000.50000000", "0.00001000")
    assert (linear.price(600_005), linear.quantity(1)) == ("60000.5", "0.001")
    assert spot.price(0) == "0.00000000"
    assert spot.price(-5) == "-0.05000000"
    assert spot.levels([(100, 100_000)]) == [["1.00000000", "1.00000000"]]


@given(st.integers(-(10**15), 10**15))
def test_text_is_the_exact_number(units: int):
    assert Decimal(Scale(SPOT).price(units)) == SPOT.price_of(units)
    assert Decimal(Scale(PERPETUAL).quantity(units)) == PERPETUAL.quantity_of(units)


@pytest.mark.parametrize(
    ("number", "text"),
    [("1", "1.00000000"), ("0.123456789", "0.12345678"), ("-0.000000019", "-0.00000001"), ("1E+3", "1000.00000000")],
)
def test_amounts_are_cut_to_eight_decimals(number: str, text: str):
    assert amount(Decimal(number)) == text


def test_fixed_never_writes_an_exponent():
    assert fixed(Decimal("1E-12"), 3) == "0.000"
