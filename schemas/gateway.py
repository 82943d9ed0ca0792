"""What the public edge demands of every request. The one policy: Kong's configuration is generated from it, and a
gateway of another make enforces the same.

Rule: a limit counts a user by the token's subject and a stranger by address, never a shared key.
"""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RateLimit:
    """Requests that one caller may make; a window of 0 is not limited."""

    per_minute: int
    per_hour: int


@dataclass(frozen=True, slots=True)
class TokenRule:
    """User tokens: ES256, found by the header `kid`; lifetime and issuer are verified at the edge and again inside."""

    algorithm: str = "ES256"
    key_claim: str = "kid"
    issuer: str = "patriot"
    seconds_max: int = 3600
    leeway_seconds: int = 0


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """Browsers of these origins may call with credentials; the wildcard is never allowed."""

    origins: tuple[str, ...] = ("https://admin.patriot-trading.com",)
    methods: tuple[str, ...] = ("GET", "POST", "PATCH", "DELETE", "OPTIONS")
    headers: tuple[str, ...] = ("Authorization", "Content-Type", "Idempotency-Key", "X-Correlation-ID")
    exposed: tuple[str, ...] = (
        "X-Correlation-ID",
        "X-Trace-ID",
        "RateLimit-Limit",
        "RateLimit-Remaining",
        "Retry-After",
    )
    max_age_seconds: int = 3600


@dataclass(frozen=True, slots=True)
class Health:
    """A check every 30 s, every second for what is down. A part that fails in traffic is taken out: circuit breaking.

    A part's own 503 trips nothing: it tells of the database, and its other routes may well answer.
    """

    path: str = "/healthz"
    interval_seconds: int = 30
    recovery_seconds: int = 1
    timeout_seconds: int = 1
    failures: int = 3
    trips: int = 10
    trip_statuses: tuple[int, ...] = (502, 504)


@dataclass(frozen=True, slots=True)
class Timeouts:
    """`read` bounds the slowest report; a command answers within milliseconds or not at all."""

    connect_ms: int = 1_000
    read_ms: int = 10_000
    retries_read: int = 2
    retries_write: int = 0
    """An order that may have arrived is never sent again by a machine that cannot know."""


@dataclass(frozen=True, slots=True)
class Policy:
    """All of it."""

    tokens: TokenRule = TokenRule()
    users: RateLimit = RateLimit(per_minute=1_000, per_hour=10_000)
    orders: RateLimit = RateLimit(per_minute=500, per_hour=10_000)
    cross_origin: CrossOrigin = CrossOrigin()
    health: Health = Health()
    timeouts: Timeouts = Timeouts()
    body_bytes_max: int = 64 * 1024
    user_header: str = "X-User-Id"
    correlation_header: str = "X-Correlation-ID"
    refused_headers: tuple[str, ...] = field(
        default=("X-Service-Token", "X-User-Id", "X-Forwarded-User", "dapr-api-token", "dapr-app-id", "Traceparent")
    )
    """What only the inside may say: taken off every request from outside."""


POLICY = Policy()
ORDER_PATHS = ("/orders", "/order-lists")
"""Whose writes fall under `Policy.orders`."""
