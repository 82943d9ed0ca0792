"""A strategy over a recording, measured by the functions that measure live accounts."""

from decimal import Decimal

import pytest

from patriot.backtest import backtest
from patriot.replay import ReplayPlan, replay
from patriot.report.page import render
from tests.data import recording

PARAMETERS = {"bar_seconds": 1, "fast": 5, "slow": 20, "notional": "20000"}


@pytest.mark.requirement("T11", "T7", "P12")
async def test_backtest_measures_what_the_replay_traded():
    plan = ReplayPlan([recording("hftbacktest/usdm_btcusdt_20240718.gz")], parameters=PARAMETERS)
    tested = await backtest(plan)
    told = {one["name"]: one["value"] for one in tested.view["figures"]}
    curve = tested.view["curve"]
    assert tested.result.unbalanced == {}
    assert told["total_trades"] + told["open_trades"] > 1
    assert told["end_equity"] == curve["equity"][-1] < 100_000
    assert len(curve["benchmark"]) == len(curve["equity"]) > 60
    closed = sum(Decimal(trip["profit"]) for trip in tested.view["trips"])
    assert told["net_profit"] == pytest.approx(float(closed))
    assert told["beta"] is not None
    assert "ema_cross" in render(tested.view, "ema_cross")


async def test_equity_ends_where_profit_and_fees_say():
    plan = ReplayPlan([recording("hftbacktest/usdm_btcusdt_20240718.gz")], parameters=PARAMETERS)
    tested, replayed = await backtest(plan), await replay(plan)
    told = {one["name"]: one["value"] for one in tested.view["figures"]}
    assert tested.result.fills == replayed.fills
    cash = Decimal(100_000) + tested.result.realised_pnl - tested.result.fees
    assert told["end_equity"] == pytest.approx(float(cash) + told["open_profit"], abs=1.0)


@pytest.mark.requirement("T6", "P12", "T11")
@pytest.mark.parametrize(
    ("strategy", "parameters"),
    [
        ("mean_reversion", {"length": 10, "entry": "1"}),
        ("breakout", {"entry": 5, "exit": 3, "long_bars": 5, "trend": 2}),
        ("grid", {"length": 5, "levels": 1, "width": "0.2"}),
    ],
)
async def test_example_strategies_trade_a_recording(strategy, parameters):
    path = recording("hftbacktest/usdm_btcusdt_20240718.gz")
    given = {"bar_seconds": 1, "notional": "5000", **parameters}
    tested = await backtest(ReplayPlan([path], strategy, given))
    assert tested.result.unbalanced == {}
    assert tested.result.orders > 0
    assert tested.result.fills > 0
    assert {trip["strategy"] for trip in tested.view["trips"]} <= {f"{strategy} BTCUSDT"}
