"""How events arrive. Rule: each delivery ends in SUCCESS, RETRY or DROP, as Dapr understands them.

A `Receiver` is what every message goes through. A sidecar reaches it by a route, with bytes and a service token; the
embedded broker, which hosts the part, hands it the event itself.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from patriot.domain.errors import DomainError
from patriot.runtime.cloudevent import BINARY_PREFIX, CloudEvent, InvalidCloudEvent, decode
from patriot.runtime.cloudevent import receive as read_request
from patriot.runtime.context import RequestContext
from patriot.runtime.messages import decoded
from patriot.store.api import AlreadyProcessed
from patriot.telemetry.metrics import metrics
from patriot.telemetry.tracing import span
from patriot.telemetry.work import finished
from schemas.topics import LESSENS_RISK, Topic
from schemas.upcasters import MalformedEvent

BINARY_MARK = (BINARY_PREFIX + "specversion").encode()

Handler = Callable[..., Awaitable[Any]]
Verdict = Literal["SUCCESS", "RETRY", "DROP"]
Receiver = Callable[[CloudEvent, RequestContext], Awaitable[Verdict]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subscription:
    """`newest`: the handler looks at the aggregate as it is now, so of several events the newest will do."""

    topic: Topic
    type: str
    handler: Handler
    newest: bool = False

    @property
    def path(self) -> str:
        return f"/events/{self.topic.name}/{self.type}"


ANSWERS: dict[Verdict, Response] = {
    verdict: Response(f'{{"status":"{verdict}"}}', media_type="application/json")
    for verdict in ("SUCCESS", "RETRY", "DROP")
}


def receiver(subscription: Subscription) -> Receiver:
    """Hand the event to the subscription's handler, and judge how that ended."""
    handler = subscription.handler
    name, first = f"handle {subscription.type}", subscription.type in LESSENS_RISK
    topic = subscription.topic.name

    async def judged(event: CloudEvent, context: RequestContext) -> Verdict:
        try:
            if event.type != subscription.type:
                raise InvalidCloudEvent(f"type is {event.type!r}, this route takes {subscription.type!r}")
            context.event, context.origin, context.first = event, event.origin, first
            await handler(decoded(event.type, event.schemaversion, bytes(event.data)), context)
        except AlreadyProcessed:
            return "SUCCESS"
        except (InvalidCloudEvent, MalformedEvent, ValidationError, DomainError, ValueError) as error:
            log.warning("poison message", topic=topic, type=subscription.type, reason=str(error))
            return "DROP"
        except Exception as error:  # noqa: BLE001 - everything else may pass: the broker delivers again
            log.warning("delivery failed", topic=topic, type=subscription.type, reason=repr(error))
            return "RETRY"
        return "SUCCESS"

    async def receive(event: CloudEvent, context: RequestContext) -> Verdict:
        monotonic = context.runtime.clock.monotonic
        started = monotonic()
        with span(context.service, name, "consumer", event.traceparent) as current:
            verdict = await judged(event, context)
            if verdict != "SUCCESS":
                current.fail(verdict)
        metrics.deliveries(context.service, topic, verdict).inc()
        finished(name, monotonic() - started, verdict=verdict)
        return verdict

    return receive if subscription.topic.durable else judged  # a price is no operation


def endpoint(receive: Receiver) -> Callable[[Request], Awaitable[Response]]:
    """The route of a receiver; for parts of the platform only."""

    async def deliver(request: Request) -> Response:
        context: RequestContext = request.scope["patriot"]
        if not context.caller:
            return Response(status_code=403)
        try:
            event = await event_of(request)
        except InvalidCloudEvent as error:
            log.warning("poison message", path=request.url.path, reason=str(error))
            return ANSWERS["DROP"]
        return ANSWERS[await receive(event, context)]

    return deliver


async def event_of(request: Request) -> CloudEvent:
    """The event of an HTTP delivery, in structured or binary mode. Raises InvalidCloudEvent."""
    body = await request.body()
    binary = any(name == BINARY_MARK for name, _ in request.scope["headers"])
    return read_request(request.headers, body) if binary else decode(body)
