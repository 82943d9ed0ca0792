"""Lanes of the embedded broker, and whose turn it is. Rule: within a lane one delivery after the other, in order.

AWAITED   somebody waits for it (venue reports); has workers of its own
ACTING    moves an order on; a lane in which something waits that lessens risk goes before all others
SHOWING   keeps read models; goes when nothing acts, and every eighth time when something does: what changes again
          meanwhile is shown once
"""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from patriot.runtime.cloudevent import CloudEvent
from schemas.topics import LESSENS_RISK, Topic

SHOWING_EVERY = 8


class Urgency(IntEnum):
    AWAITED = 0
    ACTING = 1
    SHOWING = 2


class Route(NamedTuple):
    """One subscriber's route for one event type. `newest`: the newest message of an aggregate tells all."""

    consumer: str
    path: str
    shows: bool
    newest: bool = False


class LaneKey(NamedTuple):
    """One consumer and one aggregate; or one message, for a consumer that only shows and needs no order."""

    consumer: str
    subject: str
    urgency: Urgency


@dataclass(slots=True)
class Tracker:
    """Counts the deliveries of one message; `done` runs when all have ended."""

    remaining: int
    done: Callable[[], None]

    def end_one(self) -> None:
        self.remaining -= 1
        if not self.remaining:
            self.done()


@dataclass(slots=True)
class Delivery:
    """One message on its way to one consumer. `queued_at` is monotonic."""

    route: Route
    topic: Topic
    event: CloudEvent
    tracker: Tracker
    queued_at: float
    attempts: int = 0

    def lane(self, *, awaited: bool) -> LaneKey:
        consumer, event = self.route.consumer, self.event
        if awaited:
            return LaneKey(consumer, event.subject or event.id, Urgency.AWAITED)
        if self.route.shows:
            return LaneKey(consumer, event.subject if self.route.newest else event.id, Urgency.SHOWING)
        return LaneKey(consumer, event.subject or event.id, Urgency.ACTING)

    @property
    def lessens_risk(self) -> bool:
        return self.event.type in LESSENS_RISK

    def outdates(self, other: "Delivery") -> bool:
        """Whether the other need not be delivered once this one is."""
        if not self.topic.durable:
            return True
        return self.route.newest and other.route.newest and self.event.streamversion >= other.event.streamversion


@dataclass(slots=True)
class Lane:
    """Deliveries in order. `busy`: a worker has the first of them. `urgent`: how many of them lessen risk."""

    waiting: deque[Delivery] = field(default_factory=deque)
    busy: bool = False
    urgent: int = 0

    @property
    def first(self) -> bool:
        """Whether it holds what must not wait for other lanes, maybe behind what comes before it."""
        return self.urgent > 0

    def add(self, delivery: Delivery) -> Delivery | None:
        """Take the delivery in; returns the one that has become needless."""
        last = self.waiting[-1] if len(self.waiting) > self.busy else None
        self.urgent += delivery.lessens_risk
        if last is None or not delivery.outdates(last):
            self.waiting.append(delivery)
            return None
        self.waiting[-1] = delivery
        self.urgent -= last.lessens_risk
        return last

    def end_first(self) -> None:
        """The first of them has been delivered."""
        self.urgent -= self.waiting.popleft().lessens_risk


class Turns:
    """Lanes that wait for a worker, in the order in which they get one."""

    def __init__(self) -> None:
        self._first: deque[LaneKey] = deque()
        self._acting: OrderedDict[LaneKey, float] = OrderedDict()
        self._showing: deque[LaneKey] = deque()
        self._count = asyncio.Semaphore(0)
        self._taken = 0

    def put(self, key: LaneKey, now: float, *, first: bool = False) -> None:
        """Its turn comes. `now` is monotonic."""
        if first:
            self._first.append(key)
        elif key.urgency is Urgency.SHOWING:
            self._showing.append(key)
        else:
            self._acting[key] = now
        self._count.release()

    def prefer(self, key: LaneKey) -> None:
        """If it waits, it goes before the others from now on."""
        if self._acting.pop(key, None) is not None:
            self._first.append(key)

    async def take(self) -> LaneKey:
        await self._count.acquire()
        if self._first:
            return self._first.popleft()
        self._taken += 1
        shows = self._showing and (not self._acting or self._taken % SHOWING_EVERY == 0)
        return self._showing.popleft() if shows else self._acting.popitem(last=False)[0]

    def waited(self, now: float) -> float:
        """For how many seconds the lane that acts next has waited for a worker."""
        return now - next(iter(self._acting.values())) if self._acting else 0.0
