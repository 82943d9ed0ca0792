"""Commits to feed a store in tests. Everything is derived from a seed or counted, nothing from the wall clock."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from uuid import UUID, uuid5

from patriot.store.api import (
    Append,
    BalanceChange,
    Commit,
    GuardChange,
    IdempotencyRecord,
    NewEvent,
    Origin,
    QuotaChange,
    Store,
    StreamId,
)

TENANT = UUID(int=1)
OTHER_TENANT = UUID(int=2)
ACCOUNT = UUID(int=3)
USER = UUID(int=4)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)

_numbers = count(1)


def origin(tenant: UUID = TENANT) -> Origin:
    return Origin(tenant, "user:4", "req_1700000000000_deadbeef", "command:1")


def stream(kind: str = "order", tenant: UUID = TENANT) -> StreamId:
    """A stream that no other test has."""
    return StreamId(tenant, kind, uuid5(tenant, f"{kind} {next(_numbers)}"))


def events(number: int = 1, name: str = "order.created") -> Sequence[NewEvent]:
    return [NewEvent(name, 1, b'{"quantity": "0.25"}')] * number


def append(to: StreamId, version: int = 0, number: int = 1, **parts: object) -> Commit:
    """A commit that appends `number` events at `version`; `parts` are further fields of the commit."""
    return commit(origin(to.tenant_id), appends=[Append(to, version, events(number))], **parts)


def commit(of: Origin | None = None, **parts: object) -> Commit:
    fields = {"occurred_at": NOW, **parts}
    return Commit(of or origin(), **fields)  # type: ignore[arg-type]


def deposit(amount: str, asset: str = "USDT", account: UUID = ACCOUNT) -> BalanceChange:
    return BalanceChange(account, asset, total=Decimal(amount))


def reservation(amount: str, asset: str = "USDT", account: UUID = ACCOUNT) -> BalanceChange:
    return BalanceChange(account, asset, reserved=Decimal(amount), required=Decimal(amount))


def answer(key: str = "key-1", response: bytes = b'{"id": 1}') -> IdempotencyRecord:
    return IdempotencyRecord(USER, "POST /orders", key, b"hash", 201, response)


def quota(change: int, maximum: int | None = None, name: str = "orders", account: UUID = ACCOUNT) -> QuotaChange:
    return QuotaChange(account, name, Decimal(change), None if maximum is None else Decimal(maximum))


async def raise_guard(store: Store, of: Origin, scope: str, *, halted: bool | None = None) -> int:
    """Raise a guard by a commit of its own; returns its new version."""
    await store.commit(commit(of, raises=[GuardChange(scope, halted)]))
    return (await store.guards(of.tenant_id, [scope]))[scope].version
