"""Mends what connections break. Rule: one book or one instrument's trades at a time; the others flow on.

A lost book gets a new snapshot: over REST, or by subscribing again, until it is there. Trades after a hole wait while
the hole is filled over REST, which is asked only once the stream is subscribed: what lies between is in both.
"""

import asyncio
from collections.abc import Callable

import structlog

from feeds.market_data.connection import Connection
from feeds.market_data.rest import REST_ERRORS, TRADES_MAX
from feeds.market_data.source import Source, Surroundings
from feeds.market_data.trades import TradeLog
from patriot.protocols.events import Resync
from patriot.protocols.market import Trade

PAUSES = 20
"""How often a wait looks whether its end has come."""

log = structlog.get_logger()


class Repair:
    """The repairs of one line."""

    def __init__(self, source: Source, around: Surroundings) -> None:
        self._source, self._around = source, around
        self._contiguous = source.endpoint.trade_channel == "aggregate_trade"
        self._logs: dict[str, TradeLog] = {}
        self._asked: dict[tuple[Connection, str], Resync] = {}
        self._tasks: dict[tuple[Connection, str], asyncio.Task[None]] = {}
        self._backfills: dict[str, asyncio.Task[None]] = {}

    def stop(self) -> None:
        for task in (*self._tasks.values(), *self._backfills.values()):
            task.cancel()

    def forget(self, instrument: str) -> None:
        self._logs.pop(instrument, None)
        running = self._backfills.pop(instrument, None)
        if running is not None:
            running.cancel()

    def missed_trades(self, instrument: str) -> int:
        trades = self._logs.get(instrument)
        return 0 if trades is None else trades.missed

    # --- trades ---
    def on_trade(self, connection: Connection, trade: Trade) -> None:
        trades = self._logs.get(trade.instrument)
        if trades is None:
            trades = self._logs[trade.instrument] = TradeLog(contiguous=self._contiguous)
        for one in trades.accept(trade):
            self._around.publish(one)
        if trades.is_held and trade.instrument not in self._backfills:
            self._start_backfill(connection, trade.instrument)

    def hold_all(self) -> None:
        """Every trade may come after a hole. Backfills that run would end too early: they begin anew."""
        for instrument, trades in self._logs.items():
            running = self._backfills.pop(instrument, None)
            if running is not None:
                running.cancel()
            if trades.has_begun:
                trades.hold()

    def backfill_all(self, connection: Connection) -> None:
        for instrument, trades in self._logs.items():
            if trades.is_held and instrument not in self._backfills:
                self._start_backfill(connection, instrument)

    def _start_backfill(self, connection: Connection, instrument: str) -> None:
        task = asyncio.create_task(self._backfill(connection, instrument))
        self._backfills[instrument] = task

        def done(_: asyncio.Task[None]) -> None:
            if self._backfills.get(instrument) is task:
                del self._backfills[instrument]

        task.add_done_callback(done)

    async def _backfill(self, connection: Connection, instrument: str) -> None:
        trades = self._logs[instrument]
        timing, clock = self._around.timing, self._around.clock
        await self._wait(timing.resync_seconds, connection.subscribed.is_set)
        for _ in range(timing.backfill_attempts_max):
            try:
                if await self._fill(instrument, trades):
                    break
            except REST_ERRORS as error:
                log.warning("trades not filled", instrument=instrument, reason=str(error))
            await clock.sleep(timing.backfill_pause_seconds)
        missed = trades.missed
        for trade in trades.release(()):
            self._around.publish(trade)
        if trades.missed > missed:
            log.error("trades missed", instrument=instrument, trades=trades.missed - missed)

    async def _fill(self, instrument: str, trades: TradeLog) -> bool:
        """Page on to the newest trade; returns whether the hole is filled."""
        while True:
            from_id = trades.last_id + 1 if self._contiguous else 0
            page = await self._source.rest.trades(self._source.instruments[instrument], from_id)
            new = trades.fill(page)
            for trade in new:
                self._around.publish(trade)
            if not (self._contiguous and new and len(page) >= TRADES_MAX):
                return trades.is_closed

    # --- books ---
    def resync(self, connection: Connection, event: Resync) -> None:
        """Bring the book of `event.instrument` back; a newer wish replaces the older one."""
        key = (connection, event.instrument)
        self._asked[key] = event
        if key not in self._tasks:
            task = self._tasks[key] = asyncio.create_task(self._resync(connection, event.instrument))
            task.add_done_callback(lambda _: self._finish(key))

    def _finish(self, key: tuple[Connection, str]) -> None:
        self._tasks.pop(key, None)
        self._asked.pop(key, None)

    async def _resync(self, connection: Connection, instrument: str) -> None:
        """Until the snapshot is there, or the connection is not."""
        pause = self._around.timing.backfill_pause_seconds
        while not connection.reader.done():
            wish = self._asked[connection, instrument]
            if wish.request:
                await self._snapshot(connection, wish)
            else:
                connection.send(wish.frames)
                await self._wait(self._around.timing.resync_seconds, lambda: instrument in connection.books)
            if instrument in connection.books:
                return
            await self._around.clock.sleep(pause)
            pause = min(pause * 2, self._around.timing.resync_seconds)

    async def _snapshot(self, connection: Connection, wish: Resync) -> None:
        try:
            body = await self._source.rest.get(wish.request)
            for event in connection.codec.snapshot(wish.instrument, body):
                connection.note(event)
        except REST_ERRORS as error:
            log.warning("no snapshot", instrument=wish.instrument, reason=str(error))

    async def _wait(self, seconds: float, is_over: Callable[[], bool]) -> None:
        for _ in range(PAUSES):
            if is_over():
                return
            await self._around.clock.sleep(seconds / PAUSES)
