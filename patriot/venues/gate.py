"""Whether a call may leave for a venue now. Rule: what is held back here was not sent, and the caller is told so.

Three reasons to hold a call back:
* silence: the venue said 429, 418 or 403; until its time is over no replica sends anything at all;
* the budget of request weight, shared by all replicas; one fifth of it is kept for cancels;
* the breaker: after several calls in a row without an answer no new order is risked; cancels and questions still go,
  and the first answer closes the breaker.
"""

import asyncio
from collections.abc import Callable
from typing import Literal

from patriot.venues.budget import Held, SharedBudget

Step = Literal["create", "modify", "cancel", "open", "ended", "trades", "search", "all_open", "balances", "leverage"]
"""What a call is for; those after "cancel" ask, but for "leverage", which sets it. "search" looks for trades whose
order the venue has not named.
"""

FAILURES_MAX = 5
OPEN_SECONDS = 5.0
OPEN_SECONDS_MAX = 60.0


class Gate:
    """The gate of one budget. `monotonic` gives seconds. `questions` is the queue of those that ask."""

    def __init__(self, budget: SharedBudget, monotonic: Callable[[], float]) -> None:
        self._budget, self._monotonic = budget, monotonic
        self._open_until = 0.0
        self._open_seconds = OPEN_SECONDS
        self._failures = 0
        self.questions = asyncio.Lock()

    async def admit(self, step: Step, weight: float) -> Held | None:
        """Take `weight` from the budget, or tell why not."""
        if step in {"create", "modify", "leverage"} and self.is_open:
            return Held("venue_unavailable", self._open_until - self._monotonic())
        return await self._budget.take(weight, for_cancel=step == "cancel")

    def answered(self) -> None:
        """The venue answered, whatever it said."""
        self._failures = 0
        self._open_until = 0.0
        self._open_seconds = OPEN_SECONDS

    def unanswered(self) -> bool:
        """No answer, or a 5xx. Returns True where that opens the breaker."""
        self._failures += 1
        if self._failures < FAILURES_MAX or self.is_open:
            return False
        self._open_until = self._monotonic() + self._open_seconds
        self._open_seconds = min(self._open_seconds * 2, OPEN_SECONDS_MAX)
        return True

    async def silence(self, seconds: float) -> None:
        """Send nothing for so long, from any replica; never shortens."""
        await self._budget.silence(seconds)

    @property
    def is_open(self) -> bool:
        """Whether the breaker holds new orders back."""
        return self._monotonic() < self._open_until
