"""Versions of definitions, and the service that keeps them, on the fake exchange and the in-memory store."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from feeds.market_data import service
from feeds.market_data.definitions import Definitions
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.hub import MarketHub
from feeds.market_data.service import MarketData
from patriot.protocols.binance import BinanceSpot
from patriot.protocols.errors import UnknownInstrument
from patriot.runtime.clock import VirtualClock
from patriot.runtime.edge import system_context
from patriot.store.api import Query
from tests.support.host import define, running_host
from tests.unit.market_data.world import BTC, ETH, START, FakeExchange, advance, spot


class Stage:
    def __init__(self, host, clock):
        self.host, self.clock = host, clock
        self.exchange = FakeExchange(clock)
        self.context = system_context(host.runtime, "market-data")
        self.hub = MarketHub(60)
        host.runtime.ticks.subscribe(self.hub.on_market)
        self.data = MarketData(self.context, self.hub, self.exchange, [Endpoint(BinanceSpot)])
        self.source = self.data.connections.sources["binance-spot"]
        self.definitions = Definitions(self.context)

    async def advance(self, seconds):
        async def settle():
            for _ in range(60):
                await asyncio.sleep(0)

        await advance(self.clock, seconds, settle)

    async def stored(self):
        rows = await self.host.runtime.store.find(Query("instruments", None, {}))
        return {row["id"]: (row["version"], row["price_decimals"], row["tick_size"]) for row in rows}


@pytest.fixture
async def stage():
    async with running_host(feeds=()) as host:
        clock = VirtualClock(START)
        host.runtime.clock = clock
        stage = Stage(host, clock)
        yield stage


async def fetch_and_store(stage, **options):
    await stage.definitions.fetch(stage.source, **options)
    return await stage.definitions.store(list(stage.source.instruments.values()))


async def test_definitions_are_stored_once_and_told(stage):
    told = []
    stage.host.runtime.publisher.publish = lambda topic, *messages: _keep(told, topic, messages)
    assert len(await fetch_and_store(stage)) == 2
    assert await fetch_and_store(stage) == []
    assert (await stage.stored())[BTC.id] == (1, 2, Decimal("0.01"))
    assert [(topic, one.type, one.id) for topic, one in told] == [
        ("market.data.prices", "market.instrument", f"market.instrument:{one.id}:1") for one in (BTC, ETH)
    ]


async def _keep(told, topic, messages):
    told += [(topic, one) for one in messages]


async def test_definitions_change_makes_the_next_version(stage):
    await fetch_and_store(stage)
    stage.exchange.instruments = [replace(BTC, tick_size=Decimal("0.1")), ETH]
    assert [one.id for one in await fetch_and_store(stage)] == [BTC.id]
    assert (await stage.stored())[BTC.id] == (2, 2, Decimal("0.1"))
    assert (await stage.context.instrument(BTC.id)).version == 2, "nobody keeps the old one"


async def test_definitions_keep_a_stored_scale_that_fits(stage):
    await define(
        stage.host.runtime.store, replace(BTC, minimum_quantity=Decimal("0.001"), maximum_quantity=Decimal(9000))
    )
    stage.exchange.instruments = [replace(BTC, price_decimals=8, quantity_decimals=8)]
    await stage.definitions.fetch(stage.source)
    assert stage.source.instruments[BTC.id].price_decimals == 2


async def test_definitions_take_a_finer_scale_where_the_stored_does_not_fit(stage):
    await fetch_and_store(stage)
    stage.exchange.instruments = [replace(BTC, tick_size=Decimal("0.0001"), price_decimals=4)]
    await fetch_and_store(stage)
    assert (await stage.stored())[BTC.id] == (2, 4, Decimal("0.0001"))


async def test_definitions_take_the_exchange_scale_when_a_price_did_not_fit(stage):
    await fetch_and_store(stage)
    stage.exchange.instruments = [replace(BTC, price_decimals=8), ETH]
    assert await fetch_and_store(stage) == []
    await fetch_and_store(stage, finer=[BTC.id])
    assert (await stage.stored())[BTC.id][:2] == (2, 8)


async def test_definitions_of_a_delisted_instrument_stay_without_trading(stage):
    await fetch_and_store(stage)
    stage.exchange.instruments = [ETH]
    await fetch_and_store(stage)
    assert not (await stage.context.instrument(BTC.id)).trading


async def test_definitions_notice_what_was_delisted_while_nobody_looked(stage):
    await fetch_and_store(stage)
    stage.source.instruments = {}  # as after a restart
    stage.exchange.instruments = [ETH]
    await stage.definitions.fetch(stage.source)
    assert not (await stage.context.instrument(BTC.id)).trading
    assert (await stage.stored())[BTC.id][0] == 2
    stage.exchange.instruments = [BTC, ETH]
    await fetch_and_store(stage)
    assert (await stage.context.instrument(BTC.id)).trading


async def test_definitions_of_other_markets_are_left_alone(stage):
    other = replace(BTC, id="BINANCE:BTC/USDT:USDT", kind="linear", settle="USDT")
    await stage.definitions.store([other])
    await stage.definitions.fetch(stage.source)
    assert (await stage.context.instrument(other.id)).trading


async def test_definitions_pass_over_what_no_order_may_name(stage):
    stage.exchange.instruments = [BTC, replace(spot(), base="币安人生", native_symbol="币安人生USDT")]
    await stage.definitions.fetch(stage.source)
    assert list(stage.source.instruments) == [BTC.id]


@pytest.mark.requirement("P6")
async def test_service_subscribes_the_configured_instruments(stage):
    task = asyncio.create_task(stage.data.run())
    await stage.advance(1)
    assert {one.instrument for one in stage.data.connections.subscriptions()} == {BTC.id, ETH.id}
    assert set(await stage.stored()) == {BTC.id, ETH.id}
    assert len(stage.exchange.open) == 1
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert not stage.exchange.open


async def test_service_unreachable_exchange_is_asked_again(stage):
    stage.exchange.rest_is_down = True
    task = asyncio.create_task(stage.data.run())
    await stage.advance(30)
    assert not stage.data.connections.subscriptions()
    stage.exchange.rest_is_down = False
    await stage.advance(31)
    assert stage.data.connections.subscriptions()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_service_subscribes_and_forgets_on_demand(stage):
    stage.exchange.instruments = [BTC, ETH, spot("SOL")]
    task = asyncio.create_task(stage.data.run())
    await stage.advance(1)
    sol = spot("SOL").id
    assert sol not in await stage.stored()
    await stage.data.subscribe("chart", [sol], ["trade"])
    await stage.advance(1)
    assert sol in await stage.stored()
    stage.exchange.tell("solusdt@aggTrade", {"a": 1, "p": "1.00", "q": "1", "T": 1, "m": True})
    await stage.advance(0.1)
    assert stage.hub.bars(sol, 60, 1)
    stage.data.unsubscribe("chart", [sol])
    assert stage.hub.bars(sol, 60, 1) == []
    with pytest.raises(UnknownInstrument):
        await stage.data.subscribe("chart", ["BINANCE:DOGE/USDT"])
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_service_daily_change_of_scale_reaches_hub_and_connection(stage, monkeypatch):
    monkeypatch.setattr(service, "DEFINITIONS_SECONDS", 20)
    task = asyncio.create_task(stage.data.run())
    await stage.advance(1)
    stage.exchange.instruments = [replace(BTC, tick_size=Decimal("0.0001"), price_decimals=4), ETH]
    await stage.advance(20)
    stage.exchange.tell("btcusdt@bookTicker", {"u": 9, "s": "BTCUSDT", "b": "1.00", "B": "1", "a": "2.00", "A": "1"})
    await stage.advance(1)
    due = stage.hub.collect(stage.clock.now(), stage.clock.monotonic())
    price = next(one for one in due.prices if one.instrument.id == BTC.id)
    assert price.instrument.price_of(price.top.bid) == 1
    assert price.instrument.version == 2
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_service_price_that_does_not_fit_brings_the_exchange_scale(stage):
    task = asyncio.create_task(stage.data.run())
    await stage.advance(1)
    stage.exchange.depth()
    await stage.advance(1)
    stage.exchange.instruments = [replace(BTC, price_decimals=4), ETH]
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 102, "u": 102, "b": [["60000.1234", "1"]], "a": []}
    stage.exchange.update = 102
    stage.exchange.tell("btcusdt@depth@100ms", data)
    await stage.advance(2)
    assert (await stage.stored())[BTC.id][:2] == (2, 4)
    stage.exchange.depth()
    await stage.advance(3)
    assert stage.hub.instrument(BTC.id).price_decimals == 4
    stage.hub.collect(stage.clock.now(), stage.clock.monotonic())
    image = stage.hub.book(BTC.id, 1)
    assert image.in_sync
    assert image.instrument.price_of(image.asks[0][0]) == 60001
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
