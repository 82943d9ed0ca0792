"""What a decision is made of: a loaded aggregate, new events, and all that they write.

Rule: an event's postings and holds become ledger lines and balance changes here and nowhere else.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar
from uuid import UUID, uuid5

from msgspec import Struct, field

from patriot.domain.balances import changes_of
from patriot.domain.ledger import entries_of
from patriot.domain.quotas import difference
from patriot.runtime.messages import encoded_event
from patriot.store.api import (
    Append,
    BalanceChange,
    Commit,
    Guard,
    GuardChange,
    Inbox,
    LeaseCheck,
    NewEvent,
    QuotaChange,
    RecordedEvent,
    Row,
    StreamId,
    Ticket,
)
from schemas.events import Event, MoneyEvent

State = TypeVar("State")
Result = TypeVar("Result")


class Aggregate(Struct, Generic[State], frozen=True):
    """One kind of event stream and the pure function that folds it: fold(state | None, event, version, when)."""

    kind: str
    fold: Callable[[State | None, Any, int, datetime], State]


class Loaded(Struct, Generic[State], frozen=True):
    """An aggregate as of `version`; version 0 and state None where the stream does not exist.

    `builds_on`: the commit of this process that led here, where it is not known to be durable yet.
    """

    aggregate: Aggregate[State]
    stream: StreamId
    version: int
    state: State | None
    builds_on: Ticket | None = None

    @property
    def found(self) -> State:
        """The state, of what is known to exist."""
        assert self.state is not None, f"{self.aggregate.kind} {self.stream.id} exists"
        return self.state


After = tuple[Loaded[Any], int, Any]
"""What was loaded, and the version and state that its change leads to."""


class Change(Struct, frozen=True):
    """New events for one loaded stream."""

    loaded: Loaded[Any]
    events: Sequence[Event]


class Proposal(Struct, Generic[Result], frozen=True):
    """What a decision wants to become true, and what to answer then."""

    changes: Sequence[Change]
    result: Result
    guards: Sequence[Guard] = ()
    rows: Sequence[Row] = ()
    inbox: Inbox | None = None
    lease: LeaseCheck | None = None
    raises: Sequence[GuardChange] = ()
    maxima: Mapping[str, Decimal] = field(default_factory=dict)  # of the quotas that the changes use
    asks: Sequence[QuotaChange] = ()  # quotas that the changes do not use, and that must not be above their maximum


class Decision(Struct, Generic[Result]):
    """A proposal on its way into the store: the states it leads to, and the store's answer; None: nothing to write."""

    proposal: Proposal[Result]
    after: Sequence[After]
    recorded: Awaitable[Sequence[RecordedEvent]] | None


def after(changes: Sequence[Change], when: datetime) -> list[After]:
    """Where the changes lead."""
    states = []
    for change in changes:
        loaded, state = change.loaded, change.loaded.state
        for version, event in enumerate(change.events, loaded.version + 1):
            state = loaded.aggregate.fold(state, event, version, when)
        states.append((loaded, loaded.version + len(change.events), state))
    return states


def writes_of(changes: Sequence[Change], when: datetime) -> tuple[list[Append], list[BalanceChange], list[Row]]:
    """Everything that the events write: themselves, the balances that they change, their ledger lines."""
    appends, balances, rows = list[Append](), list[BalanceChange](), list[Row]()
    for change in changes:
        loaded = change.loaded
        if change.events:
            appends.append(Append(loaded.stream, loaded.version, [new_event(event) for event in change.events]))
        for version, event in enumerate(change.events, loaded.version + 1):
            if isinstance(event, MoneyEvent):
                balances += _balance_changes(event)
                rows += ledger_rows(event, loaded.stream.id, version, when)
    return appends, balances, rows


def quotas_of(states: Sequence[After], maxima: Mapping[str, Decimal]) -> list[QuotaChange]:
    """What the changes use of the account's quotas, or give back. Only who uses more must keep to the maximum."""
    return [
        QuotaChange(state.account_id, name, change, maxima.get(name) if change > 0 else None)
        for loaded, _, state in states
        for name, change in difference(loaded.state, state).items()
    ]


def writes_nothing(commit: Commit) -> bool:
    """A decision that was made before: there is nothing to make durable, nor a condition to check."""
    asks = commit.guards or commit.raises or commit.inbox or commit.idempotency or commit.lease
    return not (commit.appends or commit.balances or commit.rows or asks)


def new_event(event: Event) -> NewEvent:
    return NewEvent(event.TYPE, event.SCHEMA, encoded_event(event))


def _balance_changes(event: MoneyEvent) -> list[BalanceChange]:
    return [
        BalanceChange(event.account_id, delta.asset, delta.total, delta.reserved, delta.margin, delta.required)
        for delta in changes_of(event)
    ]


def ledger_rows(event: MoneyEvent, aggregate_id: UUID, version: int, when: datetime) -> list[Row]:
    """The `ledger_entries` rows of an event: its postings, checked to balance."""
    if not event.postings:
        return []
    posting_id = uuid5(aggregate_id, str(version))
    return [
        Row(
            "ledger_entries",
            {
                "posting_id": posting_id,
                "entry_no": entry.line,
                "account_code": entry.ledger,
                "account_id": entry.account_id,
                "asset": entry.asset,
                "amount": entry.amount,
                "description": event.TYPE,
                "posted_at": when,
            },
        )
        for entry in entries_of(event)
    ]
