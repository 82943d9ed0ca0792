"""What a flush tells, and what waits when the store does not answer."""

from datetime import timedelta

import pytest

from feeds.market_data.hub import MarketHub
from feeds.market_data.outputs import PRICE_SECONDS, Outputs
from patriot.protocols.market import BookSnapshot, Quote, Trade
from patriot.runtime.clock import VirtualClock
from patriot.runtime.context import price_key
from patriot.runtime.edge import system_context
from patriot.store.api import Query, StoreUnavailable
from patriot.telemetry.metrics import metrics
from schemas.reports import REPORTS, PriceReport
from tests.support.host import define, running_host
from tests.unit.market_data.world import BTC, ETH, START

START_MS = int(START.timestamp() * 1000)


class Stage:
    def __init__(self, host):
        self.runtime = host.runtime
        self.clock = self.runtime.clock = self.runtime.state._clock = VirtualClock(START)
        self.hub = MarketHub(60)
        self.hub.define(BTC)
        self.outputs = Outputs(self.hub, system_context(self.runtime, "market-data"))
        self.told = []
        self.runtime.publisher.publish = self.publish
        self.runtime.publisher.is_heard = lambda _: True

    async def publish(self, topic, *messages):
        self.told += [(topic, one) for one in messages]

    async def flush(self, *messages, after=0.1):
        for message in messages:
            self.hub.on_market(message)
        self.clock.advance_to(self.clock.now() + timedelta(seconds=after))
        await self.outputs.flush()


@pytest.fixture
async def stage():
    async with running_host(feeds=()) as host:
        yield Stage(host)


def market(number=1):
    return (
        BookSnapshot(BTC.id, [(100, 1)], [(101, 1)], 1, 0),
        Quote(BTC.id, 100, 1, 101, 1, 2, 0),
        Trade(BTC.id, 100, 5, False, str(number), START_MS + number),
    )


@pytest.mark.requirement("P13")
async def test_outputs_price_lies_in_the_state_store_for_its_time_to_live(stage):
    await stage.flush(*market())
    entry = await stage.runtime.state.get(price_key(BTC.id))
    assert str(PriceReport.model_validate_json(entry.value).bid) == "1"
    stage.clock.advance_to(stage.clock.now() + timedelta(seconds=PRICE_SECONDS + 0.1))
    assert await stage.runtime.state.get(price_key(BTC.id)) is None
    await stage.flush()
    assert await stage.runtime.state.get(price_key(BTC.id)) is not None, "refreshed"


async def test_outputs_every_message_fits_its_contract_and_its_id_is_derived(stage):
    await stage.flush(*market())
    await stage.flush(after=2.5)
    kinds = {one.type for _, one in stage.told}
    assert kinds == {"market.price", "market.book", "market.trade", "market.bar"}
    for _, one in stage.told:
        REPORTS[one.type].model_validate_json(bytes(one.data))
    ids = [one.id for _, one in stage.told]
    assert len(set(ids)) == len(ids)
    assert f"market.trade:{BTC.id}:1" in ids


async def test_outputs_closed_bars_are_written_in_bulk(stage):
    await stage.flush(*market())
    await stage.flush(after=2.5)
    rows = await stage.runtime.store.find(Query("ohlc", None, {}))
    assert [(row["interval"], row["trades"]) for row in rows] == [("1s", 1)]
    assert await stage.runtime.store.find(Query("ticks", None, {})) == []


async def test_outputs_rows_wait_while_the_store_does_not_answer(stage):
    commit = stage.runtime.store.commit

    async def refuse(_):
        raise StoreUnavailable("gone")

    stage.runtime.store.commit = refuse
    await stage.flush(*market())
    await stage.flush(after=2.5)
    assert len(stage.told) >= 4, "prices go on"
    stage.runtime.store.commit = commit
    await stage.flush(after=1)
    assert len(await stage.runtime.store.find(Query("ohlc", None, {}))) == 1


async def test_outputs_learn_definitions_from_the_store(stage):

    await stage.flush(Quote(ETH.id, 1, 1, 2, 1, 1, 0))
    await define(stage.runtime.store, ETH)
    await stage.flush(after=1.1)
    assert await stage.runtime.state.get(price_key(ETH.id)) is not None


@pytest.mark.requirement("A8", "B13")
async def test_way_of_market_data_from_the_venue_is_measured(stage):
    def told(name, **labels):
        return metrics.registry.get_sample_value(name, {"venue": "BINANCE", **labels}) or 0.0

    def figures():
        seconds = "market_data_delivery_seconds"
        counts = [told("market_data_told_total", kind=kind) for kind in ("prices", "books", "trades")]
        return [told(f"{seconds}_count"), told(f"{seconds}_sum"), *counts]

    before = figures()
    await stage.flush(*market(), Trade(BTC.id, 100, 5, False, "2", START_MS + 50), after=0.2)
    grown = [now - then for now, then in zip(figures(), before, strict=True)]
    assert grown == pytest.approx([1, 0.15, 1, 1, 2], abs=1e-3)  # seconds since 1970 have few digits left
