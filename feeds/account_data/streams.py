"""One account's private streams at one market of its exchange, by ccxt.pro. Rule: what the venue says is told on as it
is; what this process could not read is asked for.

A stream that ends for any reason is opened anew with everything that belongs to it, after a pause that grows and is
never the same twice. `on_open` runs after each opening: what was missed meanwhile is found by asking.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from patriot.runtime.clock import Clock
from patriot.runtime.ports import Random
from patriot.telemetry.metrics import metrics

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 60.0
SETTLE_SECONDS = 1.0  # a subscription is under way before it can be told that it stands
FEED = "account-data"

log = structlog.get_logger()

Structure = Mapping[str, Any]


class Exchange(Protocol):
    """What is used of a ccxt.pro object."""

    async def watch_orders(self) -> list[Structure]: ...

    async def watch_my_trades(self) -> list[Structure]: ...

    async def watch_balance(self) -> Structure: ...

    async def close(self) -> None: ...


class Listener(Protocol):
    """Who hears the stream."""

    async def order(self, order: Structure) -> None: ...

    async def trade(self, trade: Structure) -> None: ...

    async def balance(self, balance: Structure) -> None: ...

    async def opened(self) -> None: ...


class Stream:
    """Runs until cancelled. `open_exchange` makes a connected object of its own."""

    def __init__(
        self,
        venue: str,
        open_exchange: Callable[[], Awaitable[Exchange]],
        listener: Listener,
        clock: Clock,
        random: Random,
    ) -> None:
        self._venue = venue
        self._open, self._listener, self._clock, self._random = open_exchange, listener, clock, random

    async def run(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            started = self._clock.monotonic()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - whatever ended the stream, it is opened anew
                log.warning("private stream ended", venue=self._venue, reason=f"{type(error).__name__}: {error}"[:300])
            metrics.feed(FEED, self._venue).reconnects.inc()
            lasted = self._clock.monotonic() - started
            pause = PAUSE_SECONDS if lasted > PAUSE_SECONDS_MAX else min(2 * pause, PAUSE_SECONDS_MAX)
            await self._clock.sleep(pause * (0.5 + self._random.random()))

    async def _session(self) -> None:
        exchange = await self._open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._each(exchange.watch_orders, self._listener.order))
                group.create_task(self._each(exchange.watch_my_trades, self._listener.trade))
                group.create_task(self._balances(exchange))
                group.create_task(self._announce())
        finally:
            await exchange.close()

    async def _announce(self) -> None:
        await self._clock.sleep(SETTLE_SECONDS)
        await self._listener.opened()

    async def _each(
        self, watch: Callable[[], Awaitable[list[Structure]]], tell: Callable[[Structure], Awaitable[None]]
    ) -> None:
        while True:
            for structure in await watch():
                await tell(structure)

    async def _balances(self, exchange: Exchange) -> None:
        while True:
            await self._listener.balance(await exchange.watch_balance())
