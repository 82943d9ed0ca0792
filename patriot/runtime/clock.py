"""Time, ids and randomness: the system's own, and seeded ones that make a run repeatable to the byte."""

import asyncio
import heapq
import random
import time
import uuid
from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """UTC, timezone-aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    async def sleep(self, seconds: float) -> None: ...


class Ids(Protocol):
    def uuid(self) -> uuid.UUID: ...


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SystemIds:
    def uuid(self) -> uuid.UUID:
        return uuid.uuid4()


class SeededIds:
    """The same UUIDs in the same order for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def uuid(self) -> uuid.UUID:
        return uuid.UUID(int=self._random.getrandbits(128), version=4)


class VirtualClock:
    """Stands still until `advance_to`. Sleepers wake in order of their time, ties in order of their call."""

    def __init__(self, start: datetime) -> None:
        self._start = start
        self._now = start
        self._sleepers: list[tuple[datetime, int, asyncio.Future[None]]] = []
        self._calls = 0

    def now(self) -> datetime:
        return self._now

    def monotonic(self) -> float:
        return (self._now - self._start).total_seconds()

    async def sleep(self, seconds: float) -> None:
        waker = asyncio.get_running_loop().create_future()
        self._calls += 1
        heapq.heappush(self._sleepers, (self._now + timedelta(seconds=max(0.0, seconds)), self._calls, waker))
        await waker

    @property
    def next_wake(self) -> datetime | None:
        return self._sleepers[0][0] if self._sleepers else None

    def advance_to(self, moment: datetime) -> int:
        """Move on to `moment` (never back) and wake who is due. Returns how many woke."""
        self._now = max(self._now, moment)
        woken = 0
        while self._sleepers and self._sleepers[0][0] <= self._now:
            waker = heapq.heappop(self._sleepers)[2]
            if not waker.done():
                waker.set_result(None)
                woken += 1
        return woken
