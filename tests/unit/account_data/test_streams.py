"""A private stream that ends is opened anew, after pauses that grow; everything it tells is told on."""

import asyncio
import itertools
import random
from datetime import UTC, datetime, timedelta

import pytest

from feeds.account_data.breaker import FAILURES_MAX, OPEN_SECONDS, Breaker
from feeds.account_data.streams import LOOK_SECONDS, PAUSE_SECONDS_MAX, SETTLE_SECONDS, Line, Stream
from patriot.runtime.clock import VirtualClock
from patriot.telemetry.metrics import metrics

START = datetime(2026, 1, 1, tzinfo=UTC)


class FakeExchange:
    """Tells what it is given, then hangs or breaks."""

    def __init__(self, orders=(), trades=(), balances=(), error: Exception | None = None, *, has_trades=True):
        self.has = {"watchMyTrades": has_trades, "watchBalance": True}
        self._queues = {"orders": list(orders), "trades": list(trades), "balances": list(balances)}
        self._error = error
        self.closed = False

    async def _next(self, name):
        if self._queues[name]:
            return self._queues[name].pop(0)
        if self._error is not None:
            raise self._error
        return await asyncio.Event().wait()

    async def watch_orders(self):
        return await self._next("orders")

    async def watch_my_trades(self):
        return await self._next("trades")

    async def watch_balance(self):
        return await self._next("balances")

    async def close(self):
        self.closed = True


class Ears:
    def __init__(self):
        self.heard = []

    async def order(self, order):
        self.heard.append(("order", order))

    async def trade(self, trade):
        self.heard.append(("trade", trade))

    async def balance(self, balance):
        self.heard.append(("balance", balance))

    async def opened(self):
        self.heard.append(("opened", None))


async def turns(count=20):
    for _ in range(count):
        await asyncio.sleep(0)


async def running(*exchanges, silence=lambda _: 0.0):
    clock, ears, opened = VirtualClock(START), Ears(), []

    async def open_exchange():
        exchange = exchanges[min(len(opened), len(exchanges) - 1)]
        opened.append(clock.monotonic())
        if isinstance(exchange, Exception):
            raise exchange
        return exchange

    line = Line(
        venue="BINANCE",
        open=open_exchange,
        told_order=lambda _, order: order,
        told_trade=lambda _, trade: trade,
        silence_seconds=silence,
        breaker=Breaker(clock.monotonic),
        stale_seconds=60,
    )
    task = asyncio.create_task(Stream(line, ears, clock, random.Random(1)).run())
    await turns()
    return task, clock, ears, opened


async def ended(task):
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_stream_tells_everything_on():
    exchange = FakeExchange(orders=[[{"id": "1"}, {"id": "2"}]], trades=[[{"id": "t"}]], balances=[{"total": {}}])
    task, _, ears, _ = await running(exchange)
    assert sorted(name for name, _ in ears.heard) == ["balance", "order", "order", "trade"]
    await ended(task)
    assert exchange.closed


@pytest.mark.requirement("P6")
async def test_stream_announces_that_it_is_open():
    task, clock, ears, _ = await running(FakeExchange())
    clock.advance_to(START + timedelta(seconds=SETTLE_SECONDS))
    await turns()
    assert ("opened", None) in ears.heard
    await ended(task)


@pytest.mark.requirement("P6")
async def test_broken_stream_is_closed_and_opened_anew():
    broken, whole = FakeExchange(error=ConnectionError("gone")), FakeExchange(orders=[[{"id": "1"}]])
    task, clock, ears, opened = await running(broken, whole)
    assert broken.closed
    clock.advance_to(START + timedelta(seconds=2))
    await turns()
    assert len(opened) == 2
    assert ("order", {"id": "1"}) in ears.heard
    await ended(task)


@pytest.mark.requirement("P6")
async def test_pauses_grow_to_a_limit():
    task, clock, _, opened = await running(ConnectionError("no network"))
    for _ in range(12):
        assert clock.next_wake is not None
        clock.advance_to(clock.next_wake)
        await turns()
    pauses = [later - sooner for sooner, later in itertools.pairwise(opened)]
    assert pauses[0] < 2
    assert pauses[-1] > 20
    assert max(pauses) <= 1.5 * PAUSE_SECONDS_MAX + 1.1 * OPEN_SECONDS
    assert len(set(pauses)) == len(pauses), "jitter: no two pauses are the same"
    await ended(task)


@pytest.mark.requirement("P6")
async def test_silent_connection_is_opened_anew():
    silence = {"seconds": 59.0}
    task, clock, _, opened = await running(FakeExchange(), silence=lambda _: silence["seconds"])
    clock.advance_to(START + timedelta(seconds=LOOK_SECONDS))
    await turns()
    assert len(opened) == 1
    silence["seconds"] = 61.0
    for second in (2, 4):
        clock.advance_to(START + timedelta(seconds=second * LOOK_SECONDS))
        await turns()
    assert len(opened) == 2
    await ended(task)


@pytest.mark.requirement("P6", "A5")
async def test_venue_that_cannot_be_reached_is_left_alone_for_a_while():
    task, clock, _, opened = await running(ConnectionError("no network"))
    while len(opened) < FAILURES_MAX + 1:
        assert clock.next_wake is not None
        clock.advance_to(clock.next_wake)
        await turns()
    assert opened[FAILURES_MAX] - opened[FAILURES_MAX - 1] >= OPEN_SECONDS
    assert max(later - sooner for sooner, later in itertools.pairwise(opened[:FAILURES_MAX])) < OPEN_SECONDS
    await ended(task)


async def test_stream_without_trades_watches_what_there_is():
    exchange = FakeExchange(orders=[[{"id": "1"}]], trades=[[{"id": "t"}]], has_trades=False)
    task, _, ears, _ = await running(exchange)
    assert ears.heard == [("order", {"id": "1"})]
    await ended(task)


def told_staleness() -> float:
    told = metrics.registry.get_sample_value("feed_staleness_seconds", {"feed": "account-data", "venue": "BINANCE"})
    assert told is not None
    return told


@pytest.mark.requirement("P6", "P16")
async def test_staleness_grows_while_the_venue_cannot_be_reached():
    task, clock, *_ = await running(ConnectionError("refused"))
    for seconds in range(1, 400):
        clock.advance_to(START + timedelta(seconds=seconds))
        await turns(3)
    assert told_staleness() == 399
    await ended(task)
    assert told_staleness() == 0


@pytest.mark.requirement("P6", "P16")
async def test_one_silent_account_is_not_hidden_by_the_others_of_its_venue():
    silent, clock, *_ = await running(FakeExchange(), silence=lambda _: 50.0)
    lively, other_clock, *_ = await running(FakeExchange(), silence=lambda _: 0.5)
    for one in (clock, other_clock):
        one.advance_to(START + timedelta(seconds=LOOK_SECONDS))
        await turns()
    assert told_staleness() == 50
    await ended(silent)
    assert told_staleness() == 0.5
    await ended(lively)
