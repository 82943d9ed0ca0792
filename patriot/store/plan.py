"""Which commits of a batch can be made together. Pure: the same facts and commits give the same plan.

`Facts` is what is known of the database. The in-memory store knows everything (`complete`); PostgreSQL's writer starts
with what it has locked, assumes the rest, and learns what it lost when the inserts show it. Commits are admitted one by
one in order of arrival, each on top of those before it; a refused one leaves no trace.

Checks go in one order, so that both stores refuse for the same reason: idempotency key, inbox, lease, guards,
versions, balances.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Context, Decimal, Inexact, InvalidOperation
from typing import NamedTuple, TypeVar
from uuid import UUID

from patriot.domain.errors import InvalidValue
from patriot.domain.money import AMOUNT_MAX, ZERO
from patriot.store.api import (
    AlreadyProcessed,
    Append,
    BalanceChange,
    Commit,
    DuplicateRequest,
    GuardFailed,
    IdempotencyRecord,
    InsufficientFunds,
    LeaseLost,
    VersionConflict,
)
from patriot.store.check import guard_key

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")

StreamKey = tuple[UUID, UUID]  # tenant, aggregate
InboxKey = tuple[UUID, str, str]  # tenant, consumer, event
AnswerKey = tuple[UUID, UUID, str, str]  # tenant, user, route, key
BalanceKey = tuple[UUID, UUID, str]  # tenant, account, asset
GuardKey = tuple[UUID, str]  # tenant, scope

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
    guards: dict[GuardKey, tuple[int, bool]] = field(default_factory=dict)
    leases: dict[str, int] = field(default_factory=dict)


class Plan:
    """Commits admitted so far, and the state they lead to on top of the facts."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self.heads: dict[StreamKey, int] = {}
        self.inbox: dict[InboxKey, bool] = {}
        self.answers: dict[AnswerKey, IdempotencyRecord] = {}
        self.balances: dict[BalanceKey, Balance] = {}

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
        heads = self._heads_after(commit)
        if commit.balances:
            self.balances.update(self._balances_after(commit))
        self._apply(commit, heads)

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
            version, halted = self._facts.guards.get(guard_key(commit.origin.tenant_id, guard.scope), (0, False))
            if halted or version != guard.version:
                raise GuardFailed(guard.scope, halted=halted)

    def _heads_after(self, commit: Commit) -> dict[StreamKey, int]:
        heads: dict[StreamKey, int] = {}
        for append in commit.appends:
            if append.events:
                key = (append.stream.tenant_id, append.stream.id)
                if self._head(key, append, heads) != append.expected_version:
                    raise VersionConflict(append.stream, append.expected_version)
                heads[key] = append.expected_version + len(append.events)
        return heads

    def _head(self, key: StreamKey, append: Append, heads: dict[StreamKey, int]) -> int:
        head = heads.get(key)
        if head is None:
            head = _look_up(key, self.heads, self._facts.heads)
        if head is None:
            return 0 if self._facts.complete else append.expected_version
        return head

    def _balances_after(self, commit: Commit) -> dict[BalanceKey, Balance]:
        balances: dict[BalanceKey, Balance] = {}
        for change in commit.balances:
            key = (commit.origin.tenant_id, change.account_id, change.asset)
            balance = balances.get(key) or _look_up(key, self.balances, self._facts.balances) or Balance()
            balances[key] = _changed(balance, change)
        return balances

    def _apply(self, commit: Commit, heads: dict[StreamKey, int]) -> None:
        self.heads.update(heads)
        if commit.inbox is not None:
            self.inbox[(commit.origin.tenant_id, *commit.inbox)] = True
        if commit.idempotency is not None:
            self.answers[answer_key(commit, commit.idempotency)] = commit.idempotency


def answer_key(commit: Commit, record: IdempotencyRecord) -> AnswerKey:
    return (commit.origin.tenant_id, record.user_id, record.route, record.key)


def _look_up(key: _Key, newer: dict[_Key, _Value], older: dict[_Key, _Value]) -> _Value | None:
    value = newer.get(key)
    return older.get(key) if value is None else value


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
