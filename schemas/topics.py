"""Who tells whom: every topic with its key, retention, event types, publishers and consumers. The one table.

Partitions and retention of the first four are the decision record's; the others follow their neighbours.
`durable` topics carry what must not be lost: publishing returns only when the message is safe. Market data is not
durable: the newest value wins, and a full queue drops the oldest.

`pubsub` is the component that carries the topic; which broker that is, its file under `components/` says. By default
"events" and "market" are Kafka, "work" (what people wait for: notifications, long-running jobs) is RabbitMQ, "internal"
(small, quick, between parts) is NATS. On one machine all four are Redis.
"""

from dataclasses import dataclass

import schemas.settlement_events
import schemas.strategy_events  # noqa: F401 - both enter their events
from schemas.algorithm_events import AlgorithmEvent
from schemas.events import EVENTS, OrderCancelRequested, SettingChanged
from schemas.risk_events import (
    RiskAlertCleared,
    RiskAlertRaised,
    RiskDenied,
    RiskHalted,
    RiskLimitsChanged,
    RiskResumed,
)

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class Topic:
    """`key` names the field that orders messages within a partition."""

    name: str
    key: str
    partitions: int
    retention_ms: int
    types: tuple[str, ...]
    publishers: tuple[str, ...]
    consumers: tuple[str, ...]
    durable: bool = True
    pubsub: str = "events"


def _types(prefix: str) -> tuple[str, ...]:
    return tuple(sorted(name for name in EVENTS if name.startswith(prefix)))


MARKET_PRICES = Topic(
    "market.data.prices",
    "symbol",
    12,
    DAY_MS,
    ("market.price", "market.instrument", "market.analysis"),
    ("market-data", "trading-engine"),
    (),
    durable=False,
    pubsub="market",
)
MARKET_ORDERBOOK = Topic(
    "market.data.orderbook",
    "symbol",
    12,
    DAY_MS,
    ("market.book",),
    ("market-data",),
    (),
    durable=False,
    pubsub="market",
)
MARKET_TRADES = Topic(
    "market.data.trades",
    "symbol",
    12,
    DAY_MS,
    ("market.trade", "market.bar"),
    ("market-data",),
    (),
    durable=False,
    pubsub="market",
)
ORDER_COMMANDS = Topic(
    "order.commands", "user_id", 6, 30 * DAY_MS, ("order.command",), ("strategies",), (), pubsub="internal"
)
ORDER_EVENTS = Topic(
    "order.events",
    "user_id",
    6,
    30 * DAY_MS,
    _types("order."),
    ("order-commands", "order-routing", "order-execution", "order-lifecycle", "order-lists", "triggers"),
    ("order-lists", "order-routing", "order-execution", "portfolio-projection", "strategies", "triggers"),
)
ORDER_STATUS = Topic(
    "order.status",
    "user_id",
    6,
    30 * DAY_MS,
    ("venue.report",),
    ("order-execution", "account-data"),
    ("order-lifecycle",),
)
ACCOUNT_EVENTS = Topic(
    "account.events",
    "user_id",
    6,
    90 * DAY_MS,
    (*_types("account."), *_types("position."), "venue.balances"),
    ("account-commands", "order-lifecycle", "account-data", "settlement"),
    ("account-data", "portfolio-projection", "settlement", "strategies", "venue"),
)
USER_EVENTS = Topic(
    "user.events", "user_id", 6, 90 * DAY_MS, (*_types("user."), SettingChanged.TYPE), ("auth", "user-commands"), ()
)
STRATEGY_EVENTS = Topic(
    "strategy.events",
    "user_id",
    6,
    90 * DAY_MS,
    (*_types("strategy."), *_types(f"{AlgorithmEvent.STREAM}.")),
    ("strategy-commands", "trading-engine"),
    ("strategy-commands",),
)
RISK_EVENTS = Topic(
    "risk.events",
    "user_id",
    3,
    365 * DAY_MS,
    (RiskDenied.TYPE, RiskHalted.TYPE, RiskLimitsChanged.TYPE, RiskResumed.TYPE),
    ("order-commands", "risk-checks", "user-commands"),
    (),
)
RISK_ALERTS = Topic(
    "risk.alerts",
    "user_id",
    3,
    365 * DAY_MS,
    (RiskAlertCleared.TYPE, RiskAlertRaised.TYPE),
    ("risk-checks",),
    (),
    pubsub="work",
)
RISK_METRICS = Topic("risk.metrics", "user_id", 3, 365 * DAY_MS, ("risk.metrics",), ("risk-checks",), ())
COMPLIANCE_EVENTS = Topic(
    "compliance.events", "user_id", 3, 365 * DAY_MS, _types("compliance."), ("user-commands",), ()
)

TOPICS: dict[str, Topic] = {
    topic.name: topic
    for topic in (
        MARKET_PRICES,
        MARKET_ORDERBOOK,
        MARKET_TRADES,
        ORDER_COMMANDS,
        ORDER_EVENTS,
        ORDER_STATUS,
        ACCOUNT_EVENTS,
        USER_EVENTS,
        STRATEGY_EVENTS,
        RISK_EVENTS,
        RISK_ALERTS,
        RISK_METRICS,
        COMPLIANCE_EVENTS,
    )
}

TOPIC_OF: dict[str, Topic] = {name: topic for topic in TOPICS.values() for name in topic.types}
"""Event or report type -> its topic."""

LESSENS_RISK = frozenset({OrderCancelRequested.TYPE})
"""These types go before all others wherever messages wait."""

PUBSUBS = tuple(sorted({topic.pubsub for topic in TOPICS.values()}))

DEAD_LETTER_SUFFIX = ".dead"
