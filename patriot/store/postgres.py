"""The store on PostgreSQL. Rule: only the writer appends; a tenant's reads run under a role bound to that tenant."""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import UUID

import orjson

from patriot.store import sql
from patriot.store.api import (
    Commit,
    GuardState,
    IdempotencyRecord,
    Lease,
    Origin,
    Query,
    RecordedEvent,
    Snapshot,
    StreamId,
)
from patriot.store.batch import Entry
from patriot.store.check import check_commit, check_query, guard_key
from patriot.store.columns import guard_state
from patriot.store.connections import (
    LOST,
    Connection,
    Pool,
    Urls,
    as_tenant,
    connect,
    create_pool,
    refuse_unsafe,
    unavailable_when_lost,
)
from patriot.store.record import recorded
from patriot.store.replica import Replica, ReplicaPlace
from patriot.store.select import select
from patriot.store.tables import TABLES, Table
from patriot.store.writer import Limits, Writer

_CLOSE_SECONDS_MAX = 2.0


@dataclass(frozen=True, slots=True)
class PoolSizes:
    """Connections of one process, and how many such processes share the server."""

    app: int = 8
    system: int = 4
    processes: int = 1

    @property
    def total(self) -> int:
        return (self.app + self.system + 1) * self.processes  # 1: the writer's own


class PostgresStore:
    """See `patriot.store.api.Store`. Made by `open`; the database must have been migrated."""

    def __init__(self, writer: Writer, app: Pool, system: Pool, clock: Callable[[], datetime]) -> None:
        self._writer = writer
        self._app = app
        self._system = system
        self._clock = clock
        self.replica: Replica | None = None

    @classmethod
    async def open(
        cls,
        urls: Urls,
        sizes: PoolSizes | None = None,
        limits: Limits | None = None,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        replica: ReplicaPlace | None = None,
    ) -> Self:
        """Connect. Raises StoreUnavailable, or StartRefused where the database's settings are not safe."""
        sizes = sizes or PoolSizes()
        with unavailable_when_lost():
            app = await create_pool(urls.app, sizes.app, "app")
            system = await create_pool(urls.system, sizes.system, "system")
            writer = Writer(lambda: connect(urls.system), limits)
            store = cls(writer, app, system, clock)
            try:
                await refuse_unsafe(app, system, sizes.total)
                await writer.start()
                if replica is not None:
                    store.replica = Replica(replica, system, sizes.app)
                    await store.replica.start()
            except BaseException:
                await store.close()
                raise
        return store

    async def close(self) -> None:
        """Write what is queued, then close every connection."""
        await self._writer.close()
        if self.replica is not None:
            await self.replica.close()
        for pool in (self._app, self._system):
            with suppress(*LOST):  # a read that does not end in time, or a server that is gone
                async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                    await pool.close()
            pool.terminate()

    async def commit(self, commit: Commit) -> Sequence[RecordedEvent]:
        return recorded(commit, await self._writer.write(Entry(commit, check_commit(commit))))

    async def load(self, stream: StreamId, after_version: int = 0) -> Sequence[RecordedEvent]:
        with unavailable_when_lost():
            rows = await self._app.fetch(sql.LOAD, stream.tenant_id, stream.id, after_version)
        return [event for event in map(_event, rows) if event.stream.kind == stream.kind]

    async def refused_orders(
        self, tenant_id: UUID, account_id: UUID, after_position: int = 0, limit: int = 1000
    ) -> Sequence[RecordedEvent]:
        async with self._as_tenant(tenant_id) as connection:
            rows = await connection.fetch(sql.REFUSED_ORDERS, tenant_id, str(account_id), after_position, limit)
        return [_event(row) for row in reversed(rows)]

    async def caused_by(self, tenant_id: UUID, correlation_id: str, limit: int = 1000) -> Sequence[RecordedEvent]:
        async with self._as_tenant(tenant_id) as connection:
            return [_event(row) for row in await connection.fetch(sql.CAUSED_BY, tenant_id, correlation_id, limit)]

    async def read(
        self, after_position: int = 0, kinds: Sequence[str] = (), limit: int = 1000
    ) -> AsyncIterator[RecordedEvent]:
        while True:
            with unavailable_when_lost():
                rows = await self._system.fetch(sql.READ, after_position, list(kinds), limit)
            for row in rows:
                yield _event(row)
            if len(rows) < limit:
                return
            after_position = rows[-1]["position"]

    async def unpublished(self, older_than: datetime, limit: int = 1000) -> Sequence[RecordedEvent]:
        with unavailable_when_lost():
            return [_event(row) for row in await self._system.fetch(sql.UNPUBLISHED, older_than, limit)]

    async def published(self, events: Sequence[RecordedEvent]) -> None:
        if events:
            await self._writer.take_off([event.position for event in events])

    async def outbox_depth(self) -> int:
        with unavailable_when_lost():
            return int(await self._system.fetchval("select count(*) from outbox"))

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        stream = snapshot.stream
        with unavailable_when_lost():
            await self._system.execute(
                sql.SAVE_SNAPSHOT, stream.tenant_id, stream.id, stream.kind, snapshot.version, snapshot.data
            )

    async def load_snapshot(self, stream: StreamId) -> Snapshot | None:
        async with self._as_tenant(stream.tenant_id) as connection:
            row = await connection.fetchrow(sql.LOAD_SNAPSHOT, stream.tenant_id, stream.id)
        return Snapshot(stream, row["version"], row["data"]) if row else None

    async def find_answer(self, tenant_id: UUID, user_id: UUID, route: str, key: str) -> IdempotencyRecord | None:
        asked = ([tenant_id], [user_id], [route], [key], [self._clock()])
        async with self._as_tenant(tenant_id) as connection:
            row = await connection.fetchrow(sql.READ_ANSWERS, *asked)
        return IdempotencyRecord(*tuple(row)[1:]) if row else None

    async def find(self, query: Query) -> Sequence[Mapping[str, Any]]:
        table = check_query(query)
        return [_shown(table, dict(row)) for row in await self._rows(query, *select(table, query))]

    async def _rows(self, query: Query, text: str, values: Sequence[Any]) -> Sequence[Any]:
        if query.tenant_id is None:
            with unavailable_when_lost():
                return await self._system.fetch(text, *values)
        if query.report is not None and self.replica is not None:
            rows = await self.replica.fetch(query.report, query.tenant_id, text, values)
            if rows is not None:
                return rows
        async with self._as_tenant(query.tenant_id) as connection:
            return await connection.fetch(text, *values)

    async def guards(self, tenant_id: UUID, scopes: Sequence[str]) -> Mapping[str, GuardState]:
        keys = [guard_key(tenant_id, scope) for scope in scopes]
        async with self._as_tenant(tenant_id) as connection:
            rows = await connection.fetch(sql.READ_GUARDS, [key[0] for key in keys], [key[1] for key in keys])
        found = {row["scope"]: guard_state(row) for row in rows}
        return {scope: found.get(scope, GuardState()) for scope in scopes}

    async def halted(self) -> Collection[tuple[UUID, str]]:
        with unavailable_when_lost():
            return {(row[0], row[1]) for row in await self._system.fetch(sql.READ_HALTED)}

    async def signed_out(self, since: datetime) -> Mapping[UUID, datetime]:
        with unavailable_when_lost():
            return {row[0]: row[1] for row in await self._system.fetch(sql.READ_SIGNED_OUT, since)}

    async def acquire_lease(self, name: str, owner: str, now: datetime, seconds: float) -> Lease | None:
        expires_at = now + timedelta(seconds=seconds)
        with unavailable_when_lost():
            epoch = await self._system.fetchval(sql.ACQUIRE_LEASE, name, owner, expires_at, now)
        return None if epoch is None else Lease(name, owner, epoch, expires_at)

    async def release_lease(self, lease: Lease) -> None:
        with unavailable_when_lost():
            await self._system.execute(sql.RELEASE_LEASE, lease.name, lease.owner, lease.epoch)

    async def clear_read_models(self) -> None:
        names = ", ".join(table.name for table in TABLES.values() if table.disposable)
        with unavailable_when_lost():
            await self._system.execute(f"truncate {names}")

    async def keep_house(self, moment: datetime) -> None:
        """Create the coming partitions, drop expired ones, roll ticks up, forget old keys. Called every minute."""
        with unavailable_when_lost():
            await self._system.execute("select keep_house($1)", moment)

    @asynccontextmanager
    async def _as_tenant(self, tenant_id: UUID) -> AsyncIterator[Connection]:
        with unavailable_when_lost():
            async with as_tenant(self._app, tenant_id) as connection:
                yield connection


def _event(row: Any) -> RecordedEvent:
    (tenant_id, aggregate_id, version, position, kind, name, schema_version, data, occurred_at, correlation_id,
     causation_id, actor) = row  # fmt: skip
    stream = StreamId(tenant_id, kind, aggregate_id)
    origin = Origin(tenant_id, actor, correlation_id, causation_id)
    return RecordedEvent(stream, version, name, schema_version, data, occurred_at, origin, position)


def _shown(table: Table, row: dict[str, Any]) -> Mapping[str, Any]:
    for name, kind in table.all_columns.items():
        if kind == "jsonb" and row[name] is not None:
            row[name] = orjson.loads(row[name])
    return row
