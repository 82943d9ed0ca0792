"""Performance over HTTP: what is told agrees with the rows, and with nobody else's."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import pytest

from functions.analytics_queries.domain import at_samples, grid_of, on_grid, summed_on_grid
from patriot.domain.statistics.record import STATISTICS, Record
from patriot.store.api import Commit, Origin, Row
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price

START = datetime(2026, 3, 1, tzinfo=UTC)
ORIGIN = Origin(TENANT, "service:test", "req_1_00000000")


def trade(account, minute, side, quantity, price, *, order=None):
    return Row(
        "trades",
        {
            "account_id": UUID(account),
            "trade_id": f"t{minute}",
            "order_id": order or uuid4(),
            "instrument": PERPETUAL.id,
            "side": side,
            "quantity": Decimal(quantity),
            "price": Decimal(price),
            "fee": Decimal("0.1"),
            "fee_asset": "USDT",
            "liquidity": "taker",
            "realised_pnl": Decimal(0),
            "executed_at": START + timedelta(minutes=minute),
        },
    )


def snapshot(account, minute, value):
    return Row(
        "portfolio_snapshots",
        {
            "account_id": UUID(account),
            "instrument": "*",
            "time": START + timedelta(minutes=minute),
            "value_usd": None if value is None else Decimal(value),
        },
    )


def bar(minute, low, high, close):
    prices = {"open": Decimal(low), "low": Decimal(low), "high": Decimal(high), "close": Decimal(close)}
    when = START + timedelta(minutes=minute)
    return Row("ohlc", {"instrument": PERPETUAL.id, "interval": "1m", "time": when, "volume": Decimal(1), **prices})


def figures(view):
    return {one["name"]: one["value"] for one in view["figures"]}


@pytest.fixture
async def world():
    """Ada has traded; eve has an account."""
    async with running_host(snapshot_seconds=60) as host:
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "100", "101")
        ada, eve = await (client := Client(host)).register("ada"), await client.register("eve")
        account = await ada.paper_account(USDT="1000")
        await eve.paper_account(USDT="5")
        strategic = uuid4()
        order = {"id": strategic, "account_id": UUID(account), "strategy_id": "grid", "stream_version": 1}
        rows = [
            trade(account, 1, "buy", "1", "100", order=strategic),
            trade(account, 11, "sell", "1", "110", order=strategic),
            trade(account, 20, "sell", "2", "110"),
            trade(account, 30, "buy", "2", "115"),
            *(snapshot(account, minute, value) for minute, value in enumerate(("1000", "990", None, "1010", "1020"))),
            *(bar(minute, 95 + minute, 105 + minute, 100 + minute) for minute in range(40)),
            Row("orders", order),
        ]
        await host.runtime.store.commit(Commit(ORIGIN, START, rows=rows))
        yield ada, eve, account


@pytest.mark.requirement("T7", "P1")
async def test_performance_tells_trips_and_curve(world):
    ada, _, account = world
    view = await ada.json("GET", f"/analytics/performance?account_id={account}&until=2026-03-01T01:00:00Z")
    told = figures(view)
    assert told.keys() == STATISTICS.keys()
    assert told["total_trades"] == 2
    assert told["net_profit"] == pytest.approx(10 - 0.2 - 10 - 0.2)
    assert told["end_equity"] == 1020
    assert view["curve"]["equity"] == [1000, 990, 990, 1010, 1020]  # what was not known stays what it was
    assert view["curve"]["seconds"] == 60
    assert [trip["strategy"] for trip in view["trips"]] == ["", "grid"]
    assert [month["month"] for month in view["months"]] == [2, 3] or [m["month"] for m in view["months"]] == [3]


async def test_excursions_come_from_the_bars(world):
    ada, _, _ = world
    page = await ada.json("GET", "/analytics/performance?until=2026-03-01T01:00:00Z")
    short, long = page["trips"]
    assert (long["adverse"], long["favourable"]) == ("-4", "16")  # bars 1 to 11: 96 to 116
    assert Decimal(short["adverse"]) == -2 * (134 - 110)  # the bar that opens at the exit is not of the trip


async def test_benchmark_is_measured_over_the_same_time(world):
    ada, _, _ = world
    path = f"/analytics/performance?until=2026-03-01T01:00:00Z&benchmark={PERPETUAL.id}"
    view = await ada.json("GET", path.replace("/USDT", "%2FUSDT"))
    assert view["curve"]["benchmark"] == [100, 100, 101, 102, 103]
    assert figures(view)["beta"] is not None


async def test_strategy_has_its_own_curve(world):
    ada, _, _ = world
    view = await ada.json("GET", "/analytics/performance?strategy=grid&until=2026-03-01T01:00:00Z")
    assert figures(view)["net_profit"] == pytest.approx(9.8)
    assert view["curve"]["equity"][-1] - view["curve"]["equity"][0] == pytest.approx(9.8)


@pytest.mark.parametrize("by", ["strategy", "symbol", "venue", "hour", "weekday", "side"])
async def test_breakdown_adds_up(world, by):
    ada, _, _ = world
    view = await ada.json("GET", f"/analytics/breakdown?by={by}")
    assert sum(group["trips"] for group in view["groups"]) == 2
    assert sum(Decimal(group["profit"]) for group in view["groups"]) == Decimal("-0.4")


@pytest.mark.requirement("A4")
async def test_nobody_sees_anothers(world):
    _, eve, account = world
    assert (await eve.call("GET", f"/analytics/performance?account_id={account}")).status == 404
    view = await eve.json("GET", "/analytics/performance")
    assert view["trips"] == []
    assert figures(view)["total_trades"] == 0


async def test_statistics_explain_themselves(world):
    ada, _, _ = world
    page = await ada.json("GET", "/analytics/statistics")
    assert len(page["statistics"]) == len(STATISTICS)
    assert all(one["text"] for one in page["statistics"])


async def test_trips_are_newest_first(world):
    ada, _, _ = world
    page = await ada.json("GET", "/analytics/trips?limit=1")
    assert [trip["side"] for trip in page["trips"]] == ["sell"]


@pytest.mark.parametrize("query", ["seconds=nan", "seconds=0", "risk_free=inf", "since=yesterday", "strategy="])
async def test_nonsense_is_refused(world, query):
    ada, _, _ = world
    assert (await ada.call("GET", f"/analytics/performance?{query}")).status == 422


async def test_deposit_between_two_samples_is_no_return(world):
    """Told by the sample that has it first, wherever the even times lie."""
    points = [(0.4, 100.0), (2.3, 200.0), (4.1, 220.0)]
    grid = grid_of(points, 2.0)
    flows = summed_on_grid(at_samples([(0.3, 100.0), (0.9, 100.0), (5.0, 7.0)], points), grid)
    record = Record(grid, on_grid(points, grid), 2.0, flows)
    assert list(record.equity) == [100, 100, 200, 220]
    assert record.returns == pytest.approx([0.0, 0.0, 0.1])
