"""Instruments: units there and back, notionals, names."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import decimals_of
from tests.unit.domain.examples import instrument


def test_names_come_from_the_id():
    linear = instrument("linear")
    assert (linear.venue, linear.symbol, linear.is_derivative) == ("BINANCE", "BTC/USDT:USDT", True)
    assert not instrument().is_derivative


@given(st.integers(-(10**17), 10**17))
def test_units_there_and_back(units):
    spot = instrument()
    assert spot.price_units(spot.price_of(units)) == units
    assert spot.quantity_units(spot.quantity_of(units)) == units


@pytest.mark.parametrize("method", ["price_units", "quantity_units"])
@pytest.mark.parametrize("number", ["1.2345", "123456789012345678.0000000000000001"])
def test_units_refuse_what_the_scale_cannot_hold(method, number):
    with pytest.raises(InvalidValue, match="decimals") as refused:
        getattr(instrument(), method)(Decimal(number))
    assert refused.value.field == method.removesuffix("_units")


def test_units_of_the_largest_amount_with_eighteen_decimals_are_exact():
    fine = instrument(price_decimals=18)
    assert fine.price_units(Decimal("999999999999999999.999999999999999999")) == 10**36 - 1


@pytest.mark.parametrize(("kind", "notional"), [("spot", "500"), ("linear", "500"), ("inverse", "2")])
def test_notional_is_in_quote_or_in_base_for_inverse(kind, notional):
    assert instrument(kind).notional(Decimal(5), Decimal(100) if kind != "inverse" else Decimal(250)) == Decimal(
        notional
    )


@pytest.mark.parametrize(("step", "decimals"), [("0.010", 2), ("1", 0), ("10", 0), ("0.00000001", 8), ("0.5", 1)])
def test_decimals_of_a_step(step, decimals):
    assert decimals_of(Decimal(step)) == decimals
