"""`Function` and `Feed`: HTTP routes, event handlers and (feeds) tasks, declared beside the code that serves them.

A Function is stateless: every request carries its runtime, so one import serves any number of hosts. The same routes
serve a Dapr sidecar, Knative and the embedded runtime:

    GET  /healthz, /dapr/subscribe       health; what this part subscribes to, as Dapr asks for it
    GET  /healthz/work                   503 while this process stands by: events and calls belong to who leads
    GET  /metrics                        for Prometheus
    POST /events/<topic>/<type>          one CloudEvent; answers SUCCESS, RETRY or DROP (DROP = dead letter, unretried)
    ...  /api/v1/...                     the public routes
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Annotated, Any, TypeVar

from fastapi import APIRouter, Depends, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from patriot.runtime.context import INTERNAL, RequestContext
from patriot.runtime.delivery import ANSWERS, Handler, Receiver, Subscription, endpoint, receiver
from patriot.runtime.direct import Direct, Endpoint, context_of, plain_handler
from patriot.runtime.schedules import Schedule
from patriot.runtime.secured import SecuredRoute, add_problem_handlers
from patriot.telemetry.metrics import metrics
from schemas.events import Event
from schemas.topics import DEAD_LETTER_SUFFIX, Topic
from schemas.types import Message

PUBLIC_PREFIX = "/api/v1"
WORK_PATH = "/healthz/work"
OTHER_TYPES = "/events/other"  # a sidecar would bury what no route takes

HandlerType = TypeVar("HandlerType", bound=Handler)
TaskType = TypeVar("TaskType", bound=Callable[[RequestContext], Awaitable[None]])

Context = Annotated[RequestContext, Depends(context_of)]
"""Annotate a handler's parameter with this to receive the request's context."""


class Function:
    """A small stateless HTTP app. `name` is the app id; `publishes` names the events that it may append.

    `shows`: its handlers only keep read models. They need no order, and those who move orders go first.
    `trades`: it talks to venues, so its process opens their routes.
    """

    def __init__(
        self, name: str, *, publishes: Sequence[type[Event]] = (), shows: bool = False, trades: bool = False
    ) -> None:
        self.name = name
        self.trades = trades
        self.publishes = tuple(publishes)
        self.shows = shows
        self.router = APIRouter(tags=[name])
        self.internal = APIRouter(tags=[name], include_in_schema=False)
        self.subscriptions: list[Subscription] = []
        self.schedules: list[Schedule] = []
        self._app: FastAPI | None = None

    # --- declaring ---
    def get(
        self, path: str, *, needs: str | None, report: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        """`report`: its answer would be as good some seconds late, so a replica of the database may find its rows."""
        return self._route(self.router, "GET", path, needs, options, report=report)

    def post(
        self, path: str, *, needs: str | None, idempotent: bool = False, first: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        """`first`: it lessens risk, so it goes before everything else wherever things wait."""
        return self._route(self.router, "POST", path, needs, options, idempotent=idempotent, first=first)

    def patch(
        self, path: str, *, needs: str | None, idempotent: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "PATCH", path, needs, options, idempotent=idempotent)

    def delete(
        self, path: str, *, needs: str | None, idempotent: bool = False, first: bool = False, **options: Any
    ) -> Callable[[HandlerType], HandlerType]:
        return self._route(self.router, "DELETE", path, needs, options, idempotent=idempotent, first=first)

    def invoked(self, path: str, **options: Any) -> Callable[[HandlerType], HandlerType]:
        """A POST route for other parts only (service token); unreachable from the public edge."""
        return self._route(self.internal, "POST", path, INTERNAL, options)

    def on(self, topic: Topic, *types: type[Message], newest: bool = False) -> Callable[[HandlerType], HandlerType]:
        """Handle these event or report types of a topic: `async def handler(event, context)`.

        `newest`: the handler looks at the aggregate as it is now, so of several events that wait the newest will do.
        """

        def register(handler: HandlerType) -> HandlerType:
            for kind in types:
                name: str = kind.TYPE  # type: ignore[attr-defined]  # events and reports both have one
                assert name in topic.types, f"{name} does not travel on {topic.name}: see schemas/topics.py"
                self.subscriptions.append(Subscription(topic, name, handler, newest))
            return handler

        return register

    def every(self, setting: str) -> Callable[[TaskType], TaskType]:
        """Run `action(context)` as often as the setting says, in one replica at a time."""

        def register(action: TaskType) -> TaskType:
            self.schedules.append(Schedule(self.name, setting, action))
            return action

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
        first: bool = False,
        report: bool = False,
    ) -> Callable[[HandlerType], HandlerType]:
        status: int = options.get("status_code", 200)
        guarded = {"needs": needs, "idempotent": idempotent, "first": first, "report": report, "success": status}
        secured = type("Secured", (SecuredRoute,), guarded)

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

    @cached_property
    def served(self) -> ASGIApp:
        """`app`, with the short way to deliveries and plain routes in front of it."""
        deliveries = ((route.path, route, deliver) for route, deliver in self._deliveries())
        return Direct(self.app, [*self.plain_routes, *deliveries])

    @cached_property
    def plain_routes(self) -> Sequence[tuple[str, Route, Endpoint]]:
        """The public routes that may be called the short way, under their whole path."""
        return [
            (PUBLIC_PREFIX + route.path, route, route.get_route_handler())
            for route in self.router.routes
            if isinstance(route, SecuredRoute) and plain_handler(route) is not None
        ]

    def _build(self) -> FastAPI:
        app = FastAPI(title=self.name, docs_url=None, redoc_url=None, redirect_slashes=False)
        app.include_router(self.router, prefix=PUBLIC_PREFIX)
        app.include_router(self.internal)
        app.router.routes.append(Route("/healthz", _healthy))
        app.router.routes.append(Route(WORK_PATH, _works))
        app.router.routes.append(Route("/metrics", metrics_page))
        app.router.routes.append(Route("/dapr/subscribe", self._subscribe))
        app.router.routes.append(Route(OTHER_TYPES, _let_pass, methods=["POST"]))
        app.router.routes.extend(route for route, _ in self._deliveries())
        add_problem_handlers(app)
        return app

    def _deliveries(self) -> Iterator[tuple[Route, Endpoint]]:
        for path, receive in self.receivers.items():
            deliver = endpoint(receive)
            yield Route(path, deliver, methods=["POST"]), deliver

    @cached_property
    def receivers(self) -> Mapping[str, Receiver]:
        """What a delivery on each path goes through."""
        return {subscription.path: receiver(subscription) for subscription in self.subscriptions}

    async def _subscribe(self, _: Request) -> Response:
        return JSONResponse(self.dapr_subscriptions())

    def dapr_subscriptions(self) -> list[dict[str, Any]]:
        """Dapr's programmatic subscriptions: one per topic, one rule per event type; other types are let pass."""
        topics = {subscription.topic.name: subscription.topic for subscription in self.subscriptions}
        return [
            {
                "pubsubname": topic.pubsub,
                "topic": name,
                "deadLetterTopic": name + DEAD_LETTER_SUFFIX,
                "routes": {
                    "rules": [
                        {"match": f'event.type == "{entry.type}"', "path": entry.path}
                        for entry in self.subscriptions
                        if entry.topic.name == name
                    ],
                    "default": OTHER_TYPES,
                },
            }
            for name, topic in topics.items()
        ]


class Feed(Function):
    """An always-on part: a Function that also runs tasks for as long as the host lives.

    Of several processes one runs them, by a lease (see `supervision.py`), unless it says otherwise:

    `on_ticks`: it meets others on the `ticks` port, so all of these share one process.
    `source`: it makes ticks and prices, which an embedded process keeps to itself: there each has its own.
    `everywhere`: every process runs it; it divides its work by leases of its own.
    """

    def __init__(
        self,
        name: str,
        *,
        publishes: Sequence[type[Event]] = (),
        trades: bool = False,
        on_ticks: bool = False,
        source: bool = False,
        everywhere: bool = False,
    ) -> None:
        super().__init__(name, publishes=publishes, trades=trades)
        self.on_ticks, self.source, self.everywhere = on_ticks, source, everywhere
        self.tasks: list[Callable[[RequestContext], Awaitable[None]]] = []

    def task(self, action: TaskType) -> TaskType:
        """Run `action(context)` while this process leads; it is started again, with backoff, when it fails."""
        self.tasks.append(action)
        return action


async def _let_pass(_: Request) -> Response:
    return ANSWERS["SUCCESS"]


async def metrics_page(request: Request) -> Response:
    """The metrics of this process."""
    content_type, body = metrics.exposition(request.headers.get("accept", ""))
    return Response(body, media_type=content_type)


async def _healthy(_: Request) -> Response:
    return Response(b'{"status":"ok"}', media_type="application/json")


async def _works(request: Request) -> Response:
    waits_for = (await context_of(request)).runtime.waits_for
    if waits_for:
        return JSONResponse({"status": "standing by", "for": sorted(waits_for)}, 503)
    return Response(b'{"status":"ok"}', media_type="application/json")
