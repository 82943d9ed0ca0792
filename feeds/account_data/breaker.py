"""When a venue is left alone. Rule: after some failures in a row, of all its connections, nobody dials for a while."""

from collections.abc import Callable

FAILURES_MAX = 5
OPEN_SECONDS = 30.0


class Breaker:
    """One venue's. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._failures = 0
        self._open_until = 0.0

    @property
    def wait_seconds(self) -> float:
        """How long it is still open; zero: dial."""
        return max(0.0, self._open_until - self._monotonic())

    def failed(self) -> bool:
        """A connection could not be made, or broke at once. Returns True where that opens the breaker."""
        self._failures += 1
        if self._failures < FAILURES_MAX:
            return False
        self._failures = 0
        self._open_until = self._monotonic() + OPEN_SECONDS
        return True

    def succeeded(self) -> None:
        self._failures = 0
