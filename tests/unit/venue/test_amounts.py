"""Amounts are exact at any size."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue.amounts import ONE, amount_of, decimal_amount, fee_on, notional_factor, rate_of
from feeds.venue.clearing import Clearing, total_money
from feeds.venue.market import MarketState
from patriot.domain.errors import InvalidValue
from tests.unit.venue.world import PERPETUAL


@given(st.integers(-(10**36), 10**36))
def test_amounts_survive_the_way_through_decimal(amount):
    assert amount_of(decimal_amount(amount)) == amount


def test_decimals_have_no_trailing_zeros_and_no_exponent():
    assert str(decimal_amount(1500 * ONE)) == "1500"
    assert str(decimal_amount(-3 * ONE // 2)) == "-1.5"
    assert str(decimal_amount(0)) == "0"


def test_what_does_not_fit_is_refused():
    for bad in (Decimal("1e-19"), Decimal("NaN"), Decimal("Infinity")):
        with pytest.raises(InvalidValue):
            amount_of(bad)
    with pytest.raises(InvalidValue):
        notional_factor(replace(PERPETUAL, price_decimals=10, quantity_decimals=9))


def test_fees_are_cut_to_eight_decimals_toward_zero():
    assert fee_on(amount_of(Decimal("0.00001")), rate_of(Decimal("0.0005"))) == 0
    assert decimal_amount(fee_on(amount_of(Decimal("123.456789")), rate_of(Decimal("0.001")))) == Decimal("0.12345678")
    rebate = fee_on(amount_of(Decimal("123.456789")), rate_of(Decimal("-0.001")))
    assert decimal_amount(rebate) == Decimal("-0.12345678")


@given(st.lists(st.integers(1, 10**9), min_size=1, max_size=6), st.integers(-(10**9), 10**9), st.integers(1, 10**9))
def test_funding_that_does_not_divide_goes_to_the_insurance(sizes, rate, mark):
    fine = replace(
        PERPETUAL, price_decimals=9, quantity_decimals=9, tick_size=Decimal("1e-9"), lot_size=Decimal("1e-9")
    )
    market = MarketState(fine, {})
    clearing = Clearing({fine.id: market}, unified=False)
    market.mark, market.funding_rate = mark, Decimal(rate).scaleb(-12)
    for number, size in enumerate(sizes):
        account = clearing.open_account(f"a{number}")
        clearing.settle_external(account, market, 1, size)
        clearing.settle_external(clearing.house, market, 1, -size)
    before = total_money(clearing)
    clearing.pay_funding(market)
    assert total_money(clearing) == before
    assert clearing.insurance.holding("linear", "USDT").total >= 0
