"""Publishing through a sidecar. Rule: a stored event leaves the outbox once the broker has it, and not before.

    commit ──► queue ──► bulk publish, a call per topic ──► off the outbox

While one round is under way the next one gathers, so a burst becomes few calls and events keep their order. What the
broker does not take after some attempts stays in the outbox, for the relay; what comes when the queue is full, too.
Market data waits in a queue of its own: the oldest is dropped when it is full.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import msgspec
import structlog

from patriot.runtime.clock import Clock
from patriot.runtime.cloudevent import CloudEvent, encode, from_recorded
from patriot.runtime.dapr.sidecar import Entry, SidecarError
from patriot.store.api import RecordedEvent, Store, StoreUnavailable
from schemas.topics import TOPIC_OF, TOPICS

BATCH_MAX = 200
ATTEMPTS_MAX = 6
BACKOFF_SECONDS = 0.1
STOP_SECONDS_MAX = 3.0
MARKET_QUEUE_MAX = 10_000

log = structlog.get_logger()

Send = Callable[[str, str, Sequence[Entry]], Awaitable[Sequence[str]]]
"""send(pubsub, topic, entries) -> the ids that the broker did not take. Raises SidecarError when it took none."""


class NotPublished(Exception):
    """The broker did not take a message that must be safe: whoever handles something shall be asked again."""


class _Keyed(msgspec.Struct):
    """What orders events within their topic, where an event tells it."""

    user_id: str = ""


_keyed = msgspec.json.Decoder(_Keyed)


@dataclass(frozen=True, slots=True)
class _Waiting:
    topic: str
    entry: Entry
    recorded: RecordedEvent | None = None


class DaprPublisher:
    """Implements the Publisher port."""

    def __init__(
        self, send: Send, store: Store, clock: Clock, queue_max: int = 50_000, send_market: Send | None = None
    ) -> None:
        self._send, self._store, self._clock = send, store, clock
        self._send_market = send_market or send
        self._queue_max = queue_max
        self._recorded: dict[str, _Waiting] = {}
        self._market: deque[_Waiting] = deque(maxlen=MARKET_QUEUE_MAX)
        self._events_wait, self._market_waits, self._all_out = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._all_out.set()
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        self._tasks = [asyncio.create_task(job) for job in (self._publish_events(), self._publish_market())]

    async def stop(self) -> None:
        """Publish what waits, if the broker takes it in time. The rest is still in the outbox."""
        with suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._all_out.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def publish(self, topic: str, *messages: CloudEvent) -> None:
        """Durable topics: return when the broker has every message; raises NotPublished. Others: return at once."""
        waiting = [_Waiting(topic, _entry(message)) for message in messages]
        if not TOPICS[topic].durable:
            self._market.extend(waiting)
            self._market_waits.set()
            return
        left = await self._insist(topic, waiting)
        if left:
            raise NotPublished(f"{topic}: the broker did not take {len(left)} of {len(messages)} messages")

    def is_heard(self, topic: str) -> bool:  # noqa: ARG002 - only the broker knows who listens
        return True

    def publish_recorded(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            if event.id not in self._recorded and len(self._recorded) < self._queue_max:
                message = from_recorded(event, _keyed.decode(event.data).user_id)
                self._recorded[event.id] = _Waiting(TOPIC_OF[event.type].name, _entry(message), event)
                self._all_out.clear()
                self._events_wait.set()

    async def _publish_events(self) -> None:
        while True:
            await self._events_wait.wait()
            self._events_wait.clear()
            while batch := [waiting for waiting, _ in zip(self._recorded.values(), range(BATCH_MAX), strict=False)]:
                left = await self._round(batch)
                await self._off_the_outbox(waiting for waiting in batch if waiting.entry.id not in left)
                for waiting in batch:
                    del self._recorded[waiting.entry.id]
            self._all_out.set()

    async def _publish_market(self) -> None:
        while True:
            await self._market_waits.wait()
            self._market_waits.clear()
            while self._market:
                batch = [self._market.popleft() for _ in range(min(BATCH_MAX, len(self._market)))]
                for topic, waiting in _by_topic(batch).items():
                    try:
                        await self._send_market(TOPICS[topic].pubsub, topic, [one.entry for one in waiting])
                    except SidecarError as error:
                        log.warning("market data not published", topic=topic, messages=len(waiting), reason=str(error))
                        await self._clock.sleep(BACKOFF_SECONDS)

    async def _round(self, batch: Sequence[_Waiting]) -> frozenset[str]:
        """Publish every topic's share; returns the ids that did not get out."""
        left = await asyncio.gather(*(self._insist(topic, waiting) for topic, waiting in _by_topic(batch).items()))
        return frozenset().union(*left)

    async def _insist(self, topic: str, waiting: Sequence[_Waiting]) -> frozenset[str]:
        """Publish, again and again for some seconds; returns the ids that did not get out."""
        entries = {one.entry.id: one.entry for one in waiting}
        reason = ""
        for attempt in range(ATTEMPTS_MAX):
            if attempt:
                await self._clock.sleep(BACKOFF_SECONDS * 2**attempt)
            try:
                left = await self._send(TOPICS[topic].pubsub, topic, list(entries.values()))
            except SidecarError as error:
                reason = str(error)
                continue
            entries = {identifier: entries[identifier] for identifier in left}
            if not entries:
                return frozenset()
        log.warning("not published", topic=topic, messages=len(entries), reason=reason)
        return frozenset(entries)

    async def _off_the_outbox(self, published: Iterable[_Waiting]) -> None:
        try:
            await self._store.published([one.recorded for one in published if one.recorded is not None])
        except StoreUnavailable as error:
            log.warning("outbox not cleared", reason=str(error))  # the relay publishes them again; consumers know them


def _entry(message: CloudEvent) -> Entry:
    """A sidecar puts a `traceparent` of its own over ours, unless the older name that it knows stands beside it."""
    body, trace = encode(message), message.traceparent
    if trace:
        body = b'{"traceid":"' + trace.encode() + b'",' + body[1:]
    return Entry(message.id, body, message.partitionkey or message.subject, trace)


def _by_topic(batch: Iterable[_Waiting]) -> dict[str, list[_Waiting]]:
    found: dict[str, list[_Waiting]] = defaultdict(list)
    for waiting in batch:
        found[waiting.topic].append(waiting)
    return found
