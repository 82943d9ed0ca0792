"""When to try again. Rule: each failure doubles the pause, and chance spreads those who failed together."""

from dataclasses import dataclass

from feeds.market_data.timing import Timing
from patriot.runtime.clock import Clock
from patriot.runtime.ports import Random


class Backoff:
    """Pauses of one connection. `forget` after a success."""

    def __init__(self, timing: Timing, random: Random) -> None:
        self._timing, self._random = timing, random
        self.failures = 0

    def next_seconds(self) -> float:
        """Count a failure and return the pause after it: between half and all of the doubled one."""
        pause = self._timing.backoff_seconds * float(1 << min(self.failures, 30))
        self.failures += 1
        return min(pause, self._timing.backoff_seconds_max) * (0.5 + self._random.random() / 2)

    def forget(self) -> None:
        self.failures = 0


@dataclass(slots=True)
class Breaker:
    """One endpoint's circuit breaker, shared by its connections.

    After `breaker_failures_max` failures in a row it is open: nobody tries for `breaker_seconds`. Then one may, and
    its success closes the breaker while its failure opens it again.
    """

    timing: Timing
    clock: Clock
    failures: int = 0
    _open_until: float = 0.0
    _trying: bool = False

    @property
    def is_open(self) -> bool:
        return self.failures >= self.timing.breaker_failures_max

    def admits(self) -> bool:
        """Whether a connection may be tried now. Who is admitted must tell how it went."""
        if not self.is_open:
            return True
        if self._trying or self.clock.monotonic() < self._open_until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        self.failures, self._trying = 0, False

    def abandoned(self) -> None:
        """The try was given up without a result."""
        self._trying = False

    def failed(self) -> None:
        self.failures += 1
        self._trying = False
        if self.is_open:
            self._open_until = self.clock.monotonic() + self.timing.breaker_seconds
