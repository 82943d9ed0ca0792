"""Recorded markets through the whole platform: orders, fills, a balanced ledger, and the same events every time."""

from decimal import Decimal

import pytest

from patriot.protocols.errors import RecordingError
from patriot.replay import ReplayPlan, replay
from tests.data import recording

LONGER_THAN_A_MINUTE = (
    "usdm_btcusdt_20240808.gz",
    "usdm_btcusdt_20240718.gz",
    "usdm_btcusdt_20240719.gz",
    "usdm_btcusdt_20230404.dat.gz",
    "usdm_btcusdt_20230405.dat.gz",
    "spot_btcusdt_20240808.gz",
    "spot_btcusdt_20230405.dat.gz",
)
QUICK = {"bar_seconds": 1, "fast": 2, "slow": 5, "notional": "1000"}


@pytest.mark.slow
@pytest.mark.requirement("T3", "T11", "P7", "P12")
@pytest.mark.parametrize("name", LONGER_THAN_A_MINUTE)
async def test_replay_ends_with_orders_fills_and_a_balanced_ledger(name):
    result = await replay(ReplayPlan([recording(f"hftbacktest/{name}")]))
    assert result.orders > 0
    assert result.fills > 0
    assert result.unbalanced == {}
    assert set(result.statuses) <= {"filled", "expired"}, result.statuses


async def test_replay_with_one_seed_is_equal_to_the_byte():
    plan = ReplayPlan([recording("hftbacktest/usdm_btcusdt_20240718.gz")], seed=7)
    first, second = await replay(plan), await replay(plan)
    assert first.event_hash == second.event_hash
    assert first == second


async def test_replay_with_another_seed_differs():
    path = recording("hftbacktest/usdm_btcusdt_20240718.gz")
    first, second = await replay(ReplayPlan([path], seed=1)), await replay(ReplayPlan([path], seed=2))
    assert first.event_hash != second.event_hash


async def test_replay_of_bybit_uses_its_own_definitions():
    path = recording("cryptofeed/v3-2026-AGPL/BYBIT.v5.BTC-ETH.jsonl.zst")
    result = await replay(ReplayPlan([path], parameters=QUICK))
    assert result.fills > 0
    assert result.unbalanced == {}
    assert result.started_at.year == 2026


async def test_replay_counts_profit_and_fees_exactly():
    result = await replay(ReplayPlan([recording("hftbacktest/usdm_btcusdt_20230404.dat.gz")], parameters=QUICK))
    assert isinstance(result.realised_pnl, Decimal)
    assert result.fees > 0


async def test_replay_of_garbage_names_file_and_rule(tmp_path):
    path = tmp_path / "garbage.gz"
    path.write_bytes(b"\x1f\x8bnot gzip at all")
    with pytest.raises(RecordingError, match="garbage.gz"):
        await replay(ReplayPlan([path]))


async def test_replay_of_an_empty_file_says_so(tmp_path):
    path = tmp_path / "empty"
    path.write_bytes(b"")
    with pytest.raises(RecordingError, match="the file is empty"):
        await replay(ReplayPlan([path]))
