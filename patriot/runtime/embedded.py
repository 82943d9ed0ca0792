"""The embedded runtime: every function and feed in one process, on one event loop, behind one public port.

It delivers CloudEvents to the receivers behind the very routes that a Dapr sidecar would call, and calls functions
through their HTTP routes; only the bytes and sockets between them are missing.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

import structlog
from fastapi import FastAPI

from patriot.protocols.market import Market
from patriot.runtime import asgi
from patriot.runtime.access import BROKER, Access
from patriot.runtime.admission import Admission
from patriot.runtime.breaker import BreakingInvoker
from patriot.runtime.broker import Broker, BrokerLimits
from patriot.runtime.clock import Clock, Ids
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.context import RequestContext
from patriot.runtime.delivery import Verdict
from patriot.runtime.direct import Direct
from patriot.runtime.edge import Edge
from patriot.runtime.function import PUBLIC_PREFIX, Feed, Function
from patriot.runtime.live_settings import follow_settings
from patriot.runtime.openapi import describe
from patriot.runtime.ports import EtagMismatch, Random, Response, Runtime, StateEntry
from patriot.runtime.reference import References
from patriot.runtime.schedules import start_schedules
from patriot.runtime.secured import SecuredRoute, add_problem_handlers
from patriot.runtime.settings import Settings
from patriot.runtime.sign_outs import follow_sign_outs
from patriot.runtime.states import StateCache
from patriot.runtime.supervision import duties_apart, perform
from patriot.store.api import PUBLIC_TENANT, Lease, Origin, Store
from patriot.telemetry.correlation import correlated
from patriot.telemetry.metrics import metrics

NOBODY = Origin(PUBLIC_TENANT, "", "")  # a delivery takes its origin from the event

PURGE_EVERY = 1024  # writes; keeps what nobody asks for again from staying for ever

VENUE = "venue"  # the feed that others hold connections to

log = structlog.get_logger()


class MemoryState:
    """The State port in this process. What has run out is dropped when it is asked for, and every so many writes."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._entries: dict[str, tuple[bytes, int, float]] = {}
        self._writes = 0

    async def get(self, key: str) -> StateEntry | None:
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, etag, expires = entry
        if expires <= self._clock.monotonic():
            del self._entries[key]
            return None
        return StateEntry(value, str(etag))

    async def set(self, key: str, value: bytes, *, seconds: float | None = None, etag: str | None = None) -> None:
        if etag is not None:
            known = await self.get(key)
            if known is None or known.etag != etag:
                raise EtagMismatch(key)
        self._writes += 1
        expires = float("inf") if seconds is None else self._clock.monotonic() + seconds
        self._entries[key] = (value, self._writes, expires)
        if not self._writes % PURGE_EVERY:
            now = self._clock.monotonic()
            self._entries = {name: entry for name, entry in self._entries.items() if entry[2] > now}

    async def delete(self, key: str) -> None:
        self._entries.pop(key, None)


class LocalTicks:
    """The Ticks port in this process."""

    def __init__(self) -> None:
        self._all: list[Callable[[Market], None]] = []
        self._by_instrument: dict[str, list[Callable[[Market], None]]] = {}

    def publish(self, message: Market) -> None:
        for listener in self._by_instrument.get(message.instrument, ()):
            listener(message)
        for listener in self._all:
            listener(message)

    def subscribe(self, listener: Callable[[Market], None], instruments: Sequence[str] = ()) -> Callable[[], None]:
        lists = [self._by_instrument.setdefault(name, []) for name in instruments] or [self._all]
        for listeners in lists:
            listeners.append(listener)

        def unsubscribe() -> None:
            for listeners in lists:
                listeners.remove(listener)

        return unsubscribe


class StoreLeases:
    """The Leases port on the store."""

    def __init__(self, store: Store, clock: Clock, owner: str) -> None:
        self._store, self._clock, self._owner = store, clock, owner

    async def acquire(self, name: str, seconds: float = 10) -> Lease | None:
        return await self._store.acquire_lease(name, self._owner, self._clock.now(), seconds)

    async def release(self, lease: Lease) -> None:
        await self._store.release_lease(lease)


class LoopScheduler:
    """The Scheduler port: one task per schedule."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._tasks: list[asyncio.Task[None]] = []

    def every(self, name: str, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        self._tasks.append(asyncio.create_task(self._repeat(name, seconds, action), name=name))

    async def _repeat(self, name: str, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        while True:
            await self._clock.sleep(seconds)
            try:
                await action()
            except Exception:
                log.exception("schedule failed", schedule=name)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class LocalInvoker:
    """The Invoker port: calls the other part's routes in this process."""

    def __init__(self, edges: Mapping[str, Edge], timeout_seconds: float) -> None:
        self._edges, self._timeout_seconds = edges, timeout_seconds

    async def invoke(
        self,
        app_id: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        given = {"content-type": "application/json", **(headers or {})}
        async with asyncio.timeout(self._timeout_seconds):
            return await asgi.request(self._edges[app_id], method, path, given, body)


@dataclass(slots=True)
class Parts:
    """What the host hosts."""

    functions: Sequence[Function]
    feeds: Sequence[Feed]

    @property
    def all(self) -> Sequence[Function]:
        return (*self.functions, *self.feeds)


class Host:
    """Wires the ports, then starts broker and feeds. `public` is the ASGI app of the one public port."""

    def __init__(
        self,
        parts: Parts,
        *,
        settings: Settings,
        store: Store,
        access: Access,
        clock: Clock,
        ids: Ids,
        random: Random,
        secrets: Mapping[str, str],
    ) -> None:
        self.parts = parts
        self.edges: dict[str, Edge] = {}
        self._receivers = {part.name: part.receivers for part in parts.all}
        self.broker = Broker(self._deliver, store, clock, _limits(settings))
        self.scheduler = LoopScheduler(clock)
        self.runtime = Runtime(
            settings=settings,
            clock=clock,
            ids=ids,
            random=random,
            store=store,
            publisher=self.broker,
            invoker=BreakingInvoker(LocalInvoker(self.edges, settings.call_timeout_seconds), clock.monotonic),
            state=MemoryState(clock),
            secrets=StaticSecrets(secrets),
            scheduler=self.scheduler,
            leases=StoreLeases(store, clock, str(ids.uuid())),
            ticks=LocalTicks(),
            access=access,
            references=References(store, clock.monotonic),
            states=StateCache(alone=not settings.database_url),
        )
        for part in parts.all:
            self.edges[part.name] = Edge(part.served, self.runtime, part.name)
            newest = {subscription.path for subscription in part.subscriptions if subscription.newest}
            self.broker.subscribe(part.name, part.dapr_subscriptions(), shows=part.shows, newest=newest)
        plain = [route for part in parts.all for route in part.plain_routes]
        self.public = Edge(Direct(public_app(parts), plain), self.runtime, "gateway")
        self.broker.waiting_clients = lambda: self.public.active
        admission = Admission.of(self.runtime)
        self.broker.give_way, admission.backlog_seconds = admission.step_back, self.broker.backlog_seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def _deliver(self, consumer: str, path: str, event: CloudEvent) -> Verdict:
        """What a sidecar's POST does, for a caller that needs no proof of who it is."""
        receive = self._receivers[consumer].get(path)
        if receive is None:
            return "DROP"
        started = self.runtime.clock.monotonic()
        with correlated(event.correlationid, consumer):
            verdict = await receive(event, RequestContext(self.runtime, consumer, NOBODY, caller=BROKER))
        metrics.http(consumer, "POST", path, 200).observe(self.runtime.clock.monotonic() - started, event.correlationid)
        return verdict

    @property
    def can_trade(self) -> bool:
        return bool(self.runtime.venues)

    async def start(self) -> None:
        self.broker.start()
        await follow_sign_outs(self.runtime)
        await follow_settings(self.runtime, [part.name for part in self.parts.all])
        start_schedules((schedule for part in self.parts.all for schedule in part.schedules), self.runtime)
        self._tasks = [
            asyncio.create_task(perform(self.runtime, duty), name=duty.name)
            for duty in duties_apart(self.parts.feeds, self.runtime.shard)
        ]

    async def stop(self) -> None:
        """Feeds first (the venue after those that are connected to it), then schedules, then the broker.

        The store belongs to the caller.
        """
        doors = [task for task in self._tasks if task.get_name() == VENUE]
        for running in ([*(task for task in self._tasks if task not in doors), *self.runtime.tasks], doors):
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
        await self.scheduler.stop()
        await self.broker.stop()
        for adapter in self.runtime.venues.values():
            await adapter.close()


class StaticSecrets:
    """The Secrets port over a mapping."""

    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = secrets

    async def get(self, name: str) -> str:
        return self._secrets[name]


def public_app(parts: Parts) -> FastAPI:
    """All public routes on one app, with OpenAPI at /docs."""
    app = FastAPI(
        title="patriot",
        summary="An open trading platform.",
        description="Money is a decimal string. Errors are RFC 9457 problem+json with a stable `code`.",
        docs_url="/docs",
        redoc_url=None,
        redirect_slashes=False,
    )
    for part in parts.all:
        app.include_router(part.router, prefix=PUBLIC_PREFIX)
    add_problem_handlers(app)
    routes = [route for part in parts.all for route in part.router.routes if isinstance(route, SecuredRoute)]
    app.openapi = describe(app, routes, PUBLIC_PREFIX)  # type: ignore[method-assign]
    return app


def _limits(settings: Settings) -> BrokerLimits:
    return BrokerLimits(settings.broker_queue_max, settings.delivery_attempts_max, settings.delivery_concurrency)
