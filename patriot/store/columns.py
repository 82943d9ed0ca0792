"""Commits as columns: one list per column is what a single `unnest` statement takes for a whole batch."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

import orjson

from patriot.domain.money import EXACT, ZERO
from patriot.store.api import Commit, GuardState
from patriot.store.check import SEPARATOR, SEPARATOR_BYTES, guard_key
from patriot.store.plan import Balance, BalanceKey, GuardKey, QuotaKey


def transposed(rows: Collection[tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
    """Rows as columns; no columns without rows."""
    return [list(column) for column in zip(*rows, strict=True)]


def event_columns(commits: Sequence[Commit], follows: Iterable[int]) -> Sequence[Sequence[Any]]:
    """The columns of `sql.EVENTS` from its second on, in its order; the texts are joined. Empty without events.

    `follows` has one number per append: the version that must stand in the database already, 0 for none.
    """
    rows: list[tuple[Any, ...]] = []
    before = iter(follows)
    for commit in commits:
        origin = commit.origin
        for append in commit.appends:
            stream, version = append.stream, append.expected_version
            follow = next(before) if append.events else 0
            for event in append.events:
                version += 1
                rows.append(
                    (
                        stream.tenant_id, stream.id, version, follow, event.schema_version, commit.occurred_at,
                        stream.kind, event.type, event.data, origin.correlation_id, origin.causation_id, origin.actor,
                    )
                )  # fmt: skip
                follow = 0
    if not rows:
        return ()
    *scalars, kinds, types, data, correlations, causations, actors = zip(*rows, strict=True)
    texts = [SEPARATOR.join(column) for column in (kinds, types, correlations, causations, actors)]
    return (*scalars, SEPARATOR_BYTES.join(data).decode(), *texts)


def event_keys(commits: Sequence[Commit]) -> Sequence[Sequence[Any]]:
    """What tells the commits' events from all others: the columns of `sql.FIND_EVENTS`."""
    return transposed(
        [
            (append.stream.tenant_id, append.stream.id, version, commit.origin.correlation_id, commit.occurred_at)
            for commit in commits
            for append in commit.appends
            for version in range(append.expected_version + 1, append.expected_version + len(append.events) + 1)
        ]
    )


def inbox_columns(commits: Sequence[Commit]) -> Sequence[Sequence[Any]]:
    rows = [
        (commit.origin.tenant_id, *commit.inbox, commit.origin.correlation_id, commit.occurred_at)
        for commit in commits
        if commit.inbox is not None
    ]
    return transposed(rows)


def answer_columns(commits: Sequence[Commit]) -> Sequence[Sequence[Any]]:
    rows = [
        (
            commit.origin.tenant_id, answer.user_id, answer.route, answer.key, answer.body_hash, answer.status,
            answer.response, commit.origin.correlation_id, commit.occurred_at,
        )
        for commit in commits
        if (answer := commit.idempotency) is not None
    ]  # fmt: skip
    return transposed(rows)


def balance_columns(
    commits: Sequence[Commit], balances: Mapping[BalanceKey, Balance], before: Mapping[BalanceKey, Balance]
) -> Sequence[Sequence[Any]]:
    """New balances, each with the correlation id of the last commit that changed it, and what they were before."""
    causes = {
        (commit.origin.tenant_id, change.account_id, change.asset): commit.origin.correlation_id
        for commit in commits
        for change in commit.balances
    }
    return transposed([(*key, *balances[key], causes[key], *before.get(key, Balance())) for key in sorted(balances)])


def expected_guards(commits: Sequence[Commit]) -> dict[GuardKey, GuardState]:
    """The guards as the commits hope to find them; of those who hope for different versions, the last."""
    return {
        guard_key(commit.origin.tenant_id, guard.scope): GuardState(guard.version)
        for commit in commits
        for guard in commit.guards
    }


def guard_state(row: Any) -> GuardState:
    """A row of `sql.READ_GUARDS`."""
    return GuardState(row[2], row[3], orjson.loads(row[4]))


def guard_columns(commits: Sequence[Commit], guards: Mapping[GuardKey, GuardState]) -> Sequence[Sequence[Any]]:
    """Raised guards, each with the correlation id of the last commit that raised one."""
    cause = [commit.origin.correlation_id for commit in commits if commit.raises][-1:]
    return transposed(
        [(*key, guard.version, guard.halted, orjson.dumps(dict(guard.limits)), *cause) for key, guard in guards.items()]
    )


def quota_columns(commits: Sequence[Commit], quotas: Mapping[QuotaKey, Decimal]) -> Sequence[Sequence[Any]]:
    """What the commits add to each quota together, with the last one's correlation id, and what is used then."""
    changes: dict[QuotaKey, tuple[Decimal, str]] = {}
    for commit in commits:
        for quota in commit.quotas:
            key = (commit.origin.tenant_id, quota.account_id, quota.name)
            before = changes.get(key, (ZERO, ""))[0]
            changes[key] = (EXACT.add(before, quota.change), commit.origin.correlation_id)
    return transposed([(*key, *change, quotas[key]) for key, change in changes.items()])
