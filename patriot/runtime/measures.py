"""What orders tell about the platform. Rule: measured where events become durable, so each counts once.

A stage of an order's way lasts from its event before to the one that ends it: "route", "send", "answer" (of the venue).
"total" is from creation to the venue's answer, of orders that the platform did not hold back. Once it has answered, an
order lasts as long as the market likes.

At the level debug each event is logged with all that it says.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import orjson
import structlog

from patriot.domain.order import Order
from patriot.runtime.decision import After
from patriot.store.api import RecordedEvent
from patriot.telemetry.logs import debugging
from patriot.telemetry.metrics import metrics

UNANSWERED: Final = frozenset({"submitted", "unknown"})
VENUE_REJECTED = "venue_rejected"

log = structlog.get_logger()


def measure(service: str, states: Sequence[After], recorded: Sequence[RecordedEvent]) -> None:
    """Count what a commit made durable."""
    for event in recorded:
        metrics.events(event.type).inc()
        if debugging():
            log.debug(event.type, id=event.id, data=orjson.loads(event.data))
    for loaded, _, state in states:
        if isinstance(state, Order) and isinstance(loaded.state, Order):
            _order(service, loaded.state, state)


def _order(service: str, before: Order, now: Order) -> None:
    for stage, seconds in stages(before, now).items():
        metrics.order_processing(service, stage).observe(seconds)
    if now.status == "rejected" != before.status:
        metrics.orders_failed(service, VENUE_REJECTED).inc()
    if now.filled_value > before.filled_value:
        venue, _, symbol = now.instrument.partition(":")
        currency = symbol.partition("/")[2].partition(":")[0]
        metrics.traded_value(venue, currency).inc(float(now.filled_value - before.filled_value))


def stages(before: Order, now: Order) -> Mapping[str, float]:
    """The seconds of the stages that end with the step from `before` to `now`."""
    step = (now.updated_at - before.updated_at).total_seconds()
    if now.route and not before.route:
        return {"route": step}
    if before.status == "pending" and now.status == "submitted":
        return {"send": step}
    if before.status not in UNANSWERED or now.status in UNANSWERED:
        return {}
    if before.emulated or before.link:
        return {"answer": step}
    return {"answer": step, "total": (now.updated_at - before.created_at).total_seconds()}
