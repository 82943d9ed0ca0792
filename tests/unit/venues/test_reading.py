"""Exact or not at all."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from patriot.domain.venue import OrderRef, VenueBalanceState
from patriot.venues import reading
from patriot.venues.binance import Binance
from patriot.venues.reading import Unreadable

REF = OrderRef(UUID(int=1), "BINANCE:BTC/USDT", "name-1")
ORDER: dict[str, Any] = {
    "id": "42",
    "clientOrderId": "name-1",
    "symbol": "BTC/USDT",
    "status": "closed",
    "side": "buy",
    "amount": "0.30000000",
    "filled": "0.30000000",
    "price": "0.00000001",
    "timestamp": 1_700_000_000_123,
    "info": {},
}
TRADE: dict[str, Any] = {
    "id": "7",
    "price": "60000.10",
    "amount": "0.30000000",
    "fee": {"cost": "0.00030000", "currency": "BTC"},
    "takerOrMaker": "maker",
    "timestamp": 1_700_000_000_456,
}

pytestmark = pytest.mark.requirement("P7")


def test_order_is_read_exactly_with_its_trades():
    state = reading.order_state(REF, ORDER, [TRADE])
    assert state.ref == OrderRef(REF.account_id, REF.instrument, "name-1", "42")
    assert (state.status, state.side) == ("filled", "buy")
    assert (state.quantity, state.filled_quantity, state.price) == (Decimal("0.3"), Decimal("0.3"), Decimal("1E-8"))
    assert state.time == datetime(2023, 11, 14, 22, 13, 20, 123000, UTC)
    (execution,) = state.executions
    assert (execution.trade_id, execution.price, execution.quantity) == ("7", Decimal("60000.1"), Decimal("0.3"))
    assert (execution.fee, execution.fee_asset, execution.liquidity) == (Decimal("0.0003"), "BTC", "maker")
    assert execution.time == datetime(2023, 11, 14, 22, 13, 20, 456000, UTC)
    assert reading.is_whole(state)


@pytest.mark.parametrize(
    ("told", "filled", "expected"),
    [
        ("open", "0.1", "open"),
        ("canceling", "0", "open"),
        ("closed", "0.3", "filled"),
        ("closed", "0.1", "cancelled"),
        ("canceled", "0.1", "cancelled"),
        ("expired", "0", "expired"),
        ("rejected", "0", "rejected"),
    ],
)
def test_status_is_translated(told: str, filled: str, expected: str):
    assert reading.order_state(REF, {**ORDER, "status": told, "filled": filled}).status == expected


@pytest.mark.parametrize(
    "change",
    [
        {"status": None},
        {"status": "a new one"},
        {"filled": None},
        {"filled": 0.1},
        {"amount": "NaN"},
        {"amount": "Infinity"},
        {"amount": "much"},
        {"amount": True},
        {"side": None},
        {"id": None},
        {"price": 0.1},
    ],
    ids=str,
)
def test_order_that_makes_no_sense_proves_nothing(change: dict[str, object]):
    with pytest.raises(Unreadable):
        reading.order_state(REF, {**ORDER, **change})


@pytest.mark.parametrize(
    "change",
    [
        {"id": None},
        {"price": "0"},
        {"price": None},
        {"amount": "-1"},
        {"amount": 0.3},
        {"fee": None},
        {"fee": {"cost": "0.1"}},
        {"takerOrMaker": "neither"},
    ],
    ids=str,
)
def test_trade_that_makes_no_sense_proves_nothing(change: dict[str, object]):
    with pytest.raises(Unreadable):
        reading.execution({**TRADE, **change})


def test_rebate_is_a_negative_fee_and_what_trades_at_once_takes():
    execution = reading.execution({**TRADE, "fee": {"cost": "-0.01", "currency": "USDT"}, "takerOrMaker": None})
    assert (execution.fee, execution.liquidity) == (Decimal("-0.01"), "taker")


def test_trades_short_of_the_filled_quantity_are_not_whole():
    assert not reading.is_whole(reading.order_state(REF, ORDER, [{**TRADE, "amount": "0.29999999"}]))
    assert not reading.is_whole(reading.order_state(REF, ORDER))


def test_price_of_nothing_is_none():
    assert reading.order_state(REF, {**ORDER, "price": "0.00"}).price is None
    assert reading.order_state(REF, {**ORDER, "price": None}).price is None


def test_balances_are_summed_over_wallets():
    wallet = reading.balances({"total": {"BTC": "0.1", "OLD": None}, "free": {"BTC": "0.05"}})
    other = {
        "BTC": VenueBalanceState("BTC", Decimal("0.2"), Decimal("0.2")),
        "USDT": VenueBalanceState("USDT", Decimal(5), Decimal(4)),
    }
    assert reading.summed([wallet, other]) == [
        VenueBalanceState("BTC", Decimal("0.3"), Decimal("0.25")),
        VenueBalanceState("USDT", Decimal(5), Decimal(4)),
    ]


def test_futures_wallet_of_binance_has_no_unrealised_profit_in_it():
    info = {"assets": [{"asset": "USDT", "walletBalance": "100", "availableBalance": "90", "marginBalance": "140"}]}
    told = Binance().balances({"info": info, "total": {"USDT": "140"}, "free": {"USDT": "90"}})
    assert told == {"USDT": VenueBalanceState("USDT", Decimal(100), Decimal(90))}


@pytest.mark.parametrize(
    "structure", [{}, {"total": {"BTC": "1"}, "free": {}}, {"total": {"BTC": 0.1}, "free": {"BTC": "0"}}]
)
def test_balances_that_make_no_sense_prove_nothing(structure: dict[str, object]):
    with pytest.raises(Unreadable):
        reading.balances(structure)
