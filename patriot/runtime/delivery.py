"""The routes on which events arrive. Rule: each delivery ends in SUCCESS, RETRY or DROP, as Dapr understands them."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from pydantic import ValidationError
from starlette.requests import Request
from starlette.responses import Response

from patriot.domain.errors import DomainError
from patriot.runtime.cloudevent import BINARY_PREFIX, CloudEvent, InvalidCloudEvent, decode, receive
from patriot.runtime.context import RequestContext
from patriot.store.api import AlreadyProcessed
from schemas.events import EVENTS
from schemas.reports import REPORTS
from schemas.topics import Topic
from schemas.types import Message
from schemas.upcasters import MalformedEvent, decode_event

BINARY_MARK = (BINARY_PREFIX + "specversion").encode()

Handler = Callable[..., Awaitable[Any]]

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Subscription:
    topic: Topic
    type: str
    handler: Handler

    @property
    def path(self) -> str:
        return f"/events/{self.topic.name}/{self.type}"


SUCCESS, RETRY, DROP = (
    Response(f'{{"status":"{status}"}}', media_type="application/json") for status in ("SUCCESS", "RETRY", "DROP")
)


def delivery(subscription: Subscription) -> Callable[[Request], Awaitable[Response]]:
    handler, decode_data = subscription.handler, _data_decoder(subscription.type)

    async def deliver(request: Request) -> Response:
        context: RequestContext = request.scope["patriot"]
        if not context.caller:
            return Response(status_code=403)
        try:
            event = context.event = await _event(request)
            if event.type != subscription.type:
                raise InvalidCloudEvent(f"type is {event.type!r}, this route takes {subscription.type!r}")
            context.origin = event.origin
            await handler(decode_data(event), context)
        except AlreadyProcessed:
            return SUCCESS
        except (InvalidCloudEvent, MalformedEvent, ValidationError, DomainError, ValueError) as error:
            log.warning("poison message", topic=subscription.topic.name, type=subscription.type, reason=str(error))
            return DROP
        except Exception as error:  # noqa: BLE001 - everything else may pass: the broker delivers again
            log.warning("delivery failed", topic=subscription.topic.name, type=subscription.type, reason=repr(error))
            return RETRY
        return SUCCESS

    return deliver


async def _event(request: Request) -> CloudEvent:
    body = await request.body()
    binary = any(name == BINARY_MARK for name, _ in request.scope["headers"])
    return receive(request.headers, body) if binary else decode(body)


def _data_decoder(name: str) -> Callable[[CloudEvent], Message]:
    if name in EVENTS:
        return lambda event: decode_event(event.type, event.schemaversion, bytes(event.data))
    report = REPORTS[name]
    return lambda event: report.model_validate_json(bytes(event.data))
