"""Daily bars become rows: from the venue where it can be asked, from stored minutes where not."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from feeds.market_data.days import RETRY_SECONDS, Days
from feeds.market_data.hub import MarketHub
from feeds.market_data.rest import Day
from feeds.market_data.transport import TransportError
from patriot.protocols.market import Trade
from patriot.runtime.clock import VirtualClock
from patriot.runtime.edge import system_context
from patriot.store.api import Query, Row
from tests.support.host import define, running_host
from tests.unit.market_data.world import BTC

NOON = datetime(2026, 1, 10, 12, tzinfo=UTC)
MIDNIGHT = NOON - timedelta(hours=12)


def day(ago, close="2"):
    prices = (Decimal(text) for text in ("1", "3", "0.5", close))
    return Day(MIDNIGHT - timedelta(days=ago), *prices, Decimal(7), None)


class Venue:
    """`down` is how many questions it does not answer."""

    def __init__(self, days, down=0):
        self.told, self.down, self.asked = days, down, 0

    async def days(self, instrument, until):
        self.asked += 1
        if self.asked <= self.down:
            raise TransportError("down")
        return self.told


class Stage:
    def __init__(self, host, venue):
        self.runtime = host.runtime
        self.clock = self.runtime.clock = VirtualClock(NOON)
        hub = MarketHub(60)
        hub.define(BTC)
        hub.on_market(Trade(BTC.id, 100, 5, False, "1", 0))
        self.context = system_context(self.runtime, "market-data")
        self.days = Days(self.context, hub, lambda _: venue)

    async def look(self, after=0.0):
        self.clock.advance_to(self.clock.now() + timedelta(seconds=after))
        await self.days.look()

    async def rows(self):
        return await self.runtime.store.find(Query("ohlc", None, {"interval": "1d"}, ["time"]))


@pytest.fixture
async def make_stage():
    async with running_host(feeds=()) as host:
        yield lambda venue: Stage(host, venue)


@pytest.mark.requirement("P3", "P11")
async def test_days_of_the_venue_are_written_once_without_the_one_that_grows(make_stage):
    venue = Venue([day(2), day(1), day(0, "9")])
    stage = make_stage(venue)
    for _ in range(3):
        await stage.look(after=5)
    assert [row["time"] for row in await stage.rows()] == [MIDNIGHT - timedelta(days=2), MIDNIGHT - timedelta(days=1)]
    assert venue.asked == 1


async def test_days_are_asked_again_after_midnight(make_stage):
    venue = Venue([day(1), day(0)])
    stage = make_stage(venue)
    await stage.look()
    await stage.look(after=12 * 3600 + 1)
    assert venue.asked == 1, "the last bars of the day may still be on their way"
    await stage.look(after=10)
    assert [row["time"] for row in await stage.rows()] == [MIDNIGHT - timedelta(days=1), MIDNIGHT]


async def test_days_that_cannot_be_asked_are_asked_again_in_a_minute(make_stage):
    venue = Venue([day(1)], down=1)
    stage = make_stage(venue)
    await stage.look()
    await stage.look(after=5)
    assert (venue.asked, await stage.rows()) == (1, [])
    await stage.look(after=RETRY_SECONDS)
    assert (venue.asked, len(await stage.rows())) == (2, 1)


@pytest.mark.requirement("P3")
async def test_day_cut_by_a_restart_is_joined_from_its_minutes(make_stage):
    stage = make_stage(None)
    await define(stage.runtime.store, BTC)
    yesterday = MIDNIGHT - timedelta(days=1)
    prices = [("10", "12", "9", "11"), ("11", "15", "11", "14"), ("14", "14", "8", "13")]
    names = ("open", "high", "low", "close")

    def bar(when, interval, figures):
        values = {name: Decimal(text) for name, text in zip(names, figures, strict=True)}
        values |= {"volume": Decimal(2), "trades": 3}
        return Row("ohlc", {"time": when, "instrument": BTC.id, "interval": interval, **values})

    minutes = [bar(yesterday + timedelta(hours=hour), "1m", prices[hour]) for hour in range(3)]
    today, partial = bar(MIDNIGHT, "1m", prices[0]), bar(yesterday, "1d", prices[2])
    await stage.context.write([*minutes, today, partial])
    await stage.look()
    (row,) = await stage.rows()
    assert [row[name] for name in names] == [Decimal(text) for text in ("10", "15", "8", "13")]
    assert (row["volume"], row["trades"]) == (6, 9)
