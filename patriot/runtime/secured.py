"""How every public route is guarded: who may, what may come in, what goes out. Rule: no exception leaves a route."""

import hashlib
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from patriot.runtime import problem
from patriot.runtime.admission import ADDS_RISK, OVERLOADED, Admission
from patriot.runtime.context import IdempotencyRequest, RequestContext
from patriot.runtime.direct import Endpoint, plain_handler
from patriot.runtime.strict_json import StrictRequest
from patriot.store.api import DuplicateRequest, Report, StoreUnavailable
from patriot.telemetry.correlation import working_as
from patriot.telemetry.metrics import metrics
from patriot.telemetry.tracing import step

KEY_LENGTH_MAX = 128
SERVER_ERROR = 500
TRANSIENT = frozenset({"conflict", "limits_changed"})  # "send it again": such an answer must not be kept

log = structlog.get_logger()


class SecuredRoute(APIRoute):
    """Authorises before the body is read; every error leaves as a problem; idempotent answers replay."""

    needs: str | None = None
    idempotent = False
    first = False
    report = False
    success = 200

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handler = plain_handler(self) or super().get_route_handler()

        async def secured(request: Request) -> Response:
            context: RequestContext = request.scope["patriot"]
            with working_as(self._part):
                return await self._answered(context, handler, request)

        return secured

    @property
    def _part(self) -> str:
        return str(self.tags[0])

    async def _answered(self, context: RequestContext, handler: Endpoint, request: Request) -> Response:
        try:
            if self.needs is not None:
                context.require(self.needs)
            strict = StrictRequest(request.scope, request.receive)
            _check_parameters(strict)
            if await strict.body() and self.body_field is not None:
                _check_content_type(strict)
            if self.idempotent:
                await self._idempotency(context, strict)
            with step(f"{request.method} {self.path}", service=self._part):
                return await self._admitted(context, handler, strict)
        except DuplicateRequest as error:
            return _replay(context, error)
        except Exception as error:  # noqa: BLE001 - the edge answers every error, as a problem
            return await self._refuse(context, error)

    async def _admitted(self, context: RequestContext, handler: Endpoint, request: Request) -> Response:
        if self.first:
            context.first = True
            with Admission.of(context.runtime).first():
                return await handler(request)
        if self.needs in ADDS_RISK:
            async with Admission.of(context.runtime).turn():
                return await handler(request)
        context.report = Report() if self.report else None
        return await handler(request)

    async def _idempotency(self, context: RequestContext, request: Request) -> None:
        key = request.headers.get("idempotency-key")
        if key is None:
            return
        if not (1 <= len(key) <= KEY_LENGTH_MAX and key.isascii() and key.isprintable()):
            rule = f"must have 1 to {KEY_LENGTH_MAX} printable ASCII characters"
            raise problem.ProblemError(
                400, "invalid_idempotency_key", f"Idempotency-Key {rule}", [("idempotency-key", rule)]
            )
        target = f"{request.method} {request.url.path}?{request.url.query}"
        digest = hashlib.sha256(target.encode() + b"\n" + await request.body()).digest()
        context.idempotency = IdempotencyRequest(f"{request.method} {self.path}", key, digest, self.success)

    async def _refuse(self, context: RequestContext, error: Exception) -> Response:
        refusal = problem.of_exception(error)
        if refusal.witness is not None or refusal.code == OVERLOADED:
            metrics.orders_failed(context.service, refusal.code).inc()
        elif refusal.status >= SERVER_ERROR:
            log.error("request failed", exc_info=error, path=self.path)
        body = problem.body(refusal, context.origin.correlation_id)
        if refusal.status < SERVER_ERROR and refusal.code not in TRANSIENT:
            try:
                await context.remember(refusal.status, body, refusal.witness)
            except DuplicateRequest as duplicate:
                return _replay(context, duplicate)
            except StoreUnavailable as lost:
                refusal = problem.of_exception(lost)
                body = problem.body(refusal, context.origin.correlation_id)
        return Response(body, refusal.status, problem.headers(refusal), problem.MEDIA_TYPE)


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
