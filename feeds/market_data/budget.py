"""How many connections one address may have. Rule: a place is taken before a socket opens and given back after.

Venues count twice: connections that are open, and attempts within five minutes (Binance refuses the 301st). So does
the budget, with one maximum for both.
"""

from collections import deque

from patriot.runtime.clock import Clock

WINDOW_SECONDS = 300.0


class BudgetExhausted(Exception):
    """The address has no place left; the text says how many there are."""


class ConnectionBudget:
    def __init__(self, address: str, maximum: int, clock: Clock) -> None:
        self.address, self.maximum = address, maximum
        self.taken = 0
        self._clock = clock
        self._attempts: deque[float] = deque(maxlen=maximum)

    def take(self) -> None:
        """Take a place. Raises BudgetExhausted."""
        if self.taken >= self.maximum:
            raise BudgetExhausted(f"all {self.maximum} connections to {self.address} are in use")
        self.taken += 1

    def give_back(self) -> None:
        assert self.taken > 0, "a place is given back once"
        self.taken -= 1

    def attempt(self) -> float:
        """Count an attempt; returns 0, or the seconds to wait if it must not be made yet."""
        now = self._clock.monotonic()
        if len(self._attempts) == self.maximum and now - self._attempts[0] < WINDOW_SECONDS:
            return WINDOW_SECONDS - (now - self._attempts[0])
        self._attempts.append(now)
        return 0.0
