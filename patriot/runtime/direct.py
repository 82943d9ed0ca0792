"""The short way to a route: exact paths are looked up, plain handlers called without FastAPI's machinery in between.

Rule: same checks, same answers; FastAPI documents every route and serves all the others. A route is plain when its
handler takes nothing but a JSON body and the request's context. On the order path this halves the time of a request.
"""

import json
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, TypeAlias

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import TypeAdapter, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from patriot.runtime.context import RequestContext
from patriot.runtime.strict_json import StrictRequest

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]


class Direct:
    """ASGI: the endpoints under (method, path), and `app` for everything else."""

    def __init__(self, app: ASGIApp, endpoints: Iterable[tuple[str, Route, Endpoint]]) -> None:
        self._app = app
        self._endpoints = {
            (method, path): (route, endpoint) for path, route, endpoint in endpoints for method in route.methods or ()
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        found = self._endpoints.get((scope["method"], scope["path"])) if scope["type"] == "http" else None
        if found is None:
            await self._app(scope, receive, send)
            return
        scope["route"], endpoint = found
        response = await endpoint(StrictRequest(scope, receive))
        await response(scope, receive, send)


async def context_of(request: Request) -> RequestContext:
    """The request's context: the one dependency that a plain handler may have."""
    context: RequestContext = request.scope["patriot"]
    return context


def plain_handler(route: APIRoute) -> Endpoint | None:
    """What FastAPI would do with a plain route; None where the route is not plain."""
    wants = route.dependant
    others = "{" in route.path or wants.query_params or wants.header_params or wants.cookie_params
    if others or len(wants.body_params) > 1 or any(one.call is not context_of for one in wants.dependencies):
        return None
    contexts = [one.name for one in wants.dependencies if one.name]
    body = _Body(wants.body_params[0].name, wants.body_params[0].field_info.annotation) if wants.body_params else None
    answer = TypeAdapter(route.response_model)

    async def handle(request: Request) -> Response:
        values: dict[str, Any] = dict.fromkeys(contexts, request.scope["patriot"])
        if body is not None:
            values[body.name] = await body.read(request)
        result = await route.endpoint(**values)
        content = answer.dump_json(answer.validate_python(result))
        return Response(content, route.status_code or 200, media_type="application/json")

    return handle


class _Body:
    """The JSON body of a plain route, under the name of the handler's parameter."""

    def __init__(self, name: str, annotation: Any) -> None:
        self.name = name
        self._model: TypeAdapter[Any] = TypeAdapter(annotation)

    async def read(self, request: Request) -> Any:
        """Raises the RequestValidationError that FastAPI would raise."""
        if not await request.body():
            raise RequestValidationError([{"type": "missing", "loc": ("body",), "msg": "Field required"}])
        try:
            value = await request.json()
        except json.JSONDecodeError as error:
            raise RequestValidationError([_entry("json_invalid", error.pos, "JSON decode error", error.msg)]) from error
        try:
            return self._model.validate_python(value, from_attributes=True)  # as FastAPI does
        except ValidationError as error:
            entries = error.errors(include_url=False)
            raise RequestValidationError([{**one, "loc": ("body", *one["loc"])} for one in entries]) from error


def _entry(kind: str, position: int, message: str, reason: str) -> dict[str, Any]:
    return {"type": kind, "loc": ("body", position), "msg": message, "ctx": {"error": reason}}
