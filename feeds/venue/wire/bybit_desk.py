"""What every part of the Bybit protocol shares. Rule: the clock that clients are judged by is `now_ms` of the desk."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_limits import RateLimits, Window
from feeds.venue.wire.strikes import Strikes

Schedule = Callable[[float, Callable[[], None]], object]
"""Call something after so many seconds."""


def call_later(seconds: float, action: Callable[[], None]) -> object:
    return asyncio.get_running_loop().call_later(seconds, action)


@dataclass(frozen=True, slots=True)
class Desk:
    """The exchange with its limits, its faults on demand and a timer."""

    exchange: Exchange
    limits: RateLimits = field(default_factory=RateLimits)
    strikes: Strikes = field(default_factory=Strikes)
    schedule: Schedule = call_later
    requests: Window = field(default_factory=lambda: Window(1000))
    addresses: Window = field(default_factory=lambda: Window(5000))

    def now_ms(self) -> int:
        """The venue's clock as clients see it. Ask once per request: a fault may count the calls."""
        return self.exchange.now_ms() + self.strikes.skew_ms()
