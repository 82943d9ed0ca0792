"""The embedded runtime's broker: CloudEvents, at least once, in order per aggregate, to the routes a sidecar calls.

It has no disk of its own. A stored event leaves the outbox only when every subscriber has answered SUCCESS (or the
event lies in the dead-letter table), so what a crash interrupts is delivered again from the outbox.

    publish ──► lane (consumer, aggregate) ──► worker ──► /events/<topic>/<type>
                                                  SUCCESS: next    RETRY: again, with backoff
                                                  DROP, or too many attempts: dead letter

Messages that somebody waits for (venue reports) have lanes and workers of their own: the handler that waits holds a
worker of the others, so neither can starve the other. Handlers of such messages must not wait for messages themselves.

Limits: `queue_max` messages; beyond it stored events stay in the outbox for the relay. Market data, and whatever a part
needs only the newest of, is conflated: a message replaces the one of its lane that still waits. While many clients wait
for an answer, deliveries step back, for at most `step_back_seconds_max` each: a burst is acknowledged first, and a
lasting crowd cannot keep orders from moving. Nothing steps in the way of what lessens risk; see lanes.py, admission.py.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from patriot.runtime.clock import Clock
from patriot.runtime.cloudevent import CloudEvent, encode, from_recorded
from patriot.runtime.dead_letters import DeadLetter, bury
from patriot.runtime.delivery import Verdict
from patriot.runtime.lanes import Delivery, Lane, LaneKey, Route, Tracker, Turns, Urgency
from patriot.store.api import RecordedEvent, Store
from schemas.topics import TOPIC_OF, TOPICS, Topic

BACKOFF_SECONDS = 0.05
BACKOFF_SECONDS_MAX = 5.0
BACKOFF_DOUBLINGS_MAX = 10
STEP_BACK_SECONDS = 0.005

log = structlog.get_logger()

Deliver = Callable[[str, str, CloudEvent], Awaitable[Verdict]]
"""deliver(consumer app id, path, event) -> how it ended. What is raised counts as RETRY."""


@dataclass(slots=True)
class BrokerLimits:
    queue_max: int = 50_000
    attempts_max: int = 8
    concurrency: int = 32
    waiting_clients_max: int = 8
    step_back_seconds_max: float = 1.0


class Broker:
    """Implements the Publisher port."""

    def __init__(self, deliver: Deliver, store: Store, clock: Clock, limits: BrokerLimits | None = None) -> None:
        self._deliver = deliver
        self._store = store
        self._clock = clock
        self._limits = limits or BrokerLimits()
        self._routes: dict[tuple[str, str], list[Route]] = {}
        self._heard: set[str] = set()
        self._lanes: dict[LaneKey, Lane] = {}
        self._turns, self._awaited = Turns(), Turns()
        self._in_flight: set[str] = set()
        self._published: list[RecordedEvent] = []
        self._flush = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._sleepers: set[asyncio.Task[None]] = set()
        self._behind = asyncio.Lock()
        self.pending = 0
        self.deliveries = 0  # attempts so far
        self.waiting_clients: Callable[[], int] = lambda: 0
        self.give_way: Callable[[], Awaitable[None]] = _give_no_way

    # --- wiring ---
    def subscribe(
        self,
        consumer: str,
        subscriptions: Sequence[dict[str, Any]],
        *,
        shows: bool = False,
        newest: Collection[str] = (),
    ) -> None:
        """Take what the part answers to GET /dapr/subscribe.

        `shows`: it only keeps read models (see lanes.py). `newest`: on these paths the newest message tells all.
        """
        for subscription in subscriptions:
            for rule in subscription["routes"]["rules"]:
                kind, path = rule["match"].split('"')[1], rule["path"]
                route = Route(consumer, path, shows, path in newest)
                self._routes.setdefault((subscription["topic"], kind), []).append(route)
                self._heard.add(subscription["topic"])

    def start(self) -> None:
        workers = [self._work(turns) for turns in (self._turns, self._awaited) for _ in range(self._limits.concurrency)]
        self._tasks = [asyncio.create_task(job) for job in (*workers, self._mark_published())]

    async def stop(self) -> None:
        """End at once. What was not delivered is still in the outbox."""
        for task in (*self._tasks, *self._sleepers):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._sleepers, return_exceptions=True)
        if self._published:
            await self._store.published(self._published)

    # --- publishing ---
    async def publish(self, topic: str, *messages: CloudEvent) -> None:
        """Durable topics: return when every subscriber has handled every message. Market data: return at once."""
        known = TOPICS[topic]
        waits = [self._enqueue(known, message) for message in messages]
        if known.durable:
            await asyncio.gather(*(wait for wait in waits if wait is not None))

    def is_heard(self, topic: str) -> bool:
        return topic in self._heard

    def publish_recorded(self, events: Sequence[RecordedEvent]) -> None:
        for event in events:
            message = from_recorded(event, "")
            if message.id in self._in_flight or self.pending >= self._limits.queue_max:
                continue
            self._in_flight.add(message.id)
            self._send(TOPIC_OF[event.type], message, partial(self._handled, event))

    def _handled(self, event: RecordedEvent) -> None:
        self._published.append(event)
        self._flush.set()

    def _enqueue(self, topic: Topic, message: CloudEvent) -> asyncio.Future[None] | None:
        if not topic.durable:
            self._send(topic, message, lambda: None)
            return None
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._send(topic, message, partial(_resolve, done), awaited=True)
        return done

    def _send(self, topic: Topic, message: CloudEvent, done: Callable[[], None], *, awaited: bool = False) -> None:
        routes = self._routes.get((topic.name, message.type), ())
        if not routes:
            done()
            return
        tracker, now = Tracker(len(routes), done), self._clock.monotonic()
        for route in routes:
            self._queue(Delivery(route, topic, message, tracker, now), awaited=awaited)

    def _queue(self, delivery: Delivery, *, awaited: bool) -> None:
        key = delivery.lane(awaited=awaited)
        lane = self._lanes.get(key)
        self.pending += 1
        if lane is None:
            lane = self._lanes[key] = Lane()
            self._ready(key)
        needless = lane.add(delivery)
        if needless is not None:
            self._end(needless)
        if delivery.lessens_risk:
            self._turns.prefer(key)

    def _ready(self, key: LaneKey) -> None:
        turns = self._awaited if key.urgency is Urgency.AWAITED else self._turns
        turns.put(key, self._clock.monotonic(), first=self._goes_first(key))

    def _goes_first(self, key: LaneKey) -> bool:
        return key.urgency is Urgency.ACTING and self._lanes[key].first

    # --- delivering ---
    async def _work(self, turns: Turns) -> None:
        while True:
            key = await turns.take()
            lane = self._lanes[key]
            if turns is self._turns and not self._goes_first(key):
                await self.give_way()
                await self._step_back(lane.waiting[0])
            lane.busy, delivery = True, lane.waiting[0]
            ended = await self._attempt(delivery)
            lane.busy = False
            if ended:
                lane.end_first()
                self._end(delivery)
                self._next(key, lane)
            else:
                self._later(key, delivery.attempts)

    def _next(self, key: LaneKey, lane: Lane) -> None:
        if lane.waiting:
            self._ready(key)
        else:
            del self._lanes[key]

    def _end(self, delivery: Delivery) -> None:
        self.pending -= 1
        delivery.tracker.end_one()

    async def _step_back(self, delivery: Delivery) -> None:
        """Clients first: with many of them waiting, one delivery at a time, and slowly; but not for ever."""
        if self._in_the_way(delivery):
            async with self._behind:
                if self._in_the_way(delivery):
                    await self._clock.sleep(STEP_BACK_SECONDS)

    def _in_the_way(self, delivery: Delivery) -> bool:
        if self.waiting_clients() <= self._limits.waiting_clients_max:
            return False
        return self._clock.monotonic() - delivery.queued_at < self._limits.step_back_seconds_max

    async def _attempt(self, delivery: Delivery) -> bool:
        """Deliver once. True when this delivery has ended, well or in the dead-letter table."""
        delivery.attempts += 1
        self.deliveries += 1
        verdict, reason = await self._verdict(delivery)
        if verdict == "SUCCESS":
            return True
        if verdict == "DROP" or delivery.attempts >= self._limits.attempts_max:
            return await self._bury(delivery, reason)
        return False

    async def _verdict(self, delivery: Delivery) -> tuple[Verdict, str]:
        route, event = delivery.route, delivery.event
        try:
            return await self._deliver(route.consumer, route.path, event), "the consumer asked for it"
        except Exception as error:
            log.exception("consumer raised", consumer=route.consumer, type=event.type)
            return "RETRY", repr(error)

    def _later(self, key: LaneKey, attempts: int) -> None:
        async def wait() -> None:
            doublings = min(attempts, BACKOFF_DOUBLINGS_MAX)
            await self._clock.sleep(min(BACKOFF_SECONDS * 2**doublings, BACKOFF_SECONDS_MAX))
            self._ready(key)

        task = asyncio.create_task(wait())
        self._sleepers.add(task)
        task.add_done_callback(self._sleepers.discard)

    async def _bury(self, delivery: Delivery, reason: str) -> bool:
        """Write the dead letter. False when even that failed: the delivery stays and is tried again."""
        event, consumer = delivery.event, delivery.route.consumer
        letter = DeadLetter(consumer, delivery.topic.name, event.id, event.tenantid, event.correlationid, encode(event))
        try:
            await bury(self._store, self._clock.now(), letter, delivery.attempts, reason)
        except Exception:
            log.exception("dead letter not written", consumer=consumer, type=event.type)
            return False
        return True

    async def _mark_published(self) -> None:
        while True:
            await self._flush.wait()
            self._flush.clear()
            done, self._published = self._published, []
            try:
                await self._store.published(done)
            except Exception:  # noqa: BLE001 - the relay will deliver these again; consumers know them
                log.warning("outbox not cleared", events=len(done))
            # only now: until they are off the outbox the relay finds them there
            self._in_flight.difference_update(event.id for event in done)

    # --- waiting ---
    def backlog_seconds(self) -> float:
        """For how long what moves an order on waits for a worker."""
        return self._turns.waited(self._clock.monotonic())

    @property
    def idle(self) -> bool:
        return not self.pending and not self._published


async def _give_no_way() -> None:
    """Nobody told who goes first."""


def _resolve(done: asyncio.Future[None]) -> None:
    if not done.done():
        done.set_result(None)
