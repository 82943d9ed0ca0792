"""One shared connection and its life. Rule: what a venue tells is told once and in order, whatever the sockets do.

    connect (budget, breaker, backoff) ──► serve ──► lost: books distrusted, REST prices, connect again, backfill
                                             └────► rotate: a second connection comes into sync beside the first
                                                    (24 h, serverShutdown, silence, a new definition), then takes over

Duplicates of the two connections of a rotation are dropped by sequence (books) and id (trades).
"""

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any

import structlog

from feeds.market_data.backoff import Backoff
from feeds.market_data.budget import BudgetExhausted
from feeds.market_data.connection import Connection
from feeds.market_data.fallback import Fallback
from feeds.market_data.gate import Gate
from feeds.market_data.repair import Repair
from feeds.market_data.shadow import Shadow
from feeds.market_data.source import Source, Surroundings
from feeds.market_data.transport import TransportError
from patriot.protocols.codec import Subscription
from patriot.protocols.events import Event, Resync
from patriot.telemetry.metrics import metrics

log = structlog.get_logger()


class Line:
    """The subscriptions of one socket. `start` it; `stop` it when nobody wants anything any more."""

    def __init__(self, source: Source, url: str, around: Surroundings) -> None:
        self.source, self.url = source, url
        self.wanted: dict[Subscription, None] = {}
        self.active: Connection | None = None
        self.connections_made = 0
        self.rotations = 0
        self._around = around
        self._candidate: Connection | None = None
        self._shadow = Shadow()
        self._backoff = Backoff(around.timing, around.random)
        self._repair = Repair(source, around)
        self._fallback = Fallback(source, around)
        self._rotate = asyncio.Event()
        self._gate = Gate(source, around, self._repair, self.rotate)
        self._task: asyncio.Task[None] | None = None

    # --- what is wanted ---
    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"line {self.source.endpoint.name}")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def add(self, subscriptions: Iterable[Subscription]) -> None:
        """Subscribe while running. Raises the codec's errors; then nothing is changed."""
        new = [one for one in subscriptions if one not in self.wanted]
        for connection in self._connections():
            connection.subscribe(new)
        self.wanted |= dict.fromkeys(new)

    def remove(self, subscriptions: Iterable[Subscription]) -> None:
        gone = [one for one in subscriptions if one in self.wanted]
        for one in gone:
            del self.wanted[one]
        for connection in self._connections():
            connection.unsubscribe(gone)
        for instrument in {one.instrument for one in gone} - self.instruments:
            self._gate.forget(instrument)

    def rotate(self) -> None:
        """Replace the connection, without a gap."""
        self._rotate.set()

    def drop(self, instruments: Iterable[str]) -> None:
        """Connect anew at once: the integers of `instruments` mean something else from now on."""
        for instrument in instruments:
            self._gate.forget(instrument)
        for connection in self._connections():
            connection.hear = lambda _: None
            connection.reader.cancel()

    @property
    def instruments(self) -> set[str]:
        return {one.instrument for one in self.wanted}

    def missed_trades(self, instrument: str) -> int:
        return self._repair.missed_trades(instrument)

    def lacks_books(self) -> bool:
        """Whether a book that is wanted is not there."""
        return self.active is not None and not self._depth() <= self.active.books

    def _depth(self) -> set[str]:
        return {one.instrument for one in self.wanted if one.channel == "depth"}

    def _connections(self) -> list[Connection]:
        return [one for one in (self.active, self._candidate) if one is not None]

    # --- life ---
    async def _run(self) -> None:
        try:
            while True:
                try:
                    await self._connect()
                    await self._serve()
                except Exception:  # a mistake on one line must not end the others, nor this one for good
                    log.exception("line failed", endpoint=self.source.endpoint.name)
                    await self._close()
                    await self._around.clock.sleep(self._around.timing.backoff_seconds_max)
        finally:
            await self._close()

    async def _close(self) -> None:
        self._fallback.stop()
        self._repair.stop()
        connections, self.active, self._candidate = self._connections(), None, None
        for connection in connections:
            await connection.close()

    async def _connect(self) -> None:
        """Until a connection stands. Meanwhile prices come by REST."""
        connection: Connection | None = None
        while connection is None:
            pause = self._pause()
            if not pause:
                try:
                    connection = await self._open()
                    break
                except TransportError as error:
                    pause = self._backoff.next_seconds()
                    log.warning("connect failed", endpoint=self.source.endpoint.name, reason=str(error), seconds=pause)
            self._fallback.start(self._priced())
            await self._around.clock.sleep(pause)
        self._fallback.stop()
        self._rotate.clear()
        self._repair.hold_all()
        self.active = connection
        self._gate.open(connection)
        connection.subscribe(self.wanted)
        self._repair.backfill_all(connection)

    def _pause(self) -> float:
        """Seconds until an attempt may be made; 0 counts the attempt."""
        if not self.source.breaker.admits():
            return self._around.timing.breaker_look_seconds
        wait = self.source.budget.attempt()
        if wait:
            self.source.breaker.abandoned()
        return wait

    async def _open(self) -> Connection:
        """One attempt. Raises TransportError."""
        try:
            socket = await self._around.transport.connect(self.url)
        except TransportError:
            self.source.breaker.failed()
            raise
        except asyncio.CancelledError:
            self.source.breaker.abandoned()
            raise
        self.source.breaker.succeeded()
        self.connections_made += 1
        return Connection(self.source.make_codec(), socket, self._around.clock, self._around.timing)

    async def _serve(self) -> None:
        """Until the active connection is lost, through any number of rotations."""
        started = self._around.clock.monotonic()
        pause = self._lifetime()
        while self.active is not None and not await self._ended(self.active, pause):
            self._rotate.clear()
            rotated = await self._try_to_rotate()
            pause = self._lifetime() if rotated else self._around.timing.rotation_retry_seconds
        if self._around.clock.monotonic() - started >= self._around.timing.settled_seconds:
            self._backoff.forget()
        await self._lose_active()

    def _lifetime(self) -> float:
        """When to rotate; without a stated lifetime, never."""
        seconds = self.source.endpoint.codec.limits.lifetime_seconds
        share = self._around.timing.rotation_share - self._around.random.random() / 10
        return seconds * share if seconds else float("inf")

    async def _ended(self, connection: Connection, seconds: float) -> bool:
        """Wait for the connection's end (True), or for a reason to rotate (False)."""
        waits: list[Coroutine[Any, Any, Any]] = [self._rotate.wait()]
        if seconds != float("inf"):
            waits.append(self._around.clock.sleep(seconds))
        await _first(connection.reader, *waits)
        return connection.reader.done()

    async def _lose_active(self) -> None:
        connection, self.active = self.active, None
        assert connection is not None
        log.warning("connection lost", endpoint=self.source.endpoint.name, reason=_end_of(connection.reader))
        metrics.feed("market-data", self.source.endpoint.venue).reconnects.inc()
        await connection.close()
        self._fallback.start(self._priced())
        await self._around.clock.sleep(self._backoff.next_seconds())

    def _priced(self) -> list[str]:
        return sorted({one.instrument for one in self.wanted if one.channel in {"depth", "quote"}})

    # --- rotation ---
    async def _try_to_rotate(self) -> bool:
        """Bring a second connection into sync and let it take over. False when that failed: the first one serves on."""
        name = self.source.endpoint.name
        try:
            self.source.budget.take()
        except BudgetExhausted as error:
            log.warning("rotation postponed", endpoint=name, reason=str(error))
            return False
        try:
            if self._pause():
                return False
            self._candidate = await self._open()
            if await self._sync(self._candidate):
                await self._take_over(self._candidate)
                return True
            log.warning("rotation failed", endpoint=name, reason="the new connection did not come into sync")
        except TransportError as error:
            log.warning("rotation failed", endpoint=name, reason=str(error))
        finally:
            candidate, self._candidate = self._candidate, None
            if candidate is not None:
                await candidate.close()
            self.source.budget.give_back()
        return False

    async def _sync(self, candidate: Connection) -> bool:
        """Whether the candidate is subscribed and in sync; the overlap included, unless the old one is gone."""
        self._shadow = Shadow()
        candidate.hear = lambda event: self._on_shadow(candidate, event)
        candidate.subscribe(self.wanted)
        timing, clock = self._around.timing, self._around.clock
        deadline = clock.monotonic() + timing.sync_seconds_max
        while not (candidate.subscribed.is_set() and self._depth() <= candidate.books):
            if candidate.reader.done() or clock.monotonic() >= deadline:
                return False
            await clock.sleep(timing.sync_seconds_max / 300)
        assert self.active is not None
        if not self.active.reader.done():
            await _first(candidate.reader, self.active.reader, clock.sleep(timing.overlap_seconds))
        return not candidate.reader.done() and self._depth() <= candidate.books

    async def _take_over(self, candidate: Connection) -> None:
        """From here on the candidate serves."""
        old = self.active
        assert old is not None
        self.active, self._candidate = candidate, None
        self._gate.open_with(candidate, self._shadow)
        if old.reader.done() or candidate.garbage:
            self._gate.fill_holes()
        self.rotations += 1
        log.info("connection rotated", endpoint=self.source.endpoint.name, subscriptions=len(self.wanted))
        await old.close()

    def _on_shadow(self, candidate: Connection, event: Event) -> None:
        if isinstance(event, Resync):
            candidate.books.discard(event.instrument)
            self._shadow.lose(event.instrument)
            self._repair.resync(candidate, event)
        else:
            self._shadow.hear(event)


def _end_of(reader: asyncio.Task[str]) -> str:
    """Why a connection ended, in words."""
    if reader.cancelled():
        return "dropped"
    error = reader.exception()
    if error is None:
        return reader.result()
    log.error("reading failed", exc_info=error)
    return repr(error)


async def _first(reader: asyncio.Task[Any], *others: Coroutine[Any, Any, Any] | asyncio.Task[Any]) -> None:
    """Wait until one of these is done; ends the waits that were begun here."""
    made = [asyncio.ensure_future(one) for one in others if asyncio.iscoroutine(one)]
    given = [one for one in others if isinstance(one, asyncio.Task)]
    try:
        await asyncio.wait([reader, *given, *made], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in made:
            one.cancel()
        await asyncio.gather(*made, return_exceptions=True)
