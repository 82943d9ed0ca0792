"""One database transaction for the commits of many requests. Rule: whoever loses a race is taken out, not the batch.

The plan is made on what the writer knows, or else sees, and one statement, which is its own transaction, writes it all:
it fails where the database knows better. After that, or where a commit must be refused, everything that decides is
locked first in one order (guards, leases, balances, quotas), and the plan is made on that. Rows are inserted with `on
conflict do nothing`: one that is missing afterwards lost a race that the plan did not know of. The statement fails,
and the next attempt looks everything up before it plans, so the loser is left out.
"""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

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
    expected_guards,
    guard_columns,
    guard_state,
    inbox_columns,
    quota_columns,
    transposed,
)
from patriot.store.connections import Connection
from patriot.store.known import Known
from patriot.store.plan import Balance, Facts, LockKeys, Plan, answer_key, lock_keys
from patriot.store.upsert import Upsert, upserts

_ATTEMPTS_MAX = 10
_PAUSE_SECONDS = 0.05


class Entry(NamedTuple):
    """A checked commit on its way into the database."""

    commit: Commit
    rows: Sequence[CheckedRow]


Outcome = int | Exception  # the position of the commit's first event, or why it was refused
_Values = tuple[sql.Part, Sequence[Any]]


class Batch:
    """Entries that share a transaction, and outbox entries to take off with it. `outcomes` is aligned with entries.

    The entries' commits are all published or all not.
    """

    def __init__(self, entries: Sequence[Entry], published: Sequence[int], known: Known) -> None:
        self._entries = entries
        self._known = known
        self._commits = [entry.commit for entry in entries]
        self._published = published
        self._facts = Facts()
        self._plan = Plan(self._facts)
        self._upserts: Sequence[Upsert] = ()
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
        if not look_up and await self._is_planned(connection, keys):
            await self._write_at_once(connection)
        else:
            await self._write_under_locks(connection, keys, look_up=look_up)
        self._known.learn(self._plan)

    async def _is_planned(self, connection: Connection, keys: LockKeys) -> bool:
        """Plan without locks; False where a lease has to be kept, or a refusal to be looked into."""
        if keys.leases or any(commit.raises for commit in self._commits):
            return False
        self._facts = self._known.take(keys) or await self._seen(connection, keys)
        self._facts.guards = expected_guards(self._commits)
        if len(self._facts.balances) < len(keys.balances) or len(self._admitted()) < len(self._entries):
            return False
        self._upserts = _upserts(self._entries)
        return not any(upsert.wave for upsert in self._upserts)

    async def _seen(self, connection: Connection, keys: LockKeys) -> Facts:
        """Balances and quotas as they stand at this moment, in one round trip."""
        columns = [transposed(wanted) or [[], [], []] for wanted in (keys.balances, keys.quotas)]
        facts = Facts()
        for *key, total, reserved, margin, used in await connection.fetch(sql.READ_MONEY, *columns[0], *columns[1]):
            if used is None:
                facts.balances[tuple(key)] = Balance(total, reserved, margin)
            else:
                facts.quotas[tuple(key)] = used
        return facts

    async def _write_at_once(self, connection: Connection) -> None:
        """The statement is its own transaction: one round trip."""
        parts = list(self._parts(self._entries))
        if guards := [(*key, guard.version) for key, guard in self._facts.guards.items()]:
            parts.append((sql.EXPECTED_GUARDS, transposed(guards)))
        if not self._entries:
            parts.append((sql.NOT_WAITING_FOR_THE_DISK, ()))
        self.committing = True
        self._place(await _write(connection, parts))

    async def _write_under_locks(self, connection: Connection, keys: LockKeys, *, look_up: bool) -> None:
        guess, self._facts = self._facts, Facts()
        await self._begin(connection, guarded=bool(keys.guards))
        await self._lock(connection, keys)
        self._known.correct(guess, self._facts)
        accepted = await self._admit(connection, look_up=look_up)
        self._upserts = _upserts(accepted)
        position = await _write(connection, list(self._parts(accepted)))
        for upsert in self._upserts:
            if upsert.wave:
                await connection.execute(upsert.text, *upsert.values)
        self.committing = True
        await connection.execute("commit")
        self._place(position)

    async def _begin(self, connection: Connection, *, guarded: bool) -> None:
        statements = ["begin"]
        if guarded:
            # who raises a guard waits for us, and we for one that waits: a kill switch never starves
            raises = any(commit.raises for commit in self._commits)
            statements.append(f"lock table guards in {'exclusive' if raises else 'row share'} mode")
        await connection.execute("; ".join(statements))

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

    def _parts(self, accepted: Sequence[Entry]) -> Iterator[_Values]:
        """What the accepted entries write at once. The events come first: their position is the answer."""
        commits, plan = [entry.commit for entry in accepted], self._plan
        if events := event_columns(commits, plan.follows):
            yield sql.EVENTS, (commits[0].publish, *events, len(events[0]))
        if self._published:
            yield sql.PUBLISHED, (self._published,)
        if inbox := inbox_columns(commits):
            yield sql.INBOX, (*inbox, len(inbox[0]))
        if answers := answer_columns(commits):
            yield sql.ANSWERS, (*answers, len(answers[0]))
        if plan.guards:
            yield sql.RAISED_GUARDS, guard_columns(commits, plan.guards)
        if plan.quotas:
            quotas = quota_columns(commits, plan.quotas)
            yield sql.QUOTAS, (*quotas, len(quotas[0]))
        if plan.balances:
            balances = balance_columns(commits, plan.balances, self._facts.balances)
            yield sql.BALANCES, (*balances, len(balances[0]))
        for number, upsert in enumerate(self._upserts):
            if not upsert.wave:
                yield sql.Part(f"rows_{number} as ({upsert.text})"), upsert.values

    def _place(self, position: int) -> None:
        for index, commit in enumerate(self._commits):
            if self.outcomes[index] == 0:
                self.outcomes[index] = position
                for append in commit.appends:
                    position += len(append.events)


def _upserts(entries: Sequence[Entry]) -> Sequence[Upsert]:
    return list(upserts([row for entry in entries for row in entry.rows]))


async def _write(connection: Connection, parts: Sequence[_Values]) -> int:
    """Write the parts; return the position of their first event. A lost race is a SerializationError."""
    if not parts:
        return 0
    text = sql.compose(tuple(part for part, _ in parts))
    answer: int = await connection.fetchval(text, *(value for _, values in parts for value in values))
    return answer if parts[0][0] is sql.EVENTS else 0
