"""How often a client may ask. Rule: fixed windows; memory is bounded by who asked in the current one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Requests per account, route and second; and per client address and five seconds (beyond it: HTTP 403).

    Source: bybit-exchange.github.io/docs/v5/rate-limit; raise them for load tests.
    """

    commands_per_second: int = 20
    queries_per_second: int = 50
    requests_per_address: int = 600


@dataclass(frozen=True, slots=True)
class Allowance:
    """What one request left over; `left` below 0 means that it is refused."""

    limit: int
    left: int
    reset_ms: int

    def headers(self) -> dict[str, str]:
        return {
            "X-Bapi-Limit": str(self.limit),
            "X-Bapi-Limit-Status": str(max(0, self.left)),
            "X-Bapi-Limit-Reset-Timestamp": str(self.reset_ms),
        }


class Window:
    """Counts requests by key in windows of `length_ms`."""

    def __init__(self, length_ms: int) -> None:
        self._length_ms = length_ms
        self._number = -1
        self._counts: dict[str, int] = {}

    def take(self, key: str, limit: int, now_ms: int) -> Allowance:
        """Count one request."""
        number = now_ms // self._length_ms
        if number != self._number:
            self._number, self._counts = number, {}
        count = self._counts[key] = self._counts.get(key, 0) + 1
        reset_ms = now_ms if count <= limit else (number + 1) * self._length_ms
        return Allowance(limit, limit - count, reset_ms)
