"""`Function` and `Feed`: HTTP routes, event handlers and (feeds) tasks, declared beside the code that serves them.

A Function is stateless: every request carries its runtime, so one import serves any number of hosts. The same routes
serve a Dapr sidecar, Knative and the embedded runtime:

    GET  /healthz, /dapr/subscribe       health; what this part subscribes to, as Dapr asks for it
    POST /events/<topic>/<type>          one CloudEvent; answers SUCCESS, RETRY or DROP (DROP = dead letter, unretried)
    ...  /api/v1/...                     the public routes
"""

import hashlib
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import structlog
from fastapi import APIRouter, Depends, FastAPI
from fastapi.routing import APIRoute
from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from patriot.domain.errors import DomainError
from patriot.runtime import problem
from patriot.runtime.cloudevent import CloudEvent, InvalidCloudEvent, receive
from patriot.runtime.context import INTERNAL, IdempotencyRequest, RequestContext
from patriot.runtime.strict_json import StrictRequest
from patriot.store.api import AlreadyProcessed, DuplicateRequest
from schemas.events import EVENTS, Event
from schemas.reports import REPORTS
from schemas.topics import DEAD_LETTER_SUFFIX, Topic
from schemas.types import Message
from schemas.upcasters import MalformedEvent, decode_event

PUBLIC_PREFIX = "/api/v1"
PUBSUB = "pubsub"
KEY_LENGTH_MAX = 128
TRANSIENT = frozenset({"conflict", "limits_changed"})  # "send it again": such an answer must not be kept

Handler = Callable[..., Awaitable[Any]]
HandlerType = TypeVar("HandlerType", bound=Handler)
TaskType = TypeVar("TaskType", bound=Callable[[RequestContext], Awaitable[None]])

log = structlog.get_logger()


async def _context(request: Request) -> RequestContext:
    context: RequestContext = request.scope["patriot"]
    return context


Context = Annotated[RequestContext, Depends(_context)]
"""Annotate a handler's parameter with this to receive the request's context."""


@dataclass(frozen=True, slots=True)
class Subscription:
    topic: Topic
    type: str
    handler: Handler

    @property
    def path(self) -> str:
        return f"/events/{self.topic.name}/{self.type}"


class Function:
    """A small stateless HTTP app. `name` is the app id; `publishes` names the events that it may append."""

    def __init__(self, name: str, *, publishes: Sequence[type[Event]] = ()) -> None:
        self.name = name
        self.publishes = tuple(publishes)
        self.router = APIRouter(tags=[name])
        self.internal = APIRouter(tags=[name], include_in_schema=False)
        self.subscriptions: list[Subscription] = []
        self._app: FastAPI | None = None

    # --- declaring ---
    def get(self, path: str, *, needs: str | None, **options: Any) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "GET", path, needs, options)

    def post(
        self, path: str, *, needs: str | None, idempotent: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "POST", path, needs, options, idempotent=idempotent)

    def patch(
        self, path: str, *, needs: str | None, idempotent: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "PATCH", path, needs, options, idempotent=idempotent)

    def delete(
        self, path: str, *, needs: str | None, idempotent: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "DELETE", path, needs, options, idempotent=idempotent)

    def invoked(self, path: str, **options: Any) -> Callable[[HandlerType], HandlerType]:
        """A POST route for other parts only (service token); unreachable from the public edge."""
        return self._route(self.internal, "POST", path, INTERNAL, options)

    def on(self, topic: Topic, *types: type[Message]) -> Callable[[HandlerType], HandlerType]:
        """Handle these event or report types of a topic: `async def handler(event, context)`."""

        def register(handler: HandlerType) -> HandlerType:
            for kind in types:
                name: str = kind.TYPE  # type: ignore[attr-defined]  # events and reports both have one
                assert name in topic.types, f"{name} does not travel on {topic.name}: see schemas/topics.py"
                self.subscriptions.append(Subscription(topic, name, handler))
            return handler

        return register

    def _route(
        self,
        router: APIRouter,
        method: str,
        path: str,
        needs: str | None,
        options: dict[str, Any],
        *,
        idempotent: bool = False,
    ) -> Callable[[HandlerType], HandlerType]:
        status: int = options.get("status_code", 200)
        secured = type("Secured", (SecuredRoute,), {"needs": needs, "idempotent": idempotent, "success": status})

        def register(handler: HandlerType) -> HandlerType:
            router.add_api_route(path, handler, methods=[method], route_class_override=secured, **options)
            return handler

        return register

    # --- serving ---
    @property
    def app(self) -> FastAPI:
        """All routes of this part. Serve it behind `Edge`, which gives every request its context."""
        if self._app is None:
            self._app = self._build()
        return self._app

    def _build(self) -> FastAPI:
        app = FastAPI(title=self.name, docs_url=None, redoc_url=None, redirect_slashes=False)
        app.include_router(self.router, prefix=PUBLIC_PREFIX)
        app.include_router(self.internal)
        app.router.routes.append(Route("/healthz", _healthy))
        app.router.routes.append(Route("/dapr/subscribe", self._subscribe))
        for subscription in self.subscriptions:
            app.router.routes.append(Route(subscription.path, _delivery(subscription), methods=["POST"]))
        add_problem_handlers(app)
        return app

    async def _subscribe(self, _: Request) -> Response:
        return JSONResponse(self.dapr_subscriptions())

    def dapr_subscriptions(self) -> list[dict[str, Any]]:
        """Dapr's programmatic subscriptions: one per topic, one rule per event type."""
        topics = {subscription.topic.name: subscription.topic for subscription in self.subscriptions}
        return [
            {
                "pubsubname": PUBSUB,
                "topic": name,
                "deadLetterTopic": name + DEAD_LETTER_SUFFIX,
                "routes": {
                    "rules": [
                        {"match": f'event.type == "{entry.type}"', "path": entry.path}
                        for entry in self.subscriptions
                        if entry.topic.name == name
                    ]
                },
            }
            for name in topics
        ]


class Feed(Function):
    """An always-on part: a Function that also runs tasks for as long as the host lives."""

    def __init__(self, name: str, *, publishes: Sequence[type[Event]] = ()) -> None:
        super().__init__(name, publishes=publishes)
        self.tasks: list[Callable[[RequestContext], Awaitable[None]]] = []

    def task(self, action: TaskType) -> TaskType:
        """Run `action(context)` while the host lives; it is started again, with backoff, when it fails."""
        self.tasks.append(action)
        return action


class SecuredRoute(APIRoute):
    """Authorises before the body is read; every error leaves as a problem; idempotent answers replay."""

    needs: str | None = None
    idempotent = False
    success = 200

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = super().get_route_handler()

        async def secured(request: Request) -> Response:
            context: RequestContext = request.scope["patriot"]
            try:
                if self.needs is not None:
                    context.require(self.needs)
                strict = StrictRequest(request.scope, request.receive)
                _check_parameters(strict)
                if await strict.body() and self.body_field is not None:
                    _check_content_type(strict)
                if self.idempotent:
                    await self._idempotency(context, strict)
                return await handler(strict)
            except DuplicateRequest as error:
                return _replay(context, error)
            except Exception as error:  # noqa: BLE001 - the edge answers every error, as a problem
                return await self._refuse(context, error)

        return secured

    async def _idempotency(self, context: RequestContext, request: Request) -> None:
        key = request.headers.get("idempotency-key")
        if key is None:
            return
        if not 1 <= len(key) <= KEY_LENGTH_MAX or not key.isprintable():
            rule = f"must have 1 to {KEY_LENGTH_MAX} printable characters"
            raise problem.ProblemError(
                400, "invalid_idempotency_key", f"Idempotency-Key {rule}", [("idempotency-key", rule)]
            )
        target = f"{request.method} {request.url.path}"
        digest = hashlib.sha256(target.encode() + b"\n" + await request.body()).digest()
        context.idempotency = IdempotencyRequest(f"{request.method} {self.path}", key, digest, self.success)

    async def _refuse(self, context: RequestContext, error: Exception) -> Response:
        refusal = problem.of_exception(error)
        if refusal.status >= 500:
            log.error("request failed", exc_info=error, path=self.path)
        body = problem.body(refusal, context.origin.correlation_id)
        if context.idempotency is not None and refusal.status < 500 and refusal.code not in TRANSIENT:
            try:
                await context.remember(refusal.status, body)
            except DuplicateRequest as duplicate:
                return _replay(context, duplicate)
        return Response(body, refusal.status, media_type=problem.MEDIA_TYPE)


def _check_parameters(request: Request) -> None:
    """A null character means nothing anywhere, and the database takes none."""
    query = request.query_params.multi_items() if request.scope["query_string"] else ()
    for name, value in (*request.path_params.items(), *query):
        if "\0" in name or "\0" in str(value):
            rule = "must not contain a null character"
            raise problem.ProblemError(400, "invalid_request", f"the address {rule}", [(name.replace("\0", ""), rule)])


def _check_content_type(request: Request) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != "application/json":
        rule = "must be application/json"
        raise problem.ProblemError(415, "unsupported_media_type", f"Content-Type {rule}", [("content-type", rule)])


def add_problem_handlers(app: FastAPI) -> None:
    """Unknown paths and wrong methods are problems too."""

    async def handle(request: Request, error: Exception) -> Response:
        context: RequestContext = request.scope["patriot"]
        refusal = problem.of_exception(error)
        headers = error.headers if isinstance(error, HTTPException) else None
        body = problem.body(refusal, context.origin.correlation_id)
        return Response(body, refusal.status, headers, problem.MEDIA_TYPE)

    app.add_exception_handler(HTTPException, handle)


def _replay(context: RequestContext, error: DuplicateRequest) -> Response:
    record = error.record
    if context.idempotency is not None and record.body_hash != context.idempotency.body_hash:
        refusal = problem.ProblemError(
            422, "idempotency_key_reused", "this Idempotency-Key was used for another request; take a new one"
        )
        body = problem.body(refusal, context.origin.correlation_id)
        return Response(body, refusal.status, media_type=problem.MEDIA_TYPE)
    media = "application/json" if record.status < 400 else problem.MEDIA_TYPE
    return Response(record.response, record.status, {"Idempotent-Replay": "true"}, media)


async def _healthy(_: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


SUCCESS, RETRY, DROP = (f'{{"status":"{status}"}}'.encode() for status in ("SUCCESS", "RETRY", "DROP"))


def _delivery(subscription: Subscription) -> Callable[[Request], Awaitable[Response]]:
    handler, decode_data = subscription.handler, _data_decoder(subscription.type)

    async def deliver(request: Request) -> Response:
        context: RequestContext = request.scope["patriot"]
        if not context.caller:
            return Response(status_code=403)
        try:
            event = context.event = receive(request.headers, await request.body())
            if event.type != subscription.type:
                raise InvalidCloudEvent(f"type is {event.type!r}, this route takes {subscription.type!r}")
            context.origin = event.origin
            await handler(decode_data(event), context)
        except AlreadyProcessed:
            return _status(SUCCESS)
        except (InvalidCloudEvent, MalformedEvent, ValidationError, DomainError, ValueError) as error:
            log.warning("poison message", topic=subscription.topic.name, type=subscription.type, reason=str(error))
            return _status(DROP)
        except Exception as error:  # noqa: BLE001 - everything else may pass: the broker delivers again
            log.warning("delivery failed", topic=subscription.topic.name, type=subscription.type, reason=repr(error))
            return _status(RETRY)
        return _status(SUCCESS)

    return deliver


def _data_decoder(name: str) -> Callable[[CloudEvent], Message]:
    if name in EVENTS:
        return lambda event: decode_event(event.type, event.schemaversion, bytes(event.data))
    report = REPORTS[name]
    return lambda event: report.model_validate_json(bytes(event.data))


def _status(body: bytes) -> Response:
    return Response(body, media_type="application/json")
