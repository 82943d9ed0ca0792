"""Samples of what accounts are worth, and the performance of each day."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID

import pytest

from functions.portfolio_projection.metrics import measure_days, record_of
from functions.portfolio_projection.snapshots import take_snapshots
from patriot.runtime.edge import system_context
from patriot.store.api import Query
from tests.support.host import PERPETUAL, SPOT, Client, define, running_host, set_price


@pytest.fixture
async def world():
    async with running_host(snapshot_seconds=60, metrics_seconds=60) as host:
        await define(host.runtime.store, PERPETUAL, SPOT)
        await set_price(host, SPOT.id, "50000", "50001")
        ada = await Client(host).register("ada")
        account = await ada.paper_account(USDT="1000", BTC="0.1")
        yield host, ada, UUID(account)


async def rows(host, table, **where):
    return await host.runtime.store.find(Query(table, None, where, ["time"]))


@pytest.mark.requirement("P3")
async def test_sample_has_every_asset_and_the_total(world):
    host, _, account = world
    await take_snapshots(system_context(host.runtime, "portfolio-projection"))
    taken = await rows(host, "portfolio_snapshots", account_id=account)
    assert {row["instrument"]: row["value_usd"] for row in taken} == {"USDT": 1000, "BTC": 5000, "*": 6000}
    assert len({row["time"] for row in taken}) == 1
    assert {row["tenant_id"] for row in taken} == {UUID(int=1)}


async def test_sample_without_a_price_has_no_total(world):
    host, ada, account = world
    await ada.json("POST", f"/accounts/{account}/funds", {"asset": "DOGE", "amount": "1"}, 201)
    await take_snapshots(system_context(host.runtime, "portfolio-projection"))
    (total,) = await rows(host, "portfolio_snapshots", account_id=account, instrument="*")
    assert total["value_usd"] is None


@pytest.mark.requirement("P3", "P12")
async def test_day_counts_profit_without_what_was_paid_in(world):
    host, ada, account = world
    context = system_context(host.runtime, "portfolio-projection")
    await measure_days(context)
    (day,) = await rows(host, "performance_metrics")
    assert (day["total_balance_usd"], day["daily_pnl"]) == (6000, 0)
    await set_price(host, SPOT.id, "51000", "51001")
    await ada.json("POST", f"/accounts/{account}/funds", {"asset": "USDT", "amount": "500"}, 201)
    await measure_days(context)
    (day,) = await rows(host, "performance_metrics")
    assert day["total_balance_usd"] == 6600
    page = await ada.json("GET", "/analytics/days")
    assert [row["total_balance"] for row in page["days"]] == ["6600"]
    assert day["time"] == datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def test_record_of_days_takes_deposits_out():
    record = record_of([(Decimal(110), Decimal(10)), (Decimal(240), Decimal(30)), (Decimal(216), Decimal(-24))])
    assert record.returns == pytest.approx([0.1, 30 / 110, -0.1])
    assert record.seconds == timedelta(days=1).total_seconds()
