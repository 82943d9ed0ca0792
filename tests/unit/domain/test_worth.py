"""What an asset and an account are worth."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.valuation import Valuation
from patriot.domain.worth import TOTAL, Market, holdings, profit_of
from tests.support.host import PERPETUAL, SPOT
from tests.unit.domain.statistics.test_trips import INVERSE

ACCOUNT = UUID(int=7)
PRICES = {("BTC", "USDT"): Decimal(50_000), ("EUR", "USDT"): Decimal("1.25"), ("ETH", "BTC"): Decimal("0.05")}


def balance(asset, total):
    return {"account_id": ACCOUNT, "asset": asset, "total": Decimal(total)}


def position(instrument, quantity, average):
    return {
        "account_id": ACCOUNT,
        "instrument": instrument.id,
        "quantity": Decimal(quantity),
        "average_price": Decimal(average),
    }


def market(marks, prices=PRICES, currency="USDT"):
    instruments = {one.id: one for one in (PERPETUAL, SPOT, INVERSE)}
    return Market(instruments, {one.id: Decimal(mark) for one, mark in marks.items()}, Valuation(prices), currency)


@pytest.mark.parametrize(
    ("asset", "currency", "rate"),
    [
        ("USDT", "USDT", "1"),
        ("BTC", "USDT", "50000"),
        ("USDT", "EUR", "0.8"),
        ("ETH", "USDT", "2500"),
        ("ETH", "EUR", "2000"),
    ],
)
def test_rate_walks_over_known_pairs(asset, currency, rate):
    assert Valuation(PRICES).rate(asset, currency) == Decimal(rate)


def test_unknown_price_is_none_and_nothing_is_worth_nothing():
    valuation = Valuation(PRICES)
    assert valuation.rate("DOGE", "USDT") is None
    assert valuation.rate("USDT", "USD") is None  # no peg is ever assumed
    assert valuation.value("DOGE", Decimal(0), "USDT") == 0
    assert valuation.total([("BTC", Decimal(1)), ("DOGE", Decimal(1))], "USDT") is None


@given(st.decimals("0.0001", "100000", places=4), st.sampled_from(["BTC", "ETH", "EUR", "USDT"]))
def test_there_and_back_is_the_same(amount, asset):
    valuation = Valuation(PRICES)
    there = valuation.value("USDT", amount, asset)
    assert valuation.value(asset, there, "USDT") == pytest.approx(amount, rel=Decimal("1e-9"))


@pytest.mark.requirement("T6")
def test_equity_is_cash_and_derivatives_profit():
    rows = holdings(
        [balance("USDT", 1000), balance("BTC", "0.1")],
        [position(PERPETUAL, "-0.2", 49_000), position(SPOT, "0.1", 40_000)],
        market({PERPETUAL: 50_000, SPOT: 50_000}),
    )
    told = {row.name: (row.value, row.unrealised) for row in rows}
    assert told["USDT"] == (1000, 0)
    assert told["BTC"] == (5000, 1000)
    assert told[PERPETUAL.id] == (-200, -200)
    assert told[TOTAL] == (5800, 800)


def test_missing_price_leaves_the_total_unknown():
    rows = holdings([balance("USDT", 1), balance("DOGE", 1)], [], market({}))
    assert [(row.name, row.value) for row in rows] == [("USDT", 1), ("DOGE", None), (TOTAL, None)]


def test_flat_positions_and_empty_balances_are_left_out():
    rows = holdings([balance("DOGE", 0)], [position(PERPETUAL, 0, 0)], market({}))
    assert [(row.name, row.value) for row in rows] == [(TOTAL, 0)]


def test_inverse_profit_is_in_coins():
    assert profit_of(position(INVERSE, 10, 50_000), INVERSE, Decimal(100_000)) == Decimal("0.01")
    assert profit_of(position(INVERSE, -10, 50_000), INVERSE, Decimal(100_000)) == Decimal("-0.01")
