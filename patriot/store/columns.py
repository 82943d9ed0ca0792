"""Commits as columns: one list per column is what a single `unnest` statement takes for a whole batch."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any
from uuid import UUID

from patriot.store.api import Commit
from patriot.store.plan import Balance, BalanceKey


def transposed(rows: Collection[tuple[Any, ...]]) -> Sequence[Sequence[Any]]:
    """Rows (at least one) as columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def event_columns(commits: Sequence[Commit]) -> Sequence[list[Any]]:
    """The columns of `sql.APPEND`, in its order.

    The column `follows` holds the version that must stand in the database already: set on the first event that a
    batch appends to an existing stream, 0 elsewhere.
    """
    columns: tuple[list[Any], ...] = tuple([] for _ in range(13))
    add = [column.append for column in columns]
    seen: set[tuple[UUID, UUID]] = set()
    for commit in commits:
        origin = commit.origin
        for append in commit.appends:
            stream, version = append.stream, append.expected_version
            key = (stream.tenant_id, stream.id)
            follows = 0 if key in seen else version
            seen.add(key)
            for event in append.events:
                version += 1
                values = (
                    stream.tenant_id, stream.id, version, follows, stream.kind, event.type, event.schema_version,
                    event.data, commit.occurred_at, origin.correlation_id, origin.causation_id, origin.actor,
                    commit.publish,
                )  # fmt: skip
                for append_value, value in zip(add, values, strict=True):
                    append_value(value)
                follows = 0
    return columns


def inbox_columns(commits: Sequence[Commit]) -> Sequence[list[Any]]:
    rows = [
        (commit.origin.tenant_id, *commit.inbox, commit.origin.correlation_id, commit.occurred_at)
        for commit in commits
        if commit.inbox is not None
    ]
    return [list(column) for column in zip(*rows, strict=True)] or [[]]


def answer_columns(commits: Sequence[Commit]) -> Sequence[list[Any]]:
    rows = [
        (
            commit.origin.tenant_id, answer.user_id, answer.route, answer.key, answer.body_hash, answer.status,
            answer.response, commit.origin.correlation_id, commit.occurred_at,
        )
        for commit in commits
        if (answer := commit.idempotency) is not None
    ]  # fmt: skip
    return [list(column) for column in zip(*rows, strict=True)] or [[]]


def balance_columns(commits: Sequence[Commit], balances: Mapping[BalanceKey, Balance]) -> Sequence[list[Any]]:
    """New balances, each with the correlation id of the last commit that changed it."""
    causes = {
        (commit.origin.tenant_id, change.account_id, change.asset): commit.origin.correlation_id
        for commit in commits
        for change in commit.balances
    }
    return [list(column) for column in zip(*((*key, *balances[key], causes[key]) for key in balances), strict=True)]
