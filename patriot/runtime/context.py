"""What a handler holds: who asks, why, and the ports; and `decide`, the only way that events come into being.

`decide` loads, lets a pure decision propose events, and commits them. Who loses the race for a version reloads and
decides again, five times at most.
"""

import asyncio
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Protocol, TypeVar
from uuid import UUID

from msgspec import Struct
from msgspec.structs import replace
from pydantic import BaseModel

from patriot.domain.instrument import Instrument
from patriot.runtime.cloudevent import CloudEvent, from_report
from patriot.runtime.decision import (
    After,
    Aggregate,
    Decision,
    Loaded,
    Proposal,
    after,
    new_event,
    quotas_of,
    writes_nothing,
    writes_of,
)
from patriot.runtime.measures import measure
from patriot.runtime.ports import Response, Runtime
from patriot.runtime.problem import ProblemError, forbidden, not_found, unauthenticated
from patriot.security.roles import Identity
from patriot.store.api import (
    Append,
    Commit,
    IdempotencyRecord,
    Inbox,
    LeaseCheck,
    Origin,
    Query,
    RecordedEvent,
    Report,
    Row,
    StreamId,
    Ticket,
    VersionConflict,
)
from patriot.telemetry.correlation import new_correlation_id
from patriot.telemetry.tracing import trace_headers, traced
from schemas.events import Event
from schemas.reports import BalanceReport, PriceReport, VenueReport
from schemas.topics import TOPIC_OF
from schemas.upcasters import decode_event

DECIDE_ATTEMPTS_MAX = 5
INTERNAL = "internal"
SIGNED_IN = "signed in"


class Owned(Protocol):
    """The state of what belongs to one user."""

    @property
    def user_id(self) -> UUID: ...


State = TypeVar("State")
OwnedState = TypeVar("OwnedState", bound=Owned)
Result = TypeVar("Result")


class IdempotencyRequest(Struct):
    """The Idempotency-Key of one HTTP request."""

    route: str
    key: str
    body_hash: bytes
    success_status: int


class RequestContext(Struct):
    """One request, event or feed task. Made by the edge; handlers never make one."""

    runtime: Runtime
    service: str
    origin: Origin
    identity: Identity | None = None
    caller: str = ""  # the app id of the calling part; empty for a caller from outside
    idempotency: IdempotencyRequest | None = None
    event: CloudEvent | None = None  # the event that is being handled
    lease: LeaseCheck | None = None  # what a feed's task writes, it writes as the holder of this
    first: bool = False  # it lessens risk: what it writes goes before what others write
    report: Report | None = None  # the answer may be some seconds old: a replica may find its rows

    # --- who and when ---
    @property
    def user(self) -> Identity:
        """The authenticated user. Raises the 401 problem for anonymous callers."""
        if self.identity is None:
            raise unauthenticated()
        return self.identity

    def require(self, permission: str) -> None:
        """Raises the 401 or 403 problem. INTERNAL is for parts of the platform only, SIGNED_IN for every user."""
        allowed = self.caller if permission == INTERNAL else permission in {SIGNED_IN, *self.user.permissions}
        if not allowed:
            raise forbidden(permission)

    def enter_tenant(self, tenant_id: UUID) -> None:
        """For the few routes that anonymous callers may use: act in the installation's own tenant."""
        self.origin = replace(self.origin, tenant_id=tenant_id)

    def now(self) -> datetime:
        return self.runtime.clock.now()

    def uuid(self) -> UUID:
        return self.runtime.ids.uuid()

    @property
    def tenant_id(self) -> UUID:
        return self.origin.tenant_id

    def fresh(self) -> "RequestContext":
        """The same caller at the start of something new: another correlation id."""
        identifier = new_correlation_id(self.runtime.clock, self.runtime.ids)
        return replace(self, origin=Origin(self.tenant_id, self.origin.actor, identifier), idempotency=None)

    # --- reading ---
    async def load(self, aggregate: Aggregate[State], aggregate_id: UUID, *, in_turn: bool = False) -> Loaded[State]:
        """The aggregate's newest state; from this process's cache where nobody else can have written a newer one.

        `in_turn`: as it will be after what others who take turns at it have handed to the store (see `decide`).
        """
        stream, states = StreamId(self.tenant_id, aggregate.kind, aggregate_id), self.runtime.states
        known = states.newest(stream) if in_turn else states.get(stream)
        if known is not None and states.alone and known[0] >= self._version_told(stream):
            return Loaded(aggregate, stream, *known)
        before, state = states.get(stream) or (0, None)
        version = before
        for recorded in await self.runtime.store.load(stream, before):
            event = decode_event(recorded.type, recorded.schema_version, recorded.data)
            state = aggregate.fold(state, event, recorded.version, recorded.occurred_at)
            version = recorded.version
        if version > before:
            states.put(stream, version, state)
        elif known is not None:
            return Loaded(aggregate, stream, *known)
        return Loaded(aggregate, stream, version, state)

    def _version_told(self, stream: StreamId) -> int:
        """What the event that is being handled says about its own stream: another process may have written it."""
        event = self.event
        if event is None or event.aggregatetype != stream.kind or event.subject != str(stream.id):
            return 0
        return event.streamversion

    async def own(self, aggregate: Aggregate[OwnedState], aggregate_id: UUID) -> Loaded[OwnedState]:
        """What is the user's. Raises the 404 problem: another user's is not told from a missing one."""
        loaded = await self.load(aggregate, aggregate_id)
        if loaded.state is None or loaded.state.user_id != self.user.user_id:
            raise not_found(aggregate.kind, aggregate_id)
        return loaded

    def new(self, aggregate: Aggregate[State], aggregate_id: UUID) -> Loaded[State]:
        """An aggregate that is known not to exist, because its id was made just now."""
        return Loaded(aggregate, StreamId(self.tenant_id, aggregate.kind, aggregate_id), 0, None)

    async def find(
        self, table: str, where: Mapping[str, Any], order_by: Sequence[str] = (), limit: int = 1000
    ) -> Sequence[Mapping[str, Any]]:
        """Rows of a read model of this tenant."""
        return await self.runtime.store.find(Query(table, self.tenant_id, where, order_by, limit, self.report))

    async def account(self, account_id: UUID) -> Mapping[str, Any]:
        """The row of `user_accounts`. Raises the 404 problem."""
        account = await self.runtime.references.account(self.tenant_id, account_id)
        if account is None:
            raise not_found("account", account_id)
        return account

    async def own_account(self, account_id: UUID) -> Mapping[str, Any]:
        """The account, if it is the user's. Another user's is not told from a missing one."""
        account = await self.account(account_id)
        if account["user_id"] != self.user.user_id:
            raise not_found("account", account_id)
        return account

    async def instrument(self, instrument_id: str) -> Instrument:
        """Raises the 422 problem for an instrument that the platform does not know."""
        instrument = await self.runtime.references.instrument(instrument_id)
        if instrument is None:
            rule = f"{instrument_id} is not known; see `patriot prices`"
            raise ProblemError(422, "unknown_instrument", rule, [("instrument", rule)])
        return instrument

    async def price(self, instrument_id: str) -> PriceReport | None:
        """The newest price that a feed has told, or None when there is none or it has run out."""
        entry = await self.runtime.state.get(price_key(instrument_id))
        return _price_of(entry.value) if entry else None

    # --- telling others ---
    async def publish_reports(self, user_id: UUID, reports: Sequence[VenueReport | BalanceReport]) -> None:
        """Return when the reports are safe."""
        for report in reports:
            told = from_report(
                report, str(self.uuid()), now=self.now(), service=self.service, origin=self.origin, key=str(user_id)
            )
            await self.runtime.publisher.publish(TOPIC_OF[report.TYPE].name, told)

    async def invoke(self, app_id: str, method: str, path: str, body: bytes = b"") -> Response:
        """Call another part on behalf of this context's user."""
        headers = self.runtime.access.service_headers(self.service, app_id, self.identity)
        headers |= {"x-correlation-id": self.origin.correlation_id, **trace_headers()}
        return await self.runtime.invoker.invoke(app_id, method, path, body, headers=headers)

    # --- deciding ---
    async def decide(self, propose: Callable[[], Awaitable[Proposal[Result]]], turn: Hashable | None = None) -> Result:
        """Load, decide, commit; on a lost race again. Returns the proposal's result once it is durable.

        `propose` must be pure apart from `load`: it runs once per attempt. Those who name the same `turn` propose one
        after the other, each on top of what the one before has handed to the store, without waiting for its disk. If
        that commit fails, so do those on top of it, and they decide again.
        """
        for attempt in range(1, DECIDE_ATTEMPTS_MAX + 1):
            decision = await (self._decided(propose) if turn is None else self._decided_in_turn(propose, turn))
            if decision.recorded is None:
                return decision.proposal.result
            try:
                recorded = await decision.recorded
            except BaseException as error:
                self._forget(decision, lost=isinstance(error, VersionConflict))
                if isinstance(error, VersionConflict) and attempt < DECIDE_ATTEMPTS_MAX:
                    continue
                raise
            for loaded, version, state in decision.after:
                self.runtime.states.put(loaded.stream, version, state)
            self.runtime.publisher.publish_recorded(recorded)
            measure(self.service, decision.after, recorded)
            return decision.proposal.result
        raise AssertionError("unreachable")

    async def _decided(
        self, propose: Callable[[], Awaitable[Proposal[Result]]], ticket: Ticket | None = None
    ) -> Decision[Result]:
        proposal = await propose()
        now = self.now()
        states = after(proposal.changes, now)
        commit = self._commit(proposal, states, now, ticket)
        if writes_nothing(commit):
            return Decision(proposal, (), None)
        return Decision(proposal, states, self._written(commit))

    async def _decided_in_turn(
        self, propose: Callable[[], Awaitable[Proposal[Result]]], turn: Hashable
    ) -> Decision[Result]:
        async with self.runtime.locks.hold(turn):
            ticket = Ticket()
            decision = await self._decided(propose, ticket)
            for loaded, version, state in decision.after:
                self.runtime.states.put_on_its_way(loaded.stream, version, state, ticket)
            if decision.recorded is not None:
                decision.recorded = asyncio.ensure_future(decision.recorded)  # tasks start in order: so do the commits
        return decision

    def _forget(self, decision: Decision[Any], *, lost: bool) -> None:
        for change in decision.proposal.changes:
            if lost:
                self.runtime.states.drop(change.loaded.stream)
            else:
                self.runtime.states.drop_on_its_way(change.loaded.stream)

    async def remember(self, status: int, response: bytes, witness: Event | None = None) -> None:
        """Keep the answer of an idempotent request, so that its repetition is answered alike, and the event that a
        refusal leaves. Raises DuplicateRequest when the key was answered before.
        """
        record = self._record(status, response)
        appends = [self._alone(witness)] if witness else []
        if record is not None or appends:
            commit = Commit(self.origin, self.now(), appends, idempotency=record)
            self.runtime.publisher.publish_recorded(await self._written(commit))

    def _alone(self, event: Event) -> Append:
        """An event that is a stream of its own: nothing precedes it or follows from it."""
        return Append(StreamId(self.tenant_id, event.STREAM, self.uuid()), 0, [new_event(event)])

    async def write(self, rows: Sequence[Row], inbox: Inbox | None = None) -> None:
        """Write read-model rows, without events."""
        await self._written(Commit(self.origin, self.now(), rows=rows, inbox=inbox, lease=self.lease))

    def _written(self, commit: Commit) -> Awaitable[Sequence[RecordedEvent]]:
        """What the store answers to a commit."""
        return traced(self.runtime.store.commit(commit), "commit")

    def _commit(self, proposal: Proposal[Any], states: Sequence[After], now: datetime, ticket: Ticket | None) -> Commit:
        appends, balances, rows = writes_of(proposal.changes, now)
        return Commit(
            self.origin,
            now,
            appends,
            balances,
            [*proposal.rows, *rows],
            proposal.guards,
            proposal.raises,
            [*proposal.asks, *quotas_of(states, proposal.maxima)],
            proposal.inbox,
            self._record_of(proposal.result),
            proposal.lease or self.lease,
            ticket=ticket,
            first=self.first,
            builds_on=[change.loaded.builds_on for change in proposal.changes if change.loaded.builds_on is not None],
        )

    def _record_of(self, result: object) -> IdempotencyRecord | None:
        if self.idempotency is None or not isinstance(result, BaseModel):
            return None
        return self._record(self.idempotency.success_status, result.model_dump_json().encode())

    def _record(self, status: int, response: bytes) -> IdempotencyRecord | None:
        request = self.idempotency
        if request is None:
            return None
        return IdempotencyRecord(self.user.user_id, request.route, request.key, request.body_hash, status, response)


def price_key(instrument_id: str) -> str:
    """Where the newest price of an instrument lies in the state store."""
    return f"price:{instrument_id}"


@lru_cache(maxsize=1024)
def _price_of(told: bytes) -> PriceReport:
    return PriceReport.model_validate_json(told)
