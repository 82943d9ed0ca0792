"""The outermost layer of every app: correlation, identity, body limit, metrics. Gives each request its context.

A user comes with `Authorization: Bearer <ES256 token>`; another part of the platform with `X-Service-Token` (HS256),
which may name the user on whose behalf it calls. A broken token is refused here; a missing one makes the caller
anonymous, and the route's permission decides.
"""

from typing import Any
from uuid import UUID

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from patriot.runtime import problem
from patriot.runtime.context import RequestContext
from patriot.runtime.ports import Runtime
from patriot.security.errors import TokenRefused
from patriot.security.roles import Identity, Role
from patriot.store.api import PUBLIC_TENANT, Origin
from patriot.telemetry.correlation import accept_correlation_id, correlated, new_correlation_id
from patriot.telemetry.metrics import metrics
from patriot.telemetry.tracing import TRACE_PARENT, span
from patriot.telemetry.work import finished

LENGTH_DIGITS_MAX = 18
PROBES = frozenset({"/healthz", "/metrics", "/dapr/subscribe"})  # of the cluster, which makes no ids
BAD_REQUEST, SERVER_ERROR = 400, 500


class Edge:
    """ASGI middleware around one part's app, or around the public app of all parts."""

    def __init__(self, app: ASGIApp, runtime: Runtime, service: str) -> None:
        self._app = app
        self._runtime = runtime
        self._service = service
        self._access = runtime.access
        self._body_bytes_max = runtime.settings.body_bytes_max
        self.active = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        context = self._context(headers, scope["path"])
        scope["patriot"] = context
        started = self._runtime.clock.monotonic()
        answer = _Answer(send, context.origin.correlation_id)
        self.active += 1
        try:
            with correlated(context.origin.correlation_id, self._service):
                try:
                    await self._traced(scope, receive, answer, headers, context)
                finally:
                    self._told(scope, answer.status, self._runtime.clock.monotonic() - started, context)
        finally:
            self.active -= 1

    def _told(self, scope: Scope, status: int, seconds: float, context: RequestContext) -> None:
        method, route = scope["method"], _route(scope)
        metrics.http(self._service, method, route, status).observe(seconds, context.origin.correlation_id)
        if scope["path"] not in PROBES:
            asked = method == "GET" and status < BAD_REQUEST
            finished(f"{method} {route}", seconds, failed=status >= SERVER_ERROR, asked=asked, status=status)

    async def _traced(
        self, scope: Scope, receive: Receive, answer: "_Answer", headers: dict[bytes, bytes], context: RequestContext
    ) -> None:
        parent = headers.get(TRACE_PARENT.encode(), b"").decode("latin-1")
        with span(self._service, scope["method"], "server", parent) as current:
            await self._handle(scope, receive, answer, headers, context)
            current.tell(name=f"{scope['method']} {_route(scope)}", http__response__status_code=answer.status)
            if answer.status >= SERVER_ERROR:
                current.fail(f"status {answer.status}")

    async def _handle(
        self, scope: Scope, receive: Receive, answer: "_Answer", headers: dict[bytes, bytes], context: RequestContext
    ) -> None:
        try:
            caller = self._access.authenticate(self._service, headers)
        except TokenRefused as refused:
            metrics.tokens_refused(self._service, refused.kind).inc()
            await answer.refuse(problem.unauthenticated())
            return
        context.identity, context.caller = caller.identity, caller.service
        tenant = caller.identity.tenant_id if caller.identity else PUBLIC_TENANT
        context.origin = Origin(tenant, caller.actor, context.origin.correlation_id)
        refusal = _length_refused(headers.get(b"content-length", b"0"), self._body_bytes_max)
        if refusal is not None:
            await answer.refuse(refusal)
            return
        await self._app(scope, _limited(receive, self._body_bytes_max), answer)

    def _context(self, headers: dict[bytes, bytes], path: str) -> RequestContext:
        given = headers.get(b"x-correlation-id", b"").decode("latin-1")
        if not given and path not in PROBES:
            metrics.without_correlation_id(self._service).inc()
        runtime = self._runtime
        identifier = accept_correlation_id(given, runtime.clock, runtime.ids)
        return RequestContext(runtime, self._service, Origin(PUBLIC_TENANT, "", identifier))


class _Answer:
    """The `send` of one request: adds the correlation headers and remembers the status."""

    def __init__(self, send: Send, correlation_id: str) -> None:
        self._send = send
        self._correlation_id = correlation_id
        self.status = 500

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            value = self._correlation_id.encode("latin-1")
            message["headers"] = [*message["headers"], (b"x-correlation-id", value), (b"x-trace-id", value)]
        await self._send(message)

    async def refuse(self, refusal: problem.ProblemError) -> None:
        body = problem.body(refusal, self._correlation_id)
        headers = [(b"content-type", problem.MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
        await self({"type": "http.response.start", "status": refusal.status, "headers": headers})
        await self({"type": "http.response.body", "body": body})


def _limited(receive: Receive, bytes_max: int) -> Receive:
    """A body without a length, or with a wrong one, is cut off at the limit too."""
    received = 0

    async def limited() -> Message:
        nonlocal received
        message = await receive()
        received += len(message.get("body", b""))
        if received > bytes_max:
            raise _too_large(bytes_max)
        return message

    return limited


def _length_refused(declared: bytes, bytes_max: int) -> problem.ProblemError | None:
    if not (declared.isdigit() and len(declared) <= LENGTH_DIGITS_MAX):
        rule = "must be a number of bytes"
        return problem.ProblemError(400, "invalid_header", f"Content-Length {rule}", [("content-length", rule)])
    return _too_large(bytes_max) if int(declared) > bytes_max else None


def _too_large(bytes_max: int) -> problem.ProblemError:
    rule = f"must not be larger than {bytes_max} bytes"
    return problem.ProblemError(413, "body_too_large", f"the body {rule}", [("body", rule)])


def _route(scope: Scope) -> str:
    route: Any = scope.get("route")
    return getattr(route, "path", "unmatched")


def system_context(runtime: Runtime, service: str, tenant_id: UUID = PUBLIC_TENANT) -> RequestContext:
    """The context of a feed's task: no user, a correlation id of its own."""
    identifier = new_correlation_id(runtime.clock, runtime.ids)
    return RequestContext(runtime, service, Origin(tenant_id, f"service:{service}", identifier))


def user_context(runtime: Runtime, service: str, tenant_id: UUID, user_id: UUID) -> RequestContext:
    """The context in which a feed acts for a user: what a strategy does, it does with its owner's rights."""
    identity = Identity.of(user_id, tenant_id, Role.USER, f"service:{service}")
    context = system_context(runtime, service, tenant_id)
    context.identity = identity
    return context
