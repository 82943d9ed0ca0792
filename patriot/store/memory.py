"""The store in memory, for simulation and tests. Rule: what it accepts and refuses, PostgreSQL accepts and refuses.

No I/O, no tasks, no clock of its own: each method runs to its end without giving way, so it is atomic.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from msgspec.structs import replace

from patriot.domain.errors import InvalidValue
from patriot.store.api import (
    Between,
    Commit,
    GuardState,
    IdempotencyRecord,
    Lease,
    Query,
    RecordedEvent,
    Snapshot,
    StreamId,
)
from patriot.store.check import CheckedRow, check_commit, check_query, guard_key
from patriot.store.plan import AnswerKey, Facts, Plan, StreamKey, answer_key, stream_key
from patriot.store.record import ANSWER_HOURS, recorded
from patriot.store.tables import TABLES, ColumnType, Table

_COLLECTIONS = (list, tuple, set, frozenset)
_START = datetime(1970, 1, 1, tzinfo=UTC)
_INDEXED = {"orders": "status", "ledger_entries": "account_code", "ohlc": "interval"}
"""What is asked for all the time, while rows that are not asked for pile up: open orders, deposits, daily bars."""


class MemoryStore:
    """See `patriot.store.api.Store`. `clock` ages idempotency records; without one the newest commit's time does."""

    def __init__(self, clock: Callable[[], datetime] | None = None) -> None:
        self._newest = _START
        self._clock = clock or (lambda: self._newest)
        self._facts = Facts(complete=True)
        self._answered_at: dict[AnswerKey, datetime] = {}
        self._events: list[RecordedEvent] = []
        self._streams: dict[StreamKey, list[RecordedEvent]] = {}
        self._outbox: dict[int, RecordedEvent] = {}
        self._snapshots: dict[StreamId, Snapshot] = {}
        self._leases: dict[str, Lease] = {}
        self._rows: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in TABLES}
        self._index: dict[tuple[str, Any], dict[tuple[Any, ...], dict[str, Any]]] = {}  # (table, value) -> rows

    async def commit(self, commit: Commit) -> Sequence[RecordedEvent]:
        rows = check_commit(commit)
        self._newest = max(self._newest, commit.occurred_at)
        self._forget_old_answer(commit)
        plan = Plan(self._facts)
        plan.admit(commit)
        self._check_unique(rows)
        self._keep(commit, plan)
        for row in rows:
            self._write(row)
        if commit.ticket is not None:
            commit.ticket.durable = True
        return self._append(commit)

    async def load(self, stream: StreamId, after_version: int = 0) -> Sequence[RecordedEvent]:
        events = self._streams.get(stream_key(stream), [])[after_version:]
        return [event for event in events if event.stream.kind == stream.kind]

    async def refused_orders(
        self, tenant_id: UUID, account_id: UUID, after_position: int = 0, limit: int = 1000
    ) -> Sequence[RecordedEvent]:
        found = [
            event
            for event in self._events[after_position:]
            if event.type == "risk.denied" and event.stream.tenant_id == tenant_id
            if orjson.loads(event.data)["account_id"] == str(account_id)
        ]
        return found[-limit:]

    async def caused_by(self, tenant_id: UUID, correlation_id: str, limit: int = 1000) -> Sequence[RecordedEvent]:
        mine = (event for event in self._events if event.stream.tenant_id == tenant_id)
        return [event for event in mine if event.origin.correlation_id == correlation_id][:limit]

    async def read(
        self,
        after_position: int = 0,
        kinds: Sequence[str] = (),
        limit: int = 1000,  # noqa: ARG002 (there are no pages in memory)
    ) -> AsyncIterator[RecordedEvent]:
        for index in range(after_position, len(self._events)):  # positions count from 1 without holes
            event = self._events[index]
            if not kinds or event.stream.kind in kinds:
                yield event

    async def unpublished(self, older_than: datetime, limit: int = 1000) -> Sequence[RecordedEvent]:
        return [event for event in self._outbox.values() if event.occurred_at < older_than][:limit]

    async def published(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            self._outbox.pop(event.position, None)

    async def outbox_depth(self) -> int:
        return len(self._outbox)

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        stored = self._snapshots.get(snapshot.stream)
        if stored is None or stored.version < snapshot.version:
            self._snapshots[snapshot.stream] = snapshot

    async def load_snapshot(self, stream: StreamId) -> Snapshot | None:
        return self._snapshots.get(stream)

    async def find_answer(self, tenant_id: UUID, user_id: UUID, route: str, key: str) -> IdempotencyRecord | None:
        found = (tenant_id, user_id, route, key)
        answered_at = self._answered_at.get(found)
        if answered_at is None or self._clock() - answered_at >= timedelta(hours=ANSWER_HOURS):
            return None
        return self._facts.answers.get(found)

    async def find(self, query: Query) -> Sequence[Mapping[str, Any]]:
        table = check_query(query)
        rows = [row for row in self._candidates(table, query) if _matches(table, row, query)]
        for name in reversed(query.order_by):
            column = name.removeprefix("-")
            rows.sort(key=lambda row: (row.get(column) is None, row.get(column)), reverse=name.startswith("-"))
        columns = table.all_columns
        return [_shown(columns, row) for row in rows[: query.limit]]

    async def guards(self, tenant_id: UUID, scopes: Sequence[str]) -> Mapping[str, GuardState]:
        return {scope: self._facts.guards.get(guard_key(tenant_id, scope), GuardState()) for scope in scopes}

    async def halted(self) -> Collection[tuple[UUID, str]]:
        return {key for key, guard in self._facts.guards.items() if guard.halted}

    async def signed_out(self, since: datetime) -> Mapping[UUID, datetime]:
        moments = {row["id"]: row.get("signed_out_at") for row in self._rows["users"].values()}
        return {user_id: moment for user_id, moment in moments.items() if moment is not None and moment >= since}

    async def acquire_lease(self, name: str, owner: str, now: datetime, seconds: float) -> Lease | None:
        lease = _taken_or_renewed(self._leases.get(name), Lease(name, owner, 1, now + timedelta(seconds=seconds)), now)
        if lease is not None:
            self._leases[name] = lease
            self._facts.leases[name] = lease.epoch
        return lease

    async def release_lease(self, lease: Lease) -> None:
        stored = self._leases.get(lease.name)
        if stored is not None and (stored.owner, stored.epoch) == (lease.owner, lease.epoch):
            self._leases[lease.name] = replace(stored, owner="", expires_at=_START)
            self._facts.leases.pop(lease.name, None)

    async def clear_read_models(self) -> None:
        for table in TABLES.values():
            if table.disposable:
                self._rows[table.name].clear()
        self._index.clear()
        self._facts.balances.clear()
        self._facts.quotas.clear()

    async def close(self) -> None:
        """Keep everything: a closed in-memory store may be read on by a test."""

    def _forget_old_answer(self, commit: Commit) -> None:
        if commit.idempotency is not None:
            key = answer_key(commit, commit.idempotency)
            answered_at = self._answered_at.get(key)
            if answered_at is not None and commit.occurred_at - answered_at >= timedelta(hours=ANSWER_HOURS):
                del self._facts.answers[key], self._answered_at[key]

    def _check_unique(self, rows: Sequence[CheckedRow]) -> None:
        for row in rows:
            for name in row.table.unique:
                value = row.values.get(name)
                others = self._rows[row.table.name].items() if value is not None else ()
                if any(stored.get(name) == value and key != row.key for key, stored in others):
                    raise InvalidValue(name, "is taken")

    def _keep(self, commit: Commit, plan: Plan) -> None:
        self._facts.heads.update(plan.heads)
        self._facts.inbox.update(plan.inbox)
        self._facts.answers.update(plan.answers)
        self._answered_at.update(dict.fromkeys(plan.answers, commit.occurred_at))
        self._facts.balances.update(plan.balances)
        self._facts.guards.update(plan.guards)
        self._keep_quotas(commit, plan)
        for (tenant_id, account_id, asset), balance in plan.balances.items():
            self._rows["buying_power"][(tenant_id, account_id, asset)] = {
                "tenant_id": tenant_id,
                "correlation_id": commit.origin.correlation_id,
                "account_id": account_id,
                "asset": asset,
                **balance._asdict(),
            }

    def _keep_quotas(self, commit: Commit, plan: Plan) -> None:
        self._facts.quotas.update(plan.quotas)
        for key, used in plan.quotas.items():
            values = (*key, commit.origin.correlation_id, used)
            names = ("tenant_id", "account_id", "name", "correlation_id", "used")
            self._rows["quotas"][key] = dict(zip(names, values, strict=True))

    def _write(self, row: CheckedRow) -> None:
        stored = self._rows[row.table.name].setdefault(row.key, {})
        version = row.table.version
        if not stored or version is None or stored[version] < row.values[version]:
            indexed = _INDEXED.get(row.table.name)
            if indexed:
                self._index.get((row.table.name, stored.get(indexed)), {}).pop(row.key, None)
            stored.update(row.values)
            if indexed:
                self._index.setdefault((row.table.name, stored.get(indexed)), {})[row.key] = stored

    def _append(self, commit: Commit) -> Sequence[RecordedEvent]:
        events = recorded(commit, len(self._events) + 1)
        self._events.extend(events)
        for event in events:
            self._streams.setdefault(stream_key(event.stream), []).append(event)
            if commit.publish:
                self._outbox[event.position] = event
        return events

    def _candidates(self, table: Table, query: Query) -> Iterable[dict[str, Any]]:
        """All rows that could match: by the index where there is one."""
        indexed = _INDEXED.get(table.name)
        if indexed is None or indexed not in query.where:
            return self._rows[table.name].values()
        wanted = query.where[indexed]
        values = wanted if isinstance(wanted, _COLLECTIONS) else (wanted,)
        return (row for value in dict.fromkeys(values) for row in self._index.get((table.name, value), {}).values())


def _taken_or_renewed(stored: Lease | None, wanted: Lease, now: datetime) -> Lease | None:
    if stored is None:
        return wanted
    if stored.owner == wanted.owner:
        return replace(wanted, epoch=stored.epoch)
    return replace(wanted, epoch=stored.epoch + 1) if stored.expires_at <= now else None


def _matches(table: Table, row: Mapping[str, Any], query: Query) -> bool:
    if table.tenant and query.tenant_id is not None and row["tenant_id"] != query.tenant_id:
        return False
    return all(_is_wanted(row.get(name), wanted) for name, wanted in query.where.items())


def _is_wanted(value: Any, wanted: Any) -> bool:
    if isinstance(wanted, _COLLECTIONS):
        return value in wanted
    if not isinstance(wanted, Between):
        return bool(value == wanted)
    if value is None:
        return wanted.low is None and wanted.high is None
    return (wanted.low is None or value >= wanted.low) and (wanted.high is None or value < wanted.high)


def _shown(columns: Mapping[str, ColumnType], row: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: _decoded(kind, row.get(name)) for name, kind in columns.items()}


def _decoded(kind: ColumnType, value: Any) -> Any:
    return orjson.loads(value) if value is not None and kind == "jsonb" else value
