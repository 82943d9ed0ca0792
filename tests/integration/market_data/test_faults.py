"""Case 9 of the reliability cases: real sockets, recorded frames, scripted faults."""

import asyncio
import random

import pytest

from patriot.protocols.market import Quote
from patriot.runtime.context import price_key
from schemas.reports import PriceReport
from tests.integration.market_data.recorded import INSTRUMENT, stage

SEED = 20240808


async def price_of(scene):
    await asyncio.sleep(0.05)  # a flush
    entry = await scene.host.runtime.state.get(price_key(INSTRUMENT))
    return PriceReport.model_validate_json(entry.value)


@pytest.mark.requirement("P6", "T2", "P13")
async def test_recorded_market_becomes_book_trades_and_prices():
    async with stage() as scene:
        await scene.subscribed()
        for _ in range(200):
            scene.exchange.play(50)
            await asyncio.sleep(0)
        await scene.caught_up()
        await scene.until(scene.book_is_true)
        assert scene.trade_ids() == scene.printed()
        price = await price_of(scene)
        assert 0 < price.bid < price.ask
        assert not price.stale
        assert scene.exchange.connections == 1


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("reconnects", [100, pytest.param(1000, marks=[pytest.mark.slow, pytest.mark.timeout(600)])])
async def test_reconnects_miss_no_trade(reconnects, capsys):
    """The connection breaks at a random moment, again and again, while the market goes on."""
    chance = random.Random(SEED)
    async with stage() as scene:
        await scene.subscribed()
        scene.exchange.play(100)
        await scene.until(scene.trade_ids)
        for _ in range(reconnects):
            scene.exchange.play(chance.randrange(12))
            scene.exchange.cut()
            scene.exchange.play(chance.randrange(12))  # nobody is there to hear it
            await scene.until(lambda before=scene.exchange.connections: scene.exchange.connections > before)
            scene.exchange.play(chance.randrange(6))
            if chance.random() < 0.7:  # sometimes the next cut comes before the repair is done
                await scene.subscribed()
                scene.exchange.play(chance.randrange(6))
                await asyncio.sleep(0.002)
        await scene.subscribed()
        scene.exchange.play(200)
        await scene.caught_up()
        await scene.until(lambda: scene.exchange.play(1) or scene.book_is_true())
        await scene.caught_up()
        told = scene.trade_ids()
        missed = len(set(scene.printed()) - set(told))
        with capsys.disabled():
            made = scene.exchange.connections
            print(f"\n  seed {SEED}: {made - 1} reconnects, {len(told)} trades told, {missed} missed")
        assert told == scene.printed(), "every trade once, in order"
        assert scene.exchange.connections > reconnects


@pytest.mark.requirement("P6")
async def test_rotations_miss_no_trade_and_keep_the_book():
    async with stage() as scene:
        await scene.subscribed()
        scene.exchange.play(100)
        await scene.until(scene.book_is_true)
        line = next(iter(scene.data.connections.lines))
        quiet = 0
        for number in range(1, 11):
            scene.exchange.send('{"e":"serverShutdown","E":1}')
            while line.rotations < number:
                scene.exchange.play(5)
                await asyncio.sleep(0.005)
                quiet += not scene.hub.book(INSTRUMENT, 1).in_sync
        await scene.caught_up()
        assert scene.trade_ids() == scene.printed()
        assert quiet == 0, "the book was there all the time"
        assert await _settled(scene)


async def _settled(scene):
    await scene.until(lambda: len(scene.exchange.topics) == 1)
    await scene.until(lambda: scene.exchange.play(1) or scene.book_is_true())
    return True


@pytest.mark.requirement("P6")
async def test_gaps_and_garbage_cost_nothing_but_a_snapshot():
    chance = random.Random(SEED)
    async with stage() as scene:
        await scene.subscribed()
        scene.exchange.play(100)
        await scene.until(scene.book_is_true)
        for _ in range(100):
            scene.exchange.play(chance.randrange(20), lose=chance.random() < 0.3)
            if chance.random() < 0.2:
                scene.exchange.send(chance.choice(['{"stream":"btcusdt@aggTrade","data":{}}', "{", '{"a":[[[', "\0"]))
            scene.exchange.play(chance.randrange(20))
            await asyncio.sleep(0.005)
        scene.exchange.play(200)
        await scene.caught_up()
        await scene.until(lambda: scene.exchange.play(1) or scene.book_is_true())
        await scene.caught_up()
        assert scene.trade_ids() == scene.printed()
        assert scene.exchange.connections == 1, "none of this is worth a reconnection"


@pytest.mark.requirement("P6", "P13")
async def test_silent_feed_with_heartbeats_is_flagged_stale_and_asked_again():
    async with stage(staleness_seconds=0.5) as scene:
        await scene.subscribed()
        scene.exchange.play(200)
        await scene.until(scene.book_is_true)
        assert not (await price_of(scene)).stale
        connections = list(scene.exchange.topics)
        async with asyncio.timeout(10):
            while not (await price_of(scene)).stale:
                await asyncio.gather(*(await asyncio.gather(*(one.ping() for one in connections))))  # it answers
                await asyncio.sleep(0.05)
        assert scene.hub.book(INSTRUMENT, 5).stale, "a stale book says so"
        scene.data.connections.refresh(INSTRUMENT)  # what the feed does when it hears of it
        await scene.until(lambda: len(scene.exchange.topics) == 2)
        scene.exchange.play(100)
        await scene.until(lambda: scene.exchange.play(2) or len(scene.exchange.topics) == 1)
        assert not (await price_of(scene)).stale
        await scene.caught_up()
        assert scene.trade_ids() == scene.printed()


@pytest.mark.requirement("P6")
async def test_prices_come_over_rest_while_no_socket_stands():
    async with stage() as scene:
        await scene.subscribed()
        scene.exchange.play(100)
        await scene.until(scene.book_is_true)
        line = next(iter(scene.data.connections.lines))
        line.url = line.url.replace("/stream", "/nowhere")  # the upgrade is answered like any other path
        scene.exchange.cut()
        before = len(scene.told)
        await scene.until(lambda: any(isinstance(one, Quote) for one in scene.told[before:]))
        assert not scene.hub.book(INSTRUMENT, 5).in_sync
        price = await price_of(scene)
        assert 0 < price.bid < price.ask
