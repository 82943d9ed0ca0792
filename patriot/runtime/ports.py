"""The ports: all that a function or feed may ask of the outside. Two runtimes implement them, `embedded` and `dapr`.

Nothing in functions or feeds reads the system clock, draws a random number, opens a connection to a broker or knows
which broker there is. That is what makes the same code run on a laptop, on a cluster and in a simulation.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import structlog

from patriot.domain.venue import VenueAdapter
from patriot.protocols.market import Market
from patriot.runtime.clock import Clock, Ids
from patriot.runtime.locks import KeyedLocks
from patriot.runtime.sharding import Shard
from patriot.runtime.states import StateCache
from patriot.store.api import Lease, RecordedEvent, Store

if TYPE_CHECKING:
    from patriot.runtime.access import Access
    from patriot.runtime.cloudevent import CloudEvent
    from patriot.runtime.reference import References
    from patriot.runtime.settings import Settings

log = structlog.get_logger()


class Random(Protocol):
    def random(self) -> float: ...

    def getrandbits(self, k: int, /) -> int: ...


class Publisher(Protocol):
    async def publish(self, topic: str, *messages: "CloudEvent") -> None:
        """Return when the messages are safe (durable topics) or queued (market data)."""
        ...

    def is_heard(self, topic: str) -> bool:
        """Whether anybody may listen to a topic: what nobody hears need not be made."""
        ...

    def publish_recorded(self, events: Sequence[RecordedEvent]) -> None:
        """Publish what was just committed, without waiting. What does not get out stays in the outbox for the relay."""
        ...


@dataclass(frozen=True, slots=True)
class StateEntry:
    value: bytes
    etag: str


class EtagMismatch(Exception):
    """Somebody else changed the key since it was read."""


class State(Protocol):
    """Small per-key state with ETags and time-to-live. A cache: the truth is in the store."""

    async def get(self, key: str) -> StateEntry | None: ...

    async def set(self, key: str, value: bytes, *, seconds: float | None = None, etag: str | None = None) -> None:
        """Raises EtagMismatch when `etag` is given and no longer the stored one."""
        ...

    async def delete(self, key: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Response:
    status: int
    headers: Mapping[str, str]
    body: bytes


class Invoker(Protocol):
    async def invoke(
        self,
        app_id: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """Call another function or feed. `headers` carry the caller's service token and the correlation id.

        Raises TimeoutError after 500 ms unless the runtime is configured otherwise.
        """
        ...


class Secrets(Protocol):
    async def get(self, name: str) -> str:
        """Raises KeyError for an unknown name."""
        ...


class Scheduler(Protocol):
    def every(self, name: str, seconds: float, action: Callable[[], Awaitable[None]]) -> None:
        """Run `action` each `seconds`, never twice at once. A failure is logged and the schedule goes on."""
        ...


class Leases(Protocol):
    async def acquire(self, name: str, seconds: float = 10) -> Lease | None: ...

    async def release(self, lease: Lease) -> None: ...


class Ticks(Protocol):
    """Raw market data inside one process: synchronous, in order, no copies."""

    def publish(self, message: Market) -> None: ...

    def subscribe(self, listener: Callable[[Market], None], instruments: Sequence[str] = ()) -> Callable[[], None]:
        """Call `listener` for every message of `instruments` (all when empty). Returns the way to unsubscribe."""
        ...


@dataclass(slots=True)
class Runtime:
    """The ports of one process, wired by `embedded.py` or `dapr.py`. `venues` maps a route to its adapter;
    `local` holds what a feed keeps in memory for its own handlers; `waits_for`, the leases that others hold.
    """

    settings: "Settings"
    clock: Clock
    ids: Ids
    random: Random
    store: Store
    publisher: Publisher
    invoker: Invoker
    state: State
    secrets: Secrets
    scheduler: Scheduler
    leases: Leases
    ticks: Ticks
    access: "Access"
    references: "References"
    states: StateCache = field(default_factory=StateCache)
    locks: KeyedLocks = field(default_factory=KeyedLocks)
    venues: dict[str, VenueAdapter] = field(default_factory=dict)
    local: dict[str, object] = field(default_factory=dict)
    tasks: set[asyncio.Task[None]] = field(default_factory=set)
    waits_for: set[str] = field(default_factory=set)

    @property
    def shard(self) -> Shard:
        return Shard.of(self.settings.shard)

    def spawn(self, job: Coroutine[Any, Any, None], name: str) -> None:
        """Run `job` in the background; a failure is logged. `tasks` holds what still runs."""
        task = asyncio.get_running_loop().create_task(job, name=name)
        self.tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self.tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            log.error("background task failed", task=task.get_name(), exc_info=task.exception())
