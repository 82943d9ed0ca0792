"""One database transaction for the commits of many requests. Rule: whoever loses a race is taken out, not the batch.

First everything that decides is locked in one order (guards, leases, balances), then the plan is made, then the rows
are inserted with `on conflict do nothing`. A row that is missing afterwards lost a race that the plan did not know of:
the statement fails, and the next attempt looks everything up before it plans, so the loser is left out.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import asyncpg

from patriot.domain.errors import InvalidValue
from patriot.store import sql
from patriot.store.api import Commit, IdempotencyRecord, Refused, StoreUnavailable
from patriot.store.check import CheckedRow
from patriot.store.columns import (
    answer_columns,
    balance_columns,
    event_columns,
    event_keys,
    guard_columns,
    guard_state,
    inbox_columns,
    quota_columns,
    transposed,
)
from patriot.store.connections import Connection
from patriot.store.plan import Balance, Facts, LockKeys, Plan, answer_key, lock_keys
from patriot.store.upsert import upserts

_ATTEMPTS_MAX = 10
_PAUSE_SECONDS = 0.05


class Entry(NamedTuple):
    """A checked commit on its way into the database."""

    commit: Commit
    rows: Sequence[CheckedRow]

    @property
    def beside_events(self) -> bool:
        """Tell whether it writes anything beside events and balances."""
        return bool(self.rows) or self.commit.inbox is not None or self.commit.idempotency is not None


Outcome = int | Exception  # the position of the commit's first event, or why it was refused


class Batch:
    """Entries that share a transaction, and outbox entries to take off with it. `outcomes` is aligned with entries.

    The entries' commits are all published or all not.
    """

    def __init__(self, entries: Sequence[Entry], published: Sequence[int] = ()) -> None:
        self._entries = entries
        self._commits = [entry.commit for entry in entries]
        self._published = published
        self._facts = Facts()
        self._plan = Plan(self._facts)
        self.committing = False
        self.outcomes: list[Outcome] = []

    async def run(self, connection: Connection) -> None:
        """Make the batch durable. Raises what the driver raises; then nothing is known of it until `landed`."""
        look_up = False
        for _ in range(_ATTEMPTS_MAX):
            self.committing = False
            try:
                await self._attempt(connection, look_up=look_up)
            except (asyncpg.SerializationError, asyncpg.DeadlockDetectedError):
                look_up = True  # a race was lost to another process; what it wrote is visible when we come again
                await connection.execute("rollback")
            else:
                return
        self.outcomes = [StoreUnavailable("other writers kept winning; try again")] * len(self._entries)

    async def landed(self, connection: Connection, lost_session: int) -> bool:
        """After a lost connection: tell whether the transaction became durable. Waits until its session has ended.

        It is found by its events, all of them. Without events there is nothing to find it by: the caller may repeat it.
        """
        columns = event_keys([c for c, outcome in zip(self._commits, self.outcomes, strict=True) if outcome == 0])
        if not columns:
            return False
        while await connection.fetchval(sql.SESSION_LIVES, lost_session):  # noqa: ASYNC110 (nothing would notify us)
            await asyncio.sleep(_PAUSE_SECONDS)
        row = await connection.fetchrow(sql.FIND_EVENTS, *columns)
        assert row is not None, "an aggregate gives one row"
        count, position = row
        if count == len(columns[0]):
            self._place(position)
        return bool(count == len(columns[0]))

    async def _attempt(self, connection: Connection, *, look_up: bool) -> None:
        keys = lock_keys(self._commits)
        if not look_up and self._only_appends(keys):
            await self._append_alone(connection)
            return
        await self._begin(connection, guarded=bool(keys.guards))
        await self._lock(connection, keys)
        accepted = await self._admit(connection, look_up=look_up)
        position = await self._insert(connection, accepted)
        self.committing = True
        await connection.execute("commit")
        self._place(position)

    def _only_appends(self, keys: LockKeys) -> bool:
        """Tell whether one statement will do: nothing to lock, nothing beside events, and no refusal to look into."""
        if self._published or any(keys) or any(entry.beside_events for entry in self._entries):
            return False
        return len(self._admitted()) == len(self._entries)

    async def _append_alone(self, connection: Connection) -> None:
        """The statement is its own transaction: one round trip."""
        self.committing = True
        self._place(await self._append(connection, self._commits))

    async def _begin(self, connection: Connection, *, guarded: bool) -> None:
        statements = ["begin"]
        if guarded:
            # who raises a guard waits for us, and we for one that waits: a kill switch never starves
            raises = any(commit.raises for commit in self._commits)
            statements.append(f"lock table guards in {'exclusive' if raises else 'row share'} mode")
        if not self._entries:
            statements.append("set local synchronous_commit = off")  # a delete that is lost is only published again
        await connection.execute("; ".join(statements))
        if self._published:
            await connection.execute(sql.DELETE_PUBLISHED, self._published)

    async def _lock(self, connection: Connection, keys: LockKeys) -> None:
        """Read what the plan goes by, under locks that last until the transaction ends."""
        if keys.guards:
            rows = await connection.fetch(sql.READ_GUARDS, *transposed(keys.guards))
            self._facts.guards = {(row[0], row[1]): guard_state(row) for row in rows}
        if keys.leases:
            rows = await connection.fetch(sql.LOCK_LEASES, list(keys.leases))
            self._facts.leases = {row[0]: row[1] for row in rows}
        if keys.balances:
            await self._lock_balances(connection, transposed(keys.balances), len(keys.balances))
        if keys.quotas:
            rows = await connection.fetch(sql.LOCK_QUOTAS, *transposed(keys.quotas))
            self._facts.quotas = {(row[0], row[1], row[2]): row[3] for row in rows}

    async def _lock_balances(self, connection: Connection, keys: Sequence[Sequence[object]], count: int) -> None:
        rows = await connection.fetch(sql.LOCK_BALANCES, *keys)
        if len(rows) < count:
            await connection.execute(sql.CREATE_BALANCES, *keys)
            rows = await connection.fetch(sql.LOCK_BALANCES, *keys)
        self._facts.balances = {(row[0], row[1], row[2]): Balance(row[3], row[4], row[5]) for row in rows}

    async def _admit(self, connection: Connection, *, look_up: bool) -> Sequence[Entry]:
        """Admit what can be. A refusal counts only after all keys were looked up: they may give a better reason."""
        if look_up:
            await self._look_up(connection)
        accepted = self._admitted()
        if len(accepted) < len(self._entries) and not look_up:
            await self._look_up(connection)
            accepted = self._admitted()
        return accepted

    def _admitted(self) -> Sequence[Entry]:
        self._plan = Plan(self._facts)
        self.outcomes = []
        accepted = []
        for entry in self._entries:
            try:
                self._plan.admit(entry.commit)
            except (Refused, InvalidValue) as refusal:
                self.outcomes.append(refusal)
            else:
                self.outcomes.append(0)
                accepted.append(entry)
        return accepted

    async def _look_up(self, connection: Connection) -> None:
        streams = {append.stream[::2] for commit in self._commits for append in commit.appends}  # tenant, aggregate
        rows = await connection.fetch(sql.READ_HEADS, *transposed(streams)) if streams else []
        heads = {(tenant_id.int, aggregate_id.int): 0 for tenant_id, aggregate_id in streams}
        self._facts.heads = {**heads, **{(row[0].int, row[1].int): row[2] for row in rows}}
        inbox = {(commit.origin.tenant_id, *commit.inbox) for commit in self._commits if commit.inbox is not None}
        rows = await connection.fetch(sql.READ_INBOX, *transposed(inbox)) if inbox else []
        self._facts.inbox = {(row[0], row[1], row[2]): True for row in rows}
        answers = {
            answer_key(commit, commit.idempotency): commit.occurred_at
            for commit in self._commits
            if commit.idempotency is not None
        }
        keys = [(*key, occurred_at) for key, occurred_at in answers.items()]
        rows = await connection.fetch(sql.READ_ANSWERS, *transposed(keys)) if keys else []
        self._facts.answers = {(row[0], row[1], row[2], row[3]): IdempotencyRecord(*row[1:]) for row in rows}

    async def _insert(self, connection: Connection, accepted: Sequence[Entry]) -> int:
        """Insert the accepted entries; return the position of their first event. A lost race is SerializationError."""
        commits = [entry.commit for entry in accepted]
        position = await self._append(connection, commits)
        if inbox := inbox_columns(commits):
            await connection.execute(sql.INSERT_INBOX, *inbox, len(inbox[0]))
        if answers := answer_columns(commits):
            await connection.execute(sql.INSERT_ANSWERS, *answers, len(answers[0]))
        if self._plan.guards:
            await connection.execute(sql.RAISE_GUARDS, *guard_columns(commits, self._plan.guards))
        if self._plan.quotas:
            columns = quota_columns(commits, self._plan.quotas)
            await connection.execute(sql.USE_QUOTAS, *columns, len(columns[0]))
        if self._plan.balances:
            await connection.execute(sql.UPDATE_BALANCES, *balance_columns(commits, self._plan.balances))
        for statement, values in upserts([row for entry in accepted for row in entry.rows]):
            await connection.execute(statement, *values)
        return position

    async def _append(self, connection: Connection, commits: Sequence[Commit]) -> int:
        columns = event_columns(commits, self._plan.follows)
        if not columns:
            return 0
        position: int = await connection.fetchval(sql.APPEND, commits[0].publish, *columns, len(columns[0]))
        return position

    def _place(self, position: int) -> None:
        for index, commit in enumerate(self._commits):
            if self.outcomes[index] == 0:
                self.outcomes[index] = position
                for append in commit.appends:
                    position += len(append.events)
