"""What the store promises. `postgres.py` and `memory.py` implement it; one contract test suite passes on both.

A `Commit` is the unit of truth: its events, balance changes, rows, outbox entries, inbox key and idempotency record
become durable together or not at all. Commits of many requests share one database transaction (group commit); a
commit that loses a race is taken out and the rest is repeated, so nobody fails for a neighbour.

StoreError
├── Refused                     this commit cannot be made; nothing of it was written
│   ├── VersionConflict         another writer appended first: reload, decide again
│   ├── InsufficientFunds       available < required for (account, asset)
│   ├── GuardFailed             a limit changed or a kill switch is on since the decision was made
│   ├── QuotaExceeded           a countable limit (open orders, position) would be passed
│   ├── AlreadyProcessed        the inbox knows this event: acknowledge, do nothing
│   ├── DuplicateRequest        the idempotency key exists: answer with its record
│   └── LeaseLost               another owner holds the lease with a higher epoch
└── StoreUnavailable            no answer from the database: nothing is known to be written; the caller may retry
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol
from uuid import UUID

from msgspec import Struct, field

PUBLIC_TENANT = UUID(int=0)  # instruments and public market data have no tenant


class StreamId(NamedTuple):
    """One aggregate's event stream. `kind` is the aggregate type: "order", "position", "account", "user"."""

    tenant_id: UUID
    kind: str
    id: UUID


class NewEvent(NamedTuple):
    """An event to append: its name ("order.created"), version of its schema, JSON text."""

    type: str
    schema_version: int
    data: bytes


class Origin(Struct, frozen=True):
    """Who caused a commit, and through which request. Written on every row."""

    tenant_id: UUID
    actor: str  # "user:<id>", "service:<app id>"
    correlation_id: str
    causation_id: str = ""


class Append(Struct, frozen=True):
    """Events for one stream. `expected_version` is the version that the decision was made on; 0 = a new stream."""

    stream: StreamId
    expected_version: int
    events: Sequence[NewEvent]


class BalanceChange(Struct, frozen=True):
    """Deltas on the buying power of (account, asset). available = total - reserved - margin.

    With `required` set, the commit is refused unless available >= required *before* this change (the changes of a
    batch are applied one by one). Rows that do not exist count as zero and are created.
    """

    account_id: UUID
    asset: str
    total: Decimal = Decimal(0)
    reserved: Decimal = Decimal(0)
    margin: Decimal = Decimal(0)
    required: Decimal | None = None


class Guard(Struct, frozen=True):
    """The scope ("platform", "account:<id>", "user:<id>") must still have this version and not be halted."""

    scope: str
    version: int


class GuardState(NamedTuple):
    """A guard as it stands; one that was never raised is at version 0. `limits` is for the callers to read."""

    version: int = 0
    halted: bool = False
    limits: Mapping[str, Any] = MappingProxyType({})


class GuardChange(NamedTuple):
    """Raises the version of a scope's guard, sets its kill switch and its limits; None leaves them as they are."""

    scope: str
    halted: bool | None = None
    limits: Mapping[str, Any] | None = None


class QuotaChange(NamedTuple):
    """Adds to what an account has used of a countable limit ("orders", "buy BINANCE:BTC/USDT").

    With a `maximum` the commit is refused when more than that would be used after it. Quotas that do not exist count
    as zero and are created. The changes of a batch are applied one by one.
    """

    account_id: UUID
    name: str
    change: Decimal
    maximum: Decimal | None = None


class IdempotencyRecord(Struct, frozen=True):
    """The answer given to (tenant, user, route, key); kept 24 h. `body_hash` tells another body under the same key."""

    user_id: UUID
    route: str
    key: str
    body_hash: bytes
    status: int
    response: bytes


class Row(NamedTuple):
    """One row of a read model (see `tables.py`). Written by key; where the table has a `stream_version` column, a row
    with a lower or equal version than the stored one is left out silently (brokers may reorder and repeat).
    """

    table: str
    values: Mapping[str, Any]


class Inbox(NamedTuple):
    consumer: str
    event_id: str


class LeaseCheck(NamedTuple):
    name: str
    epoch: int


class Ticket:
    """Tells those who build on a commit before it is durable what became of it."""

    __slots__ = ("durable",)

    def __init__(self) -> None:
        self.durable = False


class Commit(Struct, frozen=True):
    """All or nothing. `publish` says whether the events go to the outbox (imports and rebuilds do not publish).

    `builds_on` names commits of this process that it takes for granted: it is refused unless they are durable or come
    before it in the same batch. Their version alone would not do: another process may have written another one.

    `first`: it lessens risk, so it goes before those that wait. It must not build on one of them.
    """

    origin: Origin
    occurred_at: datetime
    appends: Sequence[Append] = ()
    balances: Sequence[BalanceChange] = ()
    rows: Sequence[Row] = ()
    guards: Sequence[Guard] = ()
    raises: Sequence[GuardChange] = ()
    quotas: Sequence[QuotaChange] = ()
    inbox: Inbox | None = None
    idempotency: IdempotencyRecord | None = None
    lease: LeaseCheck | None = None
    publish: bool = True
    ticket: Ticket | None = None
    builds_on: Sequence[Ticket] = ()
    first: bool = False


class RecordedEvent(Struct, frozen=True):
    """An event as it stands in the store. `position` orders all events; it is unique, growing, with holes."""

    stream: StreamId
    version: int
    type: str
    schema_version: int
    data: bytes
    occurred_at: datetime
    origin: Origin
    position: int = 0

    @property
    def id(self) -> str:
        """The CloudEvent id: unique, and the same at every redelivery."""
        return f"{self.stream.id}:{self.version}"


class Snapshot(Struct, frozen=True):
    stream: StreamId
    version: int
    data: bytes


class Lease(Struct, frozen=True):
    """A named right with an epoch that grows at each change of owner."""

    name: str
    owner: str
    epoch: int
    expires_at: datetime


class Between(Struct, frozen=True):
    """A filter's value: at least `low`, less than `high`; None leaves that side open."""

    low: Any = None
    high: Any = None


class Report:
    """The reads of one report, which may be some seconds old. `seen` is how far the log goes that they have shown:
    none of them shows less than the ones before.
    """

    __slots__ = ("seen",)

    def __init__(self) -> None:
        self.seen: float = 0


class Query(Struct, frozen=True):
    """A read of one table: filters (a value, a list of which any will do, `Between`), order by columns ("-" prefix =
    descending).

    `tenant_id` None reads across tenants and is for system readers only. Within a `report` a replica may answer.
    """

    table: str
    tenant_id: UUID | None
    where: Mapping[str, Any] = field(default_factory=dict)
    order_by: Sequence[str] = ()
    limit: int = 1000
    report: Report | None = None


class Store(Protocol):
    """The truth. All methods may raise StoreUnavailable."""

    async def commit(self, commit: Commit) -> Sequence[RecordedEvent]:
        """Make `commit` durable and return its events as recorded. Raises a `Refused`."""
        ...

    async def load(self, stream: StreamId, after_version: int = 0) -> Sequence[RecordedEvent]:
        """The events of one stream in order, without those up to `after_version`."""
        ...

    async def refused_orders(
        self, tenant_id: UUID, account_id: UUID, after_position: int = 0, limit: int = 1000
    ) -> Sequence[RecordedEvent]:
        """The newest `risk.denied` of an account, in order of position. Each is a stream of its own."""
        ...

    async def caused_by(self, tenant_id: UUID, correlation_id: str, limit: int = 1000) -> Sequence[RecordedEvent]:
        """What one operation has made durable, whatever the stream, in order of position."""
        ...

    def read(
        self, after_position: int = 0, kinds: Sequence[str] = (), limit: int = 1000
    ) -> AsyncIterator[RecordedEvent]:
        """All events of all tenants in order of position, up to the transaction horizon (never skips a late commit).

        `limit` is the page size; the iterator goes on to the horizon.
        """
        ...

    async def unpublished(self, older_than: datetime, limit: int = 1000) -> Sequence[RecordedEvent]:
        """Outbox entries committed before `older_than`, skipping those that another relay holds."""
        ...

    async def published(self, events: Sequence[RecordedEvent]) -> None:
        """Take events off the outbox. Batched with other writes; unknown entries are ignored."""
        ...

    async def outbox_depth(self) -> int: ...

    async def save_snapshot(self, snapshot: Snapshot) -> None:
        """Keep the newest snapshot per stream; an older one than the stored is ignored."""
        ...

    async def load_snapshot(self, stream: StreamId) -> Snapshot | None: ...

    async def find_answer(self, tenant_id: UUID, user_id: UUID, route: str, key: str) -> IdempotencyRecord | None:
        """The idempotency record, unless it is older than 24 h."""
        ...

    async def find(self, query: Query) -> Sequence[Mapping[str, Any]]:
        """Rows of a read model. Values have Python types: UUID, Decimal, aware datetime, str, int, bool, dict."""
        ...

    async def guards(self, tenant_id: UUID, scopes: Sequence[str]) -> Mapping[str, GuardState]: ...

    async def halted(self) -> Collection[tuple[UUID, str]]:
        """Tenant and scope of every kill switch that is on; tenant 0 for the platform's own."""
        ...

    async def signed_out(self, since: datetime) -> Mapping[UUID, datetime]:
        """Users whose tokens were withdrawn at `since` or later, and when, in every tenant."""
        ...

    async def acquire_lease(self, name: str, owner: str, now: datetime, seconds: float) -> Lease | None:
        """Take or renew a lease. The owner renews at the same epoch; another takes it only after expiry, epoch + 1."""
        ...

    async def release_lease(self, lease: Lease) -> None: ...

    async def clear_read_models(self) -> None:
        """Empty every disposable table (rebuild). Balances are rebuilt from events too, by the caller."""
        ...

    async def close(self) -> None: ...


class StoreError(Exception):
    """Root of the store's errors."""


class StoreUnavailable(StoreError):
    """The database did not answer."""


class Refused(StoreError):
    """This commit cannot be made; nothing of it was written."""


class VersionConflict(Refused):
    def __init__(self, stream: StreamId, expected_version: int) -> None:
        super().__init__(f"{stream.kind} {stream.id}: version {expected_version} is not the newest")
        self.stream = stream
        self.expected_version = expected_version


class InsufficientFunds(Refused):
    def __init__(self, account_id: UUID, asset: str, available: Decimal, required: Decimal) -> None:
        super().__init__(f"account {account_id} has {available} {asset} available, {required} is required")
        self.account_id = account_id
        self.asset = asset
        self.available = available
        self.required = required


class GuardFailed(Refused):
    def __init__(self, scope: str, *, halted: bool) -> None:
        super().__init__(f"{scope}: {'trading is halted' if halted else 'limits changed since the decision'}")
        self.scope = scope
        self.halted = halted


class QuotaExceeded(Refused):
    """`used` is what stands already, without the refused commit."""

    def __init__(self, change: QuotaChange, used: Decimal) -> None:
        super().__init__(f"account {change.account_id}: {used} of {change.maximum} {change.name!r} are used")
        self.change = change
        self.used = used


class AlreadyProcessed(Refused):
    def __init__(self, inbox: Inbox) -> None:
        super().__init__(f"{inbox.consumer} has processed {inbox.event_id}")


class DuplicateRequest(Refused):
    """The idempotency key is taken. `record` is what was answered then."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__(f"idempotency key {record.key!r} was used before")
        self.record = record


class LeaseLost(Refused):
    def __init__(self, lease: LeaseCheck) -> None:
        super().__init__(f"lease {lease.name!r} with epoch {lease.epoch} is no longer held")
