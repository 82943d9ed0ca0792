"""The public port in front of processes: every public route goes to its part, as Kong sends it on a cluster.

Rule: only public routes pass, and nothing that speaks for another part of the platform.
"""

from collections.abc import Mapping, Sequence

import aiohttp
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import ASGIApp, Receive, Scope, Send

from patriot.runtime import problem
from patriot.runtime.context import RequestContext
from patriot.runtime.function import PUBLIC_PREFIX, Function
from patriot.telemetry.tracing import trace_headers

PASSED_ON = ("authorization", "content-type", "accept", "idempotency-key")
PASSED_BACK = ("content-type", "idempotent-replay", "retry-after", "location", "www-authenticate", "allow")
ANSWER_SECONDS_MAX = 10.0


class Gateway:
    """ASGI. `addresses`: where each part's process listens; `app` serves the documents and says what is not there."""

    def __init__(self, app: ASGIApp, parts: Sequence[Function], addresses: Mapping[str, str]) -> None:
        self._app, self._parts, self._addresses = app, parts, addresses
        self._http: aiohttp.ClientSession | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._address_of(scope)
        if address is None:
            await self._app(scope, receive, send)
            return
        response = await self._passed_on(Request(scope, receive), address)
        await response(scope, receive, send)

    async def close(self) -> None:
        if self._http is not None:
            await self._http.close()

    def _address_of(self, scope: Scope) -> str | None:
        if not scope["path"].startswith(PUBLIC_PREFIX):
            return None
        asked = {**scope, "path": scope["path"].removeprefix(PUBLIC_PREFIX)}
        for part in self._parts:
            for route in part.router.routes:
                if route.matches(asked)[0] is Match.FULL:
                    scope["route"] = route  # names the request in metrics and traces
                    return self._addresses[part.name]
        return None

    async def _passed_on(self, request: Request, address: str) -> Response:
        context: RequestContext = request.scope["patriot"]
        headers = {name: request.headers[name] for name in PASSED_ON if name in request.headers}
        headers |= {"x-correlation-id": context.origin.correlation_id, **trace_headers()}
        raw = request.scope["raw_path"].decode("latin-1") + (f"?{request.url.query}" if request.url.query else "")
        try:
            async with self._session().request(
                request.method, address + raw, headers=headers, data=await request.body()
            ) as answer:
                told = {name: answer.headers[name] for name in PASSED_BACK if name in answer.headers}
                return Response(await answer.read(), answer.status, told)
        except (aiohttp.ClientError, TimeoutError):
            refusal = problem.ProblemError(503, "unavailable", "this part of the platform does not answer; try again")
            body = problem.body(refusal, context.origin.correlation_id)
            return Response(body, refusal.status, {"retry-after": "1"}, problem.MEDIA_TYPE)

    def _session(self) -> aiohttp.ClientSession:
        if self._http is None:
            timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS_MAX)
            self._http = aiohttp.ClientSession(
                timeout=timeout, connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
            )
        return self._http
