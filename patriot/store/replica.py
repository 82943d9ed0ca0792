"""A streaming standby that reports are read from. Rule: a read proves that it is fresh enough, or the primary answers.

Every second the primary is asked how far its log goes: a mark. Who has replayed a mark is no older than the mark, by
one clock, ours. Where nothing is written the marks stay where they are, so an idle primary has no lagging standby; and
a standby that has lost its primary without knowing it falls behind them.

Each read looks how far its own connection's server has replayed: behind the address may be one standby or several. They
are left while they are too old or do not answer, and taken again by themselves.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from uuid import UUID

import asyncpg
import structlog

from patriot.store.api import Report, StoreError
from patriot.store.connections import LOST, Pool, as_tenant, create_pool, role_of, urls_of
from patriot.telemetry.metrics import metrics

LOOK_SECONDS = 1.0
ANSWER_SECONDS_MAX = 2.0
NOT_ASKED = "it has not been asked yet"

_WRITTEN = "select pg_wal_lsn_diff(pg_current_wal_flush_lsn(), '0/0')::bigint"
_REPLAYED = "select coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0'), 0)::bigint"  # null: no standby
_INSTALLATION = "select system_identifier from pg_control_system()"

log = structlog.get_logger()


class ReplicaUnfit(StoreError):
    """It answers, but it is no standby of this primary, or would show tenants each other's rows."""


# whatever a standby says (a read cancelled for the replay, a role that it lacks), the primary can be asked
FAILURES = (*LOST, asyncpg.PostgresError, ReplicaUnfit)


class ReplicaPlace(NamedTuple):
    """Where the standby is, with a login that may act as patriot_app, and how old its rows may be."""

    url: str
    lag_seconds_max: float


class Mark(NamedTuple):
    at: float  # monotonic, from before the primary was asked
    position: int  # in its log: what was committed by then lies before


class Replica:
    """The standby as one process sees it. `start` begins to follow it; nothing fails when it is not there."""

    def __init__(
        self, place: ReplicaPlace, primary: Pool, size: int, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self._url, self.lag_seconds_max = urls_of(place.url).app, place.lag_seconds_max
        self._primary, self._size, self._monotonic = primary, size, monotonic
        self._marks: deque[Mark] = deque()
        self._fresh_at = -math.inf  # the newest mark that it is known to have replayed
        self._pool: Pool | None = None
        self._looking: Any = None  # one connection of the pool, which long reports cannot take away
        self._task: asyncio.Task[None] | None = None
        self.in_use = False
        self.left_because = NOT_ASKED

    @property
    def lag_seconds(self) -> float:
        """It is no older than this; more by the second while it does not answer."""
        return self._monotonic() - self._fresh_at

    async def start(self) -> None:
        metrics.replica_lag_seconds("reports").set_function(lambda: self.lag_seconds)
        await self._put_mark()
        self._task = asyncio.create_task(self._follow(), name="follow the replica")

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._disconnect()

    async def fetch(self, report: Report, tenant_id: UUID, text: str, values: Sequence[Any]) -> Sequence[Any] | None:
        """The rows that this tenant may see, or None: the primary has to be asked, and for the rest of `report` too."""
        rows = None
        with suppress(*FAILURES):
            rows = await self._fetched(report, tenant_id, text, values)
        if rows is None:
            report.seen = math.inf
        metrics.report_reads("primary" if rows is None else "replica").inc()
        return rows

    async def _fetched(self, report: Report, tenant_id: UUID, text: str, values: Sequence[Any]) -> Sequence[Any] | None:
        needed = self._needed(report)
        if self._pool is None or not self.in_use or needed == math.inf:
            return None
        async with as_tenant(self._pool, tenant_id) as connection:
            replayed = await connection.fetchval(_REPLAYED)
            if replayed < needed:
                return None
            report.seen = replayed
            return await connection.fetch(text, *values)

    def _needed(self, report: Report) -> float:
        """How far a server must have replayed to be young enough, and not older than what the report has shown."""
        marks = self._young_marks()
        return max(marks[0].position, report.seen) if marks else math.inf

    def _young_marks(self) -> Sequence[Mark]:
        while self._marks and self._marks[0].at < self._monotonic() - self.lag_seconds_max:
            self._marks.popleft()
        return self._marks

    # --- looking ---
    async def _follow(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self._put_mark()
            await self._look()

    async def _put_mark(self) -> None:
        with suppress(*FAILURES):  # without a primary the marks grow old, and the replica with them
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                at = self._monotonic()
                self._marks.append(Mark(at, await self._primary.fetchval(_WRITTEN)))

    async def _look(self) -> None:
        """See which marks have been replayed, and judge."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS_MAX):
                replayed = await self._replayed()
        except FAILURES as error:
            self._disconnect()
            self._leave(f"it does not answer: {error or type(error).__name__}")
            return
        self._fresh_at = max(
            (mark.at for mark in self._young_marks() if mark.position <= replayed), default=self._fresh_at
        )
        if self.lag_seconds > self.lag_seconds_max:
            self._leave(f"it is more than {self.lag_seconds_max:g} s behind")
        elif self.lag_seconds <= self.lag_seconds_max / 2:  # so that it does not come and go
            self._take()

    async def _replayed(self) -> int:
        """How far it has replayed. Raises one of FAILURES."""
        if self._pool is None:
            self._pool = await create_pool(self._url, self._size + 1, "replica", ANSWER_SECONDS_MAX)
            self._looking = await self._pool.acquire()
            await self._refuse_unfit()
        return int(await self._looking.fetchval(_REPLAYED))

    async def _refuse_unfit(self) -> None:
        role, bypasses = await role_of(self._looking)
        if bypasses:
            raise ReplicaUnfit(f"its role {role!r} bypasses row-level security: let its login act as patriot_app")
        if not await self._looking.fetchval("select pg_is_in_recovery()"):
            raise ReplicaUnfit("it is no standby")
        if await self._looking.fetchval(_INSTALLATION) != await self._primary.fetchval(_INSTALLATION):
            raise ReplicaUnfit("it is a standby of another database")

    def _take(self) -> None:
        if not self.in_use:
            log.info("reports are read from the replica", lag_seconds=round(self.lag_seconds, 1))
        self.in_use, self.left_because = True, ""

    def _leave(self, reason: str) -> None:
        if reason != self.left_because:
            log.warning("reports are read from the primary", replica=reason)
        self.in_use, self.left_because = False, reason

    def _disconnect(self) -> None:
        """Reads that hang on it end now, and the primary answers them."""
        if self._pool is not None:
            self._pool.terminate()
        self._pool = self._looking = None
