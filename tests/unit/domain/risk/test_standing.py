"""How an account stands: deposits are no profit, a new day and a new peak set the marks, exposure counts alike."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.risk.exposure import by_strategy, standing_of
from patriot.domain.risk.standing import Marks, Standing, advanced
from patriot.domain.valuation import Valuation
from patriot.domain.worth import Market
from tests.unit.domain.examples import instrument

D = Decimal
ACCOUNT = UUID(int=1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LINEAR = instrument("linear", maintenance_margin_rate=D("0.01"))
MARKET = Market(
    {LINEAR.id: LINEAR, "BINANCE:BTC/USDT": instrument()},
    {LINEAR.id: D(110), "BINANCE:BTC/USDT": D(100)},
    Valuation({("BTC", "USDT"): D(100), ("ETH", "USDT"): D(10)}),
    "USDT",
)


def worth(asset: str, amount: Decimal) -> Decimal | None:
    return MARKET.valuation.value(asset, amount, "USDT")


def balance(asset: str, total: str, reserved: str = "0", margin: str = "0") -> dict[str, Any]:
    amounts = {"total": D(total), "reserved": D(reserved), "margin": D(margin)}
    return {"account_id": ACCOUNT, "asset": asset, **amounts}


def position(quantity: str, average: str = "100") -> dict[str, Any]:
    amounts = {"quantity": D(quantity), "average_price": D(average)}
    return {"account_id": ACCOUNT, "instrument": LINEAR.id, **amounts}


def test_exposure_of_spot_and_derivatives_is_one_figure_per_asset():
    held = [balance("USDT", "1000", "50", "100"), balance("BTC", "2"), balance("ETH", "3")]
    found = standing_of(held, [position("-5")], "BYBIT", MARKET)
    assert found is not None
    assert found.equity == 1000 + 200 + 30 - 50  # the short has lost 10 on each of 5
    assert found.exposure == {"BTC": 200 - 550, "ETH": 30}
    assert found.by_venue == {"BYBIT": 230, "BINANCE": 550}
    assert (found.margin, found.maintenance) == (150, D("5.5"))
    assert found.gross_exposure == 380


@pytest.mark.requirement("P11")
def test_missing_price_makes_everything_unknown():
    assert standing_of([balance("DOGE", "1")], [], "BINANCE", MARKET) is None


def test_account_without_anything_stands_at_zero():
    found = standing_of([], [], "BINANCE", MARKET)
    assert found == Standing(D(0))
    assert (found.leverage, found.drawdown, found.margin_ratio, found.liquidation_distance) == (0, 0, 0, None)


@pytest.mark.requirement("P11")
def test_liquidation_is_as_far_as_the_equity_above_maintenance_lasts():
    found = Standing(D(1000), maintenance=D(100), exposure={"BTC": D(3000), "ETH": D(-1500)})
    assert found.liquidation_distance == D("0.2")
    assert found.margin_ratio == D("0.1")
    assert Standing(D(50), maintenance=D(100), exposure={"BTC": D(3000)}).liquidation_distance == 0
    assert Standing(D(0), maintenance=D(100)).margin_ratio == Decimal("Infinity")


def test_marks_begin_follow_a_peak_and_a_day():
    marks = advanced(None, D(100), {}, worth=worth, now=NOW)
    assert marks == Marks(date(2026, 11, 21), D(100), D(100), {})
    marks = advanced(marks, D(130), {}, worth=worth, now=NOW)
    assert (marks.day_equity, marks.peak_equity) == (100, 130)
    marks = advanced(marks, D(90), {}, worth=worth, now=NOW + timedelta(days=1))
    assert (marks.day, marks.day_equity, marks.peak_equity) == (date(2026, 11, 22), 90, 130)


@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-30, 60)), min_size=1, max_size=30),
)
@pytest.mark.requirement("P11")
def test_deposits_and_withdrawals_are_neither_profit_nor_loss(steps: list[tuple[int, int]]):
    """The same profits with and without money that moves give the same loss since the peak."""
    plain = moved = None
    equity, deposited, losses = D(10_000), D(0), list[tuple[Decimal, Decimal]]()
    for profit, flow in steps:
        equity += profit
        deposited += flow
        plain = advanced(plain, equity, {}, worth=worth, now=NOW)
        moved = advanced(moved, equity + deposited * 10, {"ETH": deposited}, worth=worth, now=NOW)
        losses.append((plain.peak_equity - equity, moved.peak_equity - equity - deposited * 10))
    assert all(one == other for one, other in losses)


def test_flow_without_a_price_waits_until_there_is_one():
    marks = advanced(None, D(100), {}, worth=worth, now=NOW)
    assert advanced(marks, D(500), {"DOGE": D(5)}, worth=worth, now=NOW) == marks


def test_exposure_by_strategy_adds_up_what_was_filled():
    row = {"instrument": LINEAR.id, "side": "buy", "strategy_id": "ema", "filled_quantity": D(2)}
    rows = [
        row,
        {**row, "side": "sell", "filled_quantity": D(1)},
        {**row, "strategy_id": None},
        {**row, "instrument": "X"},
    ]
    assert by_strategy(rows, MARKET) == {"ema": 110, "": 220}
