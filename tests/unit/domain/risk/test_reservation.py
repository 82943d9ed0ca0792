"""What an order reserves: the table, and that no fill within its price can cost more."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.order import Reservation
from patriot.domain.position import apply_fill
from patriot.domain.risk.limits import Limits
from patriot.domain.risk.reservation import dearest_price, quote_value, reservation_for
from schemas.events import OrderFilled
from tests.unit.domain.examples import ACCOUNT, ORDER, USER, instrument
from tests.unit.domain.risk.examples import context, price

MARKET = {"order_type": "market", "price": None}
STOP = {"order_type": "stop", "price": None, "stop_price": "150"}
SELL = {"side": "sell"}


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("kind", "order", "asset", "amount"),
    [
        ("spot", {}, "USDT", "1001"),  # 10 x 100 x 1.001
        ("spot", MARKET, "USDT", "1112.111"),  # 10 x 101 x 1.1 x 1.001
        ("spot", STOP, "USDT", "1651.65"),  # 10 x 150 x 1.1 x 1.001
        ("spot", SELL, "BTC", "10"),
        ("spot", {**SELL, **MARKET}, "BTC", "10"),
        ("linear", {}, "USDT", "101"),  # 1000 / 10 + 1000 x 0.001
        ("linear", MARKET, "USDT", "112.211"),
        ("linear", {**SELL, "price": "100"}, "USDT", "101"),
        ("linear", {**SELL, "price": "50"}, "USDT", "99.99"),  # fills at the bid of 99
        ("linear", {**SELL, **MARKET}, "USDT", "99.99"),
        ("linear", {**SELL, **STOP}, "USDT", "151.5"),
        ("linear", {"reduce_only": True}, "USDT", "1"),
        ("inverse", {"quantity": "100"}, "BTC", "10.1"),  # 100 contracts of 100 USD at 100: 100 BTC
        ("inverse", {"quantity": "101", "price": "120"}, "BTC", "10.1"),  # fills at the ask of 101
        ("inverse", {"quantity": "101", **MARKET}, "BTC", "10.1"),
        ("inverse", {**SELL, "quantity": "100"}, "BTC", "10.1"),
        ("inverse", {**SELL, "quantity": "891", **MARKET}, "BTC", "101"),  # 99 x 0.9
    ],
)
def test_reservation_table(kind, order, asset, amount):
    assert reservation_for(context(kind, order=order)) == Reservation(asset, Decimal(amount))


def test_reservation_counts_only_what_is_open():
    assert reservation_for(context(filled_quantity=Decimal(4))).amount == Decimal("600.6")


def test_reservation_is_rounded_up():
    third = context("linear", order={"price": "0.01", "quantity": "0.001"}, leverage=3, price=price("0.01", "0.01"))
    assert reservation_for(third).amount == Decimal("0.000003343333333334")


@pytest.mark.requirement("P11")
def test_nobody_chose_a_leverage_the_whole_value_is_reserved():
    assert reservation_for(context("linear", leverage=None)).amount == 1001


@pytest.mark.requirement("P11")
@given(leverage=st.integers(1, 125), quantity=st.decimals("0.001", 100, places=3), limit=st.decimals(50, 150, places=2))
def test_leverage_divides_the_margin_and_never_the_fee(leverage: int, quantity: Decimal, limit: Decimal):
    order = {"quantity": f"{quantity:f}", "price": f"{limit:f}"}
    unlevered = reservation_for(context("linear", order=order, leverage=None)).amount
    reserved = reservation_for(context("linear", order=order, leverage=leverage)).amount
    fee = reservation_for(context("linear", order={**order, "reduce_only": True}, leverage=leverage)).amount
    assert 0 <= (reserved - fee) * leverage - (unlevered - fee) < Decimal("1E-15")


def test_rebate_is_not_counted_on():
    free = instrument(taker_fee=Decimal("-0.001"), maker_fee=Decimal("-0.002"))
    assert reservation_for(context(instrument=free)).amount == 1000
    dear_maker = instrument(taker_fee=Decimal("0.001"), maker_fee=Decimal("0.002"))
    assert reservation_for(context(instrument=dear_maker)).amount == 1002


def test_market_order_without_a_collar_counts_on_the_usual_slippage():
    assert dearest_price(context(order=MARKET, limits=Limits(price_collar=None))) == Decimal("106.05")


@pytest.mark.parametrize(("kind", "value"), [("spot", 1000), ("linear", 1000), ("inverse", 1000)])
def test_quote_value(kind, value):
    assert quote_value(instrument(kind), Decimal(10), Decimal(100)) == value


@given(
    kind=st.sampled_from(["spot", "linear", "inverse"]),
    side=st.sampled_from(["buy", "sell"]),
    quantity=st.decimals("0.001", 100, places=3),
    limit=st.decimals("50", "150", places=2),
    better=st.decimals(0, 1, places=4),
    bid=st.decimals("60", "140", places=2),
)
@pytest.mark.requirement("P11")
def test_no_fill_at_the_limit_or_better_costs_more_than_was_reserved(
    *, kind: str, side: str, quantity: Decimal, limit: Decimal, better: Decimal, bid: Decimal
):
    """A limit order fills between its limit and the market on the other side; fee and margin are covered."""
    market = price(str(bid), str(bid + 1))
    reserved = reservation_for(
        context(kind, order={"side": side, "quantity": f"{quantity:f}", "price": f"{limit:f}"}, price=market)
    )
    best = min(limit, market.ask) if side == "buy" else max(limit, market.bid)
    at = (limit + (best - limit) * better).quantize(Decimal("0.01"))
    names = {"order_id": ORDER, "account_id": ACCOUNT, "user_id": USER, "trade_id": "T", "liquidity": "taker"}
    traded = instrument(kind)
    fee_asset = traded.settle if kind == "inverse" else traded.quote
    fee = (traded.notional(quantity, at) * traded.taker_fee).quantize(Decimal("1E-18"))
    amounts = {"price": at, "quantity": quantity, "filled_quantity": quantity, "fee": fee, "fee_asset": fee_asset}
    event = apply_fill(None, OrderFilled(**names, **amounts), side=side, instrument=traded, leverage=10)
    cash = -sum(line.amount for line in event.postings if (line.ledger, line.asset) == ("cash", reserved.asset))
    bound = sum(hold.margin for hold in event.holds)
    assert cash + bound <= reserved.amount + Decimal("2E-18"), "the fee and the margin are each rounded once"
