"""Private streams of the built-in venue, through unmodified ccxt.pro: each message belongs to its market, exactly."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from functools import partial

import pytest

from feeds.account_data.breaker import Breaker
from feeds.account_data.streams import Line, Stream, silence_seconds
from feeds.venue.faults import Fault, Rule
from patriot.domain.venue import OrderRef
from patriot.runtime.clock import SystemClock
from patriot.venues.ccxt_adapter import DIALECTS
from patriot.venues.reading import execution
from tests.integration.venues.world import ACCOUNTS, LINEAR, MARKETS, SPOT, World, order, world

SECONDS_MAX = 10


class Ears:
    """Remembers what it hears, by symbol."""

    def __init__(self):
        self.orders, self.trades, self.opened_count = [], [], 0

    async def order(self, order):
        self.orders.append(order)

    async def trade(self, trade):
        self.trades.append(trade)

    async def balance(self, balance):
        """Balances are compared elsewhere."""

    async def opened(self):
        self.opened_count += 1


@asynccontextmanager
async def listening(there: World, venue: str) -> AsyncIterator[Ears]:
    """All streams of the venue's account, open."""
    ears, clock, dialect = Ears(), SystemClock(), DIALECTS[venue]
    streams = [
        Line(
            venue=venue,
            open=partial(there.adapter.connections.open, ACCOUNTS[venue], kinds),
            told_order=dialect.told_order,
            told_trade=dialect.told_trade,
            silence_seconds=silence_seconds,
            breaker=Breaker(clock.monotonic),
            stale_seconds=60,
        )
        for kinds in dialect.streams
    ]
    tasks = [asyncio.create_task(Stream(line, ears, clock, random.Random(1)).run()) for line in streams]
    await until(lambda: ears.opened_count == len(streams))
    try:
        yield ears
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def until(reached) -> None:
    async with asyncio.timeout(SECONDS_MAX):
        while not reached():
            await asyncio.sleep(0.02)


@pytest.mark.requirement("P6", "P7")
@pytest.mark.parametrize("venue", ACCOUNTS)
async def test_private_stream_tells_each_fill_once_for_its_own_market(venue):
    async with world() as there, listening(there, venue) as ears:
        for symbol in (SPOT, LINEAR):
            taking = order(venue, symbol, f"taking-{len(symbol)}", quantity=Decimal("1.5"), price=Decimal(60_004))
            await there.adapter.create(taking)
        await until(lambda: len(ears.trades) >= 4)
        await asyncio.sleep(0.2)
        for symbol, fee_asset in ((SPOT, "BTC"), (LINEAR, "USDT")):
            fills = [execution(trade) for trade in ears.trades if trade["symbol"] == symbol]
            assert {fill.fee_asset for fill in fills} == {fee_asset}
            assert [fill.quantity for fill in fills] == [Decimal("0.999"), Decimal("0.501")]
            asked = await there.adapter.query(OrderRef(ACCOUNTS[venue], f"{venue}:{symbol}", f"taking-{len(symbol)}"))
            assert [told.fee for told in asked.executions] == [fill.fee for fill in fills]
            assert {told.trade_id for told in asked.executions} == {fill.trade_id for fill in fills}


@pytest.mark.requirement("P6")
@pytest.mark.parametrize(("venue", "symbol"), MARKETS)
async def test_private_stream_tells_an_order_from_open_to_cancelled(venue, symbol):
    async with world() as there, listening(there, venue) as ears:
        await there.adapter.create(order(venue, symbol, "resting"))
        await until(lambda: ears.orders)
        await there.adapter.cancel(OrderRef(ACCOUNTS[venue], f"{venue}:{symbol}", "resting"))
        await until(lambda: ears.orders[-1]["status"] == "canceled")
        assert {(told["symbol"], told["clientOrderId"]) for told in ears.orders} == {(symbol, "resting")}


@pytest.mark.requirement("P6")
@pytest.mark.parametrize("venue", ACCOUNTS)
async def test_private_stream_that_is_cut_is_opened_anew(venue):
    async with world() as there, listening(there, venue) as ears:
        before = ears.opened_count
        there.plan.add(Rule(Fault.DISCONNECT, operation="stream:*"))
        await there.adapter.create(order(venue, LINEAR, "cuts"))
        await until(lambda: ears.opened_count > before)
        await there.adapter.create(order(venue, LINEAR, "heard"))
        await until(lambda: any(told["clientOrderId"] == "heard" for told in ears.orders))
