"""Lanes of the embedded broker, and whose turn it is. Rule: within a lane one delivery after the other, in order.

AWAITED   somebody waits for it (venue reports); has workers of its own
ACTING    moves an order on
SHOWING   keeps read models; goes when nothing acts, and every fourth time when something does
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple

from patriot.runtime.cloudevent import CloudEvent
from schemas.topics import Topic

SHOWING_EVERY = 4


class Urgency(IntEnum):
    AWAITED = 0
    ACTING = 1
    SHOWING = 2


class Route(NamedTuple):
    """One subscriber's route for one event type."""

    consumer: str
    path: str
    shows: bool


class LaneKey(NamedTuple):
    """One consumer and one aggregate; a consumer that only shows has a lane per message, it needs no order."""

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
            return LaneKey(consumer, event.id, Urgency.SHOWING)
        return LaneKey(consumer, event.subject or event.id, Urgency.ACTING)


@dataclass(slots=True)
class Lane:
    waiting: deque[Delivery] = field(default_factory=deque)


class Turns:
    """Lanes that wait for a worker, in the order in which they get one."""

    def __init__(self) -> None:
        self._acting: deque[LaneKey] = deque()
        self._showing: deque[LaneKey] = deque()
        self._count = asyncio.Semaphore(0)
        self._taken = 0

    def put(self, key: LaneKey) -> None:
        (self._showing if key.urgency is Urgency.SHOWING else self._acting).append(key)
        self._count.release()

    async def take(self) -> LaneKey:
        await self._count.acquire()
        self._taken += 1
        shows = self._showing and (not self._acting or self._taken % SHOWING_EVERY == 0)
        return (self._showing if shows else self._acting).popleft()
