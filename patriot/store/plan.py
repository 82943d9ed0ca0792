"""Which commits of a batch can be made together. Pure: the same facts and commits give the same plan.

`Facts` is what is known of the database. The in-memory store knows everything (`complete`); PostgreSQL's writer starts
with what it has locked, assumes the rest, and learns what it lost when the inserts show it. Commits are admitted one by
one in order of arrival, each on top of those before it; a refused one leaves no trace.

Checks go in one order, so that both stores refuse for the same reason: idempotency key, inbox, lease, guards,
versions, balances, quotas.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import NamedTuple, TypeVar
from uuid import UUID

from patriot.domain.errors import InvalidValue
from patriot.domain.money import AMOUNT_MAX, ZERO
from patriot.store.api import (
    AlreadyProcessed,
    BalanceChange,
    Commit,
    DuplicateRequest,
    GuardFailed,
    GuardState,
    IdempotencyRecord,
    InsufficientFunds,
    LeaseLost,
    QuotaChange,
    QuotaExceeded,
    StreamId,
    Ticket,
    VersionConflict,
)
from patriot.store.check import guard_key

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

StreamKey = tuple[int, int]  # tenant, aggregate; as integers, because hashing a UUID costs five times as much
InboxKey = tuple[UUID, str, str]  # tenant, consumer, event
AnswerKey = tuple[UUID, UUID, str, str]  # tenant, user, route, key
BalanceKey = tuple[UUID, UUID, str]  # tenant, account, asset
GuardKey = tuple[UUID, str]  # tenant, scope
QuotaKey = tuple[UUID, UUID, str]  # tenant, account, name

_EXACT = Context(prec=60, traps=[Inexact, InvalidOperation])


class Balance(NamedTuple):
    total: Decimal = ZERO
    reserved: Decimal = ZERO
    margin: Decimal = ZERO

    @property
    def available(self) -> Decimal:
        return _EXACT.subtract(_EXACT.subtract(self.total, self.reserved), self.margin)


@dataclass(slots=True)
class Facts:
    """What is known. `leases` maps a held lease to its epoch. Not `complete`: a missing key is unknown, not absent."""

    complete: bool = False
    heads: dict[StreamKey, int] = field(default_factory=dict)
    inbox: dict[InboxKey, bool] = field(default_factory=dict)
    answers: dict[AnswerKey, IdempotencyRecord] = field(default_factory=dict)
    balances: dict[BalanceKey, Balance] = field(default_factory=dict)
    guards: dict[GuardKey, GuardState] = field(default_factory=dict)
    quotas: dict[QuotaKey, Decimal] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)


class LockKeys(NamedTuple):
    """What must not change between the plan and the end of its transaction."""

    guards: set[GuardKey]
    leases: set[str]
    balances: set[BalanceKey]
    quotas: set[QuotaKey]


def lock_keys(commits: Sequence[Commit]) -> LockKeys:
    keys = LockKeys(set(), set(), set(), set())
    for commit in commits:
        tenant_id = commit.origin.tenant_id
        for guard in commit.guards:
            keys.guards.add(guard_key(tenant_id, guard.scope))
        for raised in commit.raises:
            keys.guards.add(guard_key(tenant_id, raised.scope))
        for quota in commit.quotas:
            keys.quotas.add((tenant_id, quota.account_id, quota.name))
        for change in commit.balances:
            keys.balances.add((tenant_id, change.account_id, change.asset))
        if commit.lease is not None:
            keys.leases.add(commit.lease.name)
    return keys


class Plan:
    """Commits admitted so far, and the state they lead to on top of the facts."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.heads: dict[StreamKey, int] = {}
        self.inbox: dict[InboxKey, bool] = {}
        self.answers: dict[AnswerKey, IdempotencyRecord] = {}
        self.balances: dict[BalanceKey, Balance] = {}
        self.guards: dict[GuardKey, GuardState] = {}
        self.quotas: dict[QuotaKey, Decimal] = {}
        self.follows: list[int] = []  # per append admitted: the version that must stand already, 0 = made by this plan
        self._tickets: set[Ticket | None] = set()

    def admit(self, commit: Commit) -> None:
        """Take the commit in, or raise a Refused (or InvalidValue for a balance out of range) and change nothing."""
        if commit.idempotency is not None:
            self._check_answer(commit, commit.idempotency)
        if commit.inbox is not None:
            self._check_inbox(commit)
        if commit.lease is not None and self._facts.leases.get(commit.lease.name) != commit.lease.epoch:
            raise LeaseLost(commit.lease)
        if commit.guards:
            self._check_guards(commit)
        self._check_ground(commit)
        heads, follows = self._heads_after(commit)
        balances = self._balances_after(commit)
        if commit.quotas:
            self.quotas.update(self._quotas_after(commit))
        self.balances.update(balances)
        if commit.raises:
            self._raise_guards(commit)
        self.heads.update(heads)
        self.follows += follows
        self._tickets.add(commit.ticket)
        if commit.inbox is not None:
            self.inbox[(commit.origin.tenant_id, *commit.inbox)] = True
        if commit.idempotency is not None:
            self.answers[answer_key(commit, commit.idempotency)] = commit.idempotency

    def _check_answer(self, commit: Commit, record: IdempotencyRecord) -> None:
        taken = _look_up(answer_key(commit, record), self.answers, self._facts.answers)
        if taken is not None:
            raise DuplicateRequest(taken)

    def _check_inbox(self, commit: Commit) -> None:
        assert commit.inbox is not None
        if _look_up((commit.origin.tenant_id, *commit.inbox), self.inbox, self._facts.inbox):
            raise AlreadyProcessed(commit.inbox)

    def _check_guards(self, commit: Commit) -> None:
        for guard in commit.guards:
            stands = self._guard(guard_key(commit.origin.tenant_id, guard.scope))
            if stands.halted or stands.version != guard.version:
                raise GuardFailed(guard.scope, halted=stands.halted)

    def _raise_guards(self, commit: Commit) -> None:
        for change in commit.raises:
            key = guard_key(commit.origin.tenant_id, change.scope)
            version, halted, limits = self._guard(key)
            self.guards[key] = GuardState(
                version + 1,
                halted if change.halted is None else change.halted,
                limits if change.limits is None else change.limits,
            )

    def _guard(self, key: GuardKey) -> GuardState:
        return self.guards.get(key) or self._facts.guards.get(key) or GuardState()

    def _check_ground(self, commit: Commit) -> None:
        if not all(ticket.durable or ticket in self._tickets for ticket in commit.builds_on):
            raise VersionConflict(commit.appends[0].stream, commit.appends[0].expected_version)

    def _heads_after(self, commit: Commit) -> tuple[dict[StreamKey, int], list[int]]:
        heads: dict[StreamKey, int] = {}
        follows: list[int] = []
        for append in commit.appends:
            if append.events:
                key, expected = stream_key(append.stream), append.expected_version
                head = heads.get(key) or self.heads.get(key)
                follows.append(expected if head is None else 0)
                if head is None:
                    head = self._facts.heads.get(key, 0 if self._facts.complete else expected)
                if head != expected:
                    raise VersionConflict(append.stream, expected)
                heads[key] = expected + len(append.events)
        return heads, follows

    def _balances_after(self, commit: Commit) -> dict[BalanceKey, Balance]:
        balances: dict[BalanceKey, Balance] = {}
        for change in commit.balances:
            key = (commit.origin.tenant_id, change.account_id, change.asset)
            balance = balances.get(key) or _look_up(key, self.balances, self._facts.balances) or Balance()
            balances[key] = _changed(balance, change)
        return balances

    def _quotas_after(self, commit: Commit) -> dict[QuotaKey, Decimal]:
        quotas: dict[QuotaKey, Decimal] = {}
        for change in commit.quotas:
            key = (commit.origin.tenant_id, change.account_id, change.name)
            before = quotas.get(key, self.quotas.get(key, self._facts.quotas.get(key, ZERO)))
            quotas[key] = _used(before, change)
        return quotas


def stream_key(stream: StreamId) -> StreamKey:
    return (stream.tenant_id.int, stream.id.int)


def answer_key(commit: Commit, record: IdempotencyRecord) -> AnswerKey:
    return (commit.origin.tenant_id, record.user_id, record.route, record.key)


def _look_up(key: _Key, newer: dict[_Key, _Value], older: dict[_Key, _Value]) -> _Value | None:
    value = newer.get(key)
    return older.get(key) if value is None else value


def _used(before: Decimal, change: QuotaChange) -> Decimal:
    after = _EXACT.add(before, change.change)
    if change.maximum is not None and after > change.maximum:
        raise QuotaExceeded(change, before)
    return after


def _changed(balance: Balance, change: BalanceChange) -> Balance:
    if change.required is not None and balance.available < change.required:
        raise InsufficientFunds(change.account_id, change.asset, balance.available, change.required)
    add: Callable[[Decimal, Decimal], Decimal] = _EXACT.add
    after = Balance(
        add(balance.total, change.total), add(balance.reserved, change.reserved), add(balance.margin, change.margin)
    )
    if max(after) > AMOUNT_MAX or min(after) < -AMOUNT_MAX:  # abs() would round to 28 digits
        raise InvalidValue("balance", f"of {change.asset} would be larger than 10^18")
    return after
