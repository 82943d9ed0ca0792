"""One private connection of an account, by ccxt.pro. Rule: what the venue says is told on as it is; what this process
could not read is asked for.

A stream that ends for any reason, or from which no sign of life has come for too long, is opened anew with everything
that belongs to it, after a pause that grows and is never the same twice. `opened` runs after each opening: what was
missed meanwhile is found by asking.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog

from feeds.account_data.breaker import Breaker
from patriot.runtime.clock import Clock
from patriot.runtime.ports import Random
from patriot.telemetry.metrics import metrics

PAUSE_SECONDS, PAUSE_SECONDS_MAX = 0.5, 60.0
SETTLE_SECONDS = 1.0  # a subscription is under way before it can be told that it stands
LOOK_SECONDS = 1.0
FEED = "account-data"

log = structlog.get_logger()

Structure = Mapping[str, Any]


class Exchange(Protocol):
    """What is used of a ccxt.pro object. `has` tells which streams there are."""

    has: Mapping[str, Any]

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


@dataclass(frozen=True, slots=True)
class Line:
    """Where a stream goes. `told_order` and `told_trade` read a message for the market that it is about,
    `silence_seconds` tells how long nothing has been heard of an open connection.
    """

    venue: str
    open: Callable[[], Awaitable[Exchange]]
    told_order: Callable[[Exchange, Structure], Structure]
    told_trade: Callable[[Exchange, Structure], Structure]
    silence_seconds: Callable[[Exchange], float]
    breaker: Breaker
    stale_seconds: float


class Silent(Exception):
    """The connection stands, and no sign of life comes."""


class Stream:
    """Runs until cancelled. `Line.open` makes a connected object of its own."""

    def __init__(self, line: Line, listener: Listener, clock: Clock, random: Random) -> None:
        self._line, self._listener, self._clock, self._random = line, listener, clock, random
        self._metrics = metrics.feed(FEED, line.venue)
        self._heard_at = clock.monotonic()

    @property
    def seconds_silent(self) -> float:
        """Since the last sign of life, through any number of attempts to connect."""
        return self._clock.monotonic() - self._heard_at

    async def run(self) -> None:
        of_venue = _running[self._line.venue]
        of_venue.add(self)
        self._metrics.staleness_seconds.set_function(lambda: max((one.seconds_silent for one in of_venue), default=0.0))
        try:
            await self._run()
        finally:
            of_venue.discard(self)

    async def _run(self) -> None:
        pause = PAUSE_SECONDS
        while True:
            await self._closed_breaker()
            started = self._clock.monotonic()
            try:
                await self._session()
            except Exception as error:  # noqa: BLE001 - whatever ended the stream, it is opened anew
                log.warning("private stream ended", venue=self._line.venue, reason=_reason(error))
            self._metrics.reconnects.inc()
            lasted = self._clock.monotonic() - started
            if lasted < SETTLE_SECONDS and self._line.breaker.failed():
                log.warning("private streams cannot be opened: a while without trying", venue=self._line.venue)
            pause = PAUSE_SECONDS if lasted > PAUSE_SECONDS_MAX else min(2 * pause, PAUSE_SECONDS_MAX)
            await self._clock.sleep(pause * (0.5 + self._random.random()))

    async def _closed_breaker(self) -> None:
        """Wait until the venue may be dialled; not all at once."""
        while seconds := self._line.breaker.wait_seconds:
            await self._clock.sleep(seconds * (1 + self._random.random() / 10))

    async def _session(self) -> None:
        exchange = await self._line.open()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._orders(exchange))
                if exchange.has["watchMyTrades"]:
                    group.create_task(self._trades(exchange))
                if exchange.has["watchBalance"]:
                    group.create_task(self._balances(exchange))
                group.create_task(self._announce())
                group.create_task(self._watch_life(exchange))
        finally:
            await exchange.close()

    async def _announce(self) -> None:
        await self._clock.sleep(SETTLE_SECONDS)
        self._line.breaker.succeeded()
        await self._listener.opened()

    async def _watch_life(self, exchange: Exchange) -> None:
        while True:
            await self._clock.sleep(LOOK_SECONDS)
            seconds = self._line.silence_seconds(exchange)
            if seconds:  # else it is still connecting
                self._heard_at = self._clock.monotonic() - seconds
            if seconds > self._line.stale_seconds:
                raise Silent(f"no sign of life for {seconds:.0f} s")

    async def _orders(self, exchange: Exchange) -> None:
        while True:
            for order in await exchange.watch_orders():
                await self._listener.order(self._line.told_order(exchange, order))

    async def _trades(self, exchange: Exchange) -> None:
        while True:
            for trade in await exchange.watch_my_trades():
                await self._listener.trade(self._line.told_trade(exchange, trade))

    async def _balances(self, exchange: Exchange) -> None:
        while True:
            await self._listener.balance(await exchange.watch_balance())


_running: defaultdict[str, set[Stream]] = defaultdict(set)
"""By venue. The metric tells of the one that has been silent the longest: an account is no label."""


def silence_seconds(exchange: Any) -> float:
    """How long the quietest socket of a ccxt.pro object has told nothing, not even a pong; zero while it connects."""
    last = [
        max(client.connectionEstablished, client.lastPong or 0, client.last_message_at or 0)
        for client in exchange.clients.values()
        if client.connectionEstablished
    ]
    return (exchange.milliseconds() - min(last)) / 1000 if last else 0.0


def _reason(error: BaseException) -> str:
    """The first cause of a group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return f"{type(error).__name__}: {error}"[:300]
