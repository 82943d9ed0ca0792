"""The one task that writes. Rule: every commit handed in gets one truthful answer, and the queue has a limit.

While a batch is on its way to the disk the next one gathers: group commit without waiting. Kill switches go before
whatever lessens risk, and this before everything else. A commit that finds its queue full is turned away with
StoreUnavailable at once. Outbox entries to delete ride on the next batch, or go alone after some milliseconds.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeAlias

import asyncpg

from patriot.domain.errors import InvalidValue
from patriot.store.api import StoreUnavailable
from patriot.store.batch import Batch, Entry, Outcome
from patriot.store.connections import LOST, Connection
from patriot.store.known import Known

_Future: TypeAlias = "asyncio.Future[int]"

_TRIES = 3  # of a batch whose connection was lost before its commit was sent: nothing can have been written


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of the writer."""

    batch_commits_max: int = 128  # small enough that the loop serves callers while the database works
    queue_commits_max: int = 20_000
    published_linger_seconds: float = 0.005
    reconnect_seconds_max: float = 5.0  # how long commits wait for a database that is gone


class Writer:
    """Gathers commits into batches and writes them one after the other on its own connection."""

    def __init__(self, connect: Callable[[], Awaitable[Connection]], limits: Limits | None = None) -> None:
        self._connect = connect
        self._limits = limits or Limits()
        self._first: deque[tuple[Entry, _Future]] = deque()
        self._queue: deque[tuple[Entry, _Future]] = deque()
        self._published: list[int] = []
        self._taking_off: list[_Future] = []
        self._work = asyncio.Event()
        self._connection: Connection | None = None
        self._task: asyncio.Task[None] | None = None
        self._closing = False
        self._known = Known()

    async def start(self) -> None:
        self._connection = await self._connect()
        self._task = asyncio.create_task(self._write_for_ever(), name="store writer")

    async def close(self) -> None:
        """Write what is queued, then stop."""
        self._closing = True
        self._work.set()
        if self._task is not None:
            await self._task
        if self._connection is not None:
            with suppress(*LOST):
                await self._connection.close()

    async def write(self, entry: Entry) -> int:
        """Return the position of the entry's first event once it is durable.

        Raises:
            Refused: nothing of it was written.
            InvalidValue: the database cannot hold one of its values.
            StoreUnavailable: the queue is full, the store is closed, or the database is gone.

        """
        if self._closing:
            raise StoreUnavailable("the store is closed")
        future: _Future = asyncio.get_running_loop().create_future()
        queue = self._first if entry.commit.first else self._queue
        if entry.commit.raises:  # a kill switch waits for nobody
            self._first.appendleft((entry, future))
        elif len(queue) >= self._limits.queue_commits_max:
            raise StoreUnavailable("the write queue is full")
        else:
            queue.append((entry, future))
        self._work.set()
        return await future

    async def take_off(self, positions: Sequence[int]) -> None:
        """Delete outbox entries with the next batch; return when they are gone. Raises StoreUnavailable."""
        if self._closing:
            raise StoreUnavailable("the store is closed")
        loop = asyncio.get_running_loop()
        future: _Future = loop.create_future()
        self._published.extend(positions)
        self._taking_off.append(future)
        loop.call_later(self._limits.published_linger_seconds, self._work.set)
        await future

    async def _write_for_ever(self) -> None:
        while not self._closing or self._has_work:
            await self._work.wait()
            await asyncio.sleep(0)  # those who run in the same turn of the loop come along
            self._work.clear()
            while self._has_work:
                await self._write_batch()

    @property
    def _has_work(self) -> bool:
        return bool(self._first or self._queue or self._published)

    async def _write_batch(self) -> None:
        taken = self._take()
        published, self._published = self._published, []
        taking_off, self._taking_off = self._taking_off, []
        try:
            outcomes = await self._outcomes([entry for entry, _ in taken], published)
            off: Outcome = 0
        except Exception as error:  # noqa: BLE001 (whatever went wrong is the callers' to see; they must not hang)
            outcomes, off = [error] * len(taken), error
        for (entry, future), outcome in zip(taken, outcomes, strict=True):
            if entry.commit.ticket is not None:
                entry.commit.ticket.durable = not isinstance(outcome, Exception)
            _answer(future, outcome)
        for future in taking_off:
            _answer(future, off)

    def _take(self) -> list[tuple[Entry, _Future]]:
        """The next commits that may share a batch: up to its limit, all published or all not."""
        taken: list[tuple[Entry, _Future]] = []
        while (queue := self._first or self._queue) and len(taken) < self._limits.batch_commits_max:
            if taken and queue[0][0].commit.publish is not taken[0][0].commit.publish:
                break
            entry, future = queue.popleft()
            if not future.cancelled():  # else its caller is gone, and nothing was written yet
                taken.append((entry, future))
        return taken

    async def _outcomes(self, entries: Sequence[Entry], published: Sequence[int]) -> Sequence[Outcome]:
        """Write the entries in one transaction. Raises StoreUnavailable for all of them."""
        for _ in range(_TRIES):
            batch = Batch(entries, published, self._known)
            connection = await self._connected()
            session = connection.get_server_pid()
            try:
                await batch.run(connection)
            except (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, ValueError) as error:
                return await self._one_by_one(entries, published, error)
            except LOST as error:
                if batch.committing:
                    return await self._outcomes_after_loss(batch, session, error)
            except asyncpg.PostgresError as error:
                await self._roll_back()
                raise StoreUnavailable(f"the database refused to write: {error}") from error
            else:
                return batch.outcomes
        raise StoreUnavailable("the connection to the database keeps breaking")

    async def _one_by_one(
        self, entries: Sequence[Entry], published: Sequence[int], error: Exception
    ) -> Sequence[Outcome]:
        """The database cannot hold a value of some entry: only that entry's own transaction fails for it."""
        await self._roll_back()
        if len(entries) == 1 and not published:
            return [_invalid(error)]
        if published:
            await self._outcomes([], published)
        return [(await self._outcomes([entry], []))[0] for entry in entries]

    async def _outcomes_after_loss(self, batch: Batch, session: int, error: Exception) -> Sequence[Outcome]:
        """The connection broke during the commit: ask the database whether it became durable."""
        if await batch.landed(await self._connected(), session):
            return batch.outcomes
        raise StoreUnavailable("the connection to the database broke; nothing was written") from error

    async def _connected(self) -> Connection:
        """The writer's connection, made anew if it is broken. Raises StoreUnavailable."""
        deadline = time.monotonic() + self._limits.reconnect_seconds_max
        pause_seconds = 0.02
        while self._connection is None or self._connection.is_closed():
            try:
                self._connection = await self._connect()
            except LOST as error:
                if self._closing or time.monotonic() > deadline:
                    self._turn_away(error)
                    raise StoreUnavailable(f"no connection to the database: {error}") from error
                await asyncio.sleep(pause_seconds)
                pause_seconds = min(2 * pause_seconds, 0.5)
        return self._connection

    def _turn_away(self, error: Exception) -> None:
        """Nobody waits longer than the first in the queue did."""
        while queue := self._first or self._queue:
            _, future = queue.popleft()
            _answer(future, StoreUnavailable(f"no connection to the database: {error}"))

    async def _roll_back(self) -> None:
        if self._connection is not None:
            with suppress(*LOST):
                await self._connection.execute("rollback")


def _answer(future: _Future, outcome: Outcome) -> None:
    if future.done():  # its caller was cancelled while the batch was on its way
        return
    if isinstance(outcome, Exception):
        future.set_exception(outcome)
    else:
        future.set_result(outcome)


def _invalid(error: Exception) -> Exception:
    if isinstance(error, asyncpg.UniqueViolationError) and error.detail:
        return InvalidValue(error.detail.partition("(")[2].partition(")")[0], "is taken")
    return InvalidValue("commit", f"holds a value that the database refuses: {error}")
