"""The request budget of one address at a venue. Rule: all replicas behind the address draw from one bucket.

A replica draws a little more than it needs and may use that up within half a second: so each of them hears in that
time that the venue has asked for silence. The bucket lies in the state store; while that does not answer, only cancels
leave.

A venue counts in windows that begin when it likes: a full bucket and a whole window of refill stay within its limit.
"""

import asyncio
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Final, Literal, Self

import orjson
import structlog

from patriot.runtime.clock import Clock
from patriot.runtime.ports import EtagMismatch, State
from patriot.telemetry.metrics import metrics

CANCEL_SHARE: Final = 0.2
"""Of the budget; cancels always find it, whatever else was asked before."""
BURST_SHARE: Final = 0.25
USABLE_SHARE: Final = 0.95
CHUNK_SHARE: Final = 0.25
"""Of what comes in during CHUNK_SECONDS."""
CHUNK_SECONDS: Final = 0.5
CLOCKS_DIFFER_SECONDS_MAX: Final = 60.0
WRITE_ATTEMPTS_MAX: Final = 20

log = structlog.get_logger(service="venues")


@dataclass(frozen=True, slots=True)
class Budget:
    """What the venue allows one address: `weight` in `seconds`. Budgets of one name are one."""

    name: str
    weight: float
    seconds: float

    @property
    def burst(self) -> float:
        return self.weight * BURST_SHARE

    @property
    def rate(self) -> float:
        """Per second, for ever."""
        return self.weight * (USABLE_SHARE - BURST_SHARE) / self.seconds

    @property
    def kept_for_cancels(self) -> float:
        return self.weight * CANCEL_SHARE


@dataclass(frozen=True, slots=True)
class Held:
    """Not now. `seconds` until it is worth another try."""

    code: Literal["silenced", "rate_limited", "venue_unavailable"]
    seconds: float

    @property
    def reason(self) -> str:
        return f"not sent; try again in {self.seconds:.1f} s"


@dataclass(frozen=True, slots=True)
class Bucket:
    """What all replicas share. Times are UTC in seconds since 1970."""

    tokens: float
    filled_at: float
    silent_until: float = 0.0

    @classmethod
    def read(cls, told: bytes) -> Self:
        return cls(**orjson.loads(told))

    def filled(self, budget: Budget, now: float) -> Self:
        """As it is `now`. The clocks of two replicas differ: time that was counted once is not counted again."""
        if self.filled_at > now + CLOCKS_DIFFER_SECONDS_MAX:
            return replace(self, filled_at=now)
        elapsed = max(0.0, now - self.filled_at)
        return replace(
            self, tokens=min(budget.burst, self.tokens + elapsed * budget.rate), filled_at=max(now, self.filled_at)
        )


class SharedBudget:
    """One replica's view of one budget. `key` names the bucket in the state store."""

    def __init__(self, key: str, budget: Budget, state: State, clock: Clock) -> None:
        self._key, self._budget, self._state, self._clock = key, budget, state, clock
        self._drawing = asyncio.Lock()
        self._drawn = 0.0
        self._drawn_until = 0.0
        self._silent_until = 0.0

    async def take(self, weight: float, *, for_cancel: bool) -> Held | None:
        """Take `weight`, or tell why not."""
        if self._used(weight):
            return None
        async with self._drawing:
            if self._used(weight):
                return None
            try:
                held = await self._draw(weight, for_cancel=for_cancel)
            except Exception as error:  # noqa: BLE001 - whatever keeps the state store from answering
                log.warning("the shared request budget cannot be read", budget=self._key, reason=repr(error)[:200])
                held = self._silence_left() or (None if for_cancel else Held("rate_limited", CHUNK_SECONDS))
        return held

    async def silence(self, seconds: float) -> None:
        """Let no replica send anything for so long; never shortens. This one obeys from now on."""
        until = self._now() + seconds
        self._silent_until = max(self._silent_until, until)
        try:
            await self._change(lambda bucket: replace(bucket, silent_until=max(bucket.silent_until, until)))
        except Exception as error:  # noqa: BLE001 - whatever keeps the state store from answering
            log.warning("the other replicas were not told to be silent", budget=self._key, reason=repr(error)[:200])

    def _used(self, weight: float) -> bool:
        """Whether what was drawn is enough; then it is less."""
        is_enough = self._now() < self._drawn_until and self._drawn >= weight and self._silence_left() is None
        self._drawn -= weight * is_enough
        return is_enough

    def _silence_left(self) -> Held | None:
        seconds = self._silent_until - self._now()
        return Held("silenced", seconds) if seconds > 0 else None

    async def _draw(self, weight: float, *, for_cancel: bool) -> Held | None:
        """Give back what is left of the last draw, and draw anew."""
        budget, floor = self._budget, 0.0 if for_cancel else self._budget.kept_for_cancels
        chunk = weight if for_cancel else max(weight, budget.rate * CHUNK_SECONDS * CHUNK_SHARE)
        amount = 0.0

        def drawn(bucket: Bucket) -> Bucket:
            nonlocal amount
            self._silent_until = max(self._silent_until, bucket.silent_until)
            there = min(budget.burst, bucket.tokens + self._drawn)
            amount = min(chunk, there - floor)
            if amount < weight or self._silence_left():
                return bucket
            return replace(bucket, tokens=there - amount)

        before = await self._change(drawn)
        metrics.venue_budget_left(":".join(self._key.rsplit(":", 2)[1:])).set(before.tokens)
        if held := self._silence_left():
            return held
        if amount < weight:
            return Held("rate_limited", (weight + floor - before.tokens - self._drawn) / budget.rate)
        self._drawn = amount - weight
        self._drawn_until = self._now() + CHUNK_SECONDS
        return None

    async def _change(self, change: Callable[[Bucket], Bucket]) -> Bucket:
        """Change the bucket as one; returns what it was just before. Raises EtagMismatch after many lost races."""
        for attempt in range(1, WRITE_ATTEMPTS_MAX + 1):
            entry = await self._state.get(self._key)
            known = Bucket.read(entry.value) if entry else Bucket(self._budget.burst, self._now())
            before = known.filled(self._budget, self._now())
            after = change(before)
            if after == before:
                return before
            life = max(self._budget.seconds, after.silent_until - self._now()) + CLOCKS_DIFFER_SECONDS_MAX
            try:
                value = orjson.dumps(asdict(after))
                await self._state.set(self._key, value, seconds=life, etag=entry.etag if entry else None)
            except EtagMismatch:
                if attempt == WRITE_ATTEMPTS_MAX:
                    raise
                continue
            return before
        raise AssertionError("unreachable")

    def _now(self) -> float:
        return self._clock.now().timestamp()
