"""Whether a call may leave for a venue now. Rule: what is held back here was not sent, and the caller is told so.

Three reasons to hold a call back:
* silence: the venue said 429, 418 or 403; until its time is over nothing is sent at all;
* the budget of request weight: one fifth of it is kept for cancels;
* the breaker: after several calls in a row without an answer no new order is risked; cancels and questions still go,
  and the first answer closes the breaker.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Step = Literal["create", "modify", "cancel", "open", "ended", "trades", "balances"]
"""What a call is for; the last four ask."""

FAILURES_MAX = 5
OPEN_SECONDS = 5.0
OPEN_SECONDS_MAX = 60.0
CANCEL_SHARE = 0.2
USABLE_SHARE = 0.95
BURST_SHARE = 0.25


@dataclass(frozen=True, slots=True)
class Budget:
    """What the venue allows one address: `weight` in `seconds`."""

    weight: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Held:
    """Not now. `seconds` until it is worth another try."""

    code: Literal["silenced", "rate_limited", "venue_unavailable"]
    seconds: float

    @property
    def reason(self) -> str:
        return f"not sent; try again in {self.seconds:.1f} s"


class Gate:
    """The gate of one venue and market. `monotonic` gives seconds."""

    def __init__(self, budget: Budget, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        # the venue counts in fixed windows: a full burst and a whole window of refill must stay within its limit
        self._burst = budget.weight * BURST_SHARE
        self._rate = budget.weight * (USABLE_SHARE - BURST_SHARE) / budget.seconds
        self._tokens = self._burst
        self._filled_at = monotonic()
        self._silent_until = 0.0
        self._open_until = 0.0
        self._open_seconds = OPEN_SECONDS
        self._failures = 0

    def admit(self, step: Step, weight: float) -> Held | None:
        """Take `weight` from the budget, or tell why not."""
        now = self._monotonic()
        if now < self._silent_until:
            return Held("silenced", self._silent_until - now)
        if step in {"create", "modify"} and now < self._open_until:
            return Held("venue_unavailable", self._open_until - now)
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate)
        self._filled_at = now
        floor = 0.0 if step == "cancel" else self._burst * CANCEL_SHARE
        if self._tokens - weight < floor:
            return Held("rate_limited", (weight + floor - self._tokens) / self._rate)
        self._tokens -= weight
        return None

    def answered(self) -> None:
        """The venue answered, whatever it said."""
        self._failures = 0
        self._open_until = 0.0
        self._open_seconds = OPEN_SECONDS

    def unanswered(self) -> bool:
        """No answer, or a 5xx. Returns True where that opens the breaker."""
        self._failures += 1
        if self._failures < FAILURES_MAX or self._monotonic() < self._open_until:
            return False
        self._open_until = self._monotonic() + self._open_seconds
        self._open_seconds = min(self._open_seconds * 2, OPEN_SECONDS_MAX)
        return True

    def silence(self, seconds: float) -> None:
        """Send nothing for so long; never shortens."""
        self._silent_until = max(self._silent_until, self._monotonic() + seconds)

    @property
    def is_open(self) -> bool:
        """Whether the breaker holds new orders back."""
        return self._monotonic() < self._open_until
