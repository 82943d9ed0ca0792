"""The door of a process behind its sidecar. Rule: events come from our own sidecar, or not at all.

    GET  /healthz, /dapr/subscribe     for the sidecar and the cluster
    POST /events/<topic>/<type>        needs the app's token; goes to every part of this process that subscribes
    ...  everything else               to the part that has the route, which checks user or service token itself

A message that its handler refuses for good, or has failed at too often, is written down as a dead letter and then
dropped: the sidecar moves it to the dead-letter topic. So attempts are counted where the reason is known, and a part
that is down for an hour makes no dead letters.
"""

import hmac
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
import structlog
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Match
from starlette.types import ASGIApp, Scope, Send
from starlette.types import Receive as Incoming

from patriot.runtime.access import BROKER
from patriot.runtime.cloudevent import CloudEvent, InvalidCloudEvent
from patriot.runtime.context import RequestContext
from patriot.runtime.dapr.sidecar import TOKEN_HEADER
from patriot.runtime.dead_letters import DeadLetter, bury
from patriot.runtime.delivery import ANSWERS, Receiver, Verdict, event_of
from patriot.runtime.function import OTHER_TYPES, PUBLIC_PREFIX, Function
from patriot.runtime.ports import Runtime
from patriot.store.api import PUBLIC_TENANT, Origin, StoreError
from patriot.telemetry.correlation import correlated
from patriot.telemetry.metrics import metrics
from patriot.telemetry.tracing import TRACE_PARENT, trace_of

EVENTS_PREFIX = "/events/"
COUNTED_MAX = 10_000
NOBODY = Origin(PUBLIC_TENANT, "", "")

log = structlog.get_logger()


class Door:
    """ASGI: serves the parts of one process. `edges` holds each part's own app, by name."""

    def __init__(
        self, parts: Sequence[Function], edges: Mapping[str, ASGIApp], runtime: Runtime, *, token: str
    ) -> None:
        self._parts, self._edges, self._runtime = parts, edges, runtime
        self._token = token.encode()
        self._attempts: OrderedDict[tuple[str, str], int] = OrderedDict()
        self._receivers: dict[str, list[tuple[str, Receiver]]] = {}
        for part in parts:
            for path, receive in part.receivers.items():
                self._receivers.setdefault(path, []).append((part.name, receive))

    async def __call__(self, scope: Scope, receive: Incoming, send: Send) -> None:
        if scope["type"] != "http":
            return
        path = scope["path"]
        if path == "/dapr/subscribe":
            await JSONResponse(merged(self._parts))(scope, receive, send)
        elif path.startswith(EVENTS_PREFIX):
            await (await self._event(Request(scope, receive)))(scope, receive, send)
        else:
            await self._edges[self._part_of(scope).name](scope, receive, send)

    def _part_of(self, scope: Scope) -> Function:
        if len(self._parts) == 1:
            return self._parts[0]
        prefixed = {**scope, "path": scope["path"].removeprefix(PUBLIC_PREFIX)}
        for part in self._parts:
            tried = [(scope, part.internal.routes), (prefixed, part.router.routes)]
            if any(route.matches(one)[0] is Match.FULL for one, routes in tried for route in routes):
                return part
        return self._parts[0]

    # --- events ---
    async def _event(self, request: Request) -> Response:
        given = request.headers.get(TOKEN_HEADER, "").encode("latin-1")
        if not (self._token and hmac.compare_digest(given, self._token)):
            return Response(status_code=401)
        path = request.url.path
        if path == OTHER_TYPES:
            return ANSWERS["SUCCESS"]
        started = self._runtime.clock.monotonic()
        try:
            event = await event_of(request)
        except InvalidCloudEvent as error:
            return ANSWERS[await self._refuse(path, await request.body(), str(error))]
        event = _below_sidecar(event, request.headers.get(TRACE_PARENT, ""))
        with correlated(event.correlationid):
            verdicts = [await self._deliver(*one, path, event, request) for one in self._receivers.get(path, ())]
        seconds = self._runtime.clock.monotonic() - started
        metrics.http(self._parts[0].name, "POST", path, 200).observe(seconds, event.correlationid)
        return ANSWERS[max(verdicts, key=_SEVERITY.index, default="SUCCESS")]

    async def _deliver(self, name: str, receive: Receiver, path: str, event: CloudEvent, request: Request) -> Verdict:
        verdict = await receive(event, RequestContext(self._runtime, name, NOBODY, caller=BROKER))
        if verdict == "SUCCESS":
            self._attempts.pop((name, event.id), None)
            return "SUCCESS"
        attempts = self._count((name, event.id))
        if verdict == "RETRY" and attempts < self._runtime.settings.delivery_attempts_max:
            return "RETRY"
        letter = DeadLetter(name, _topic(path), event.id, event.tenantid, event.correlationid, await request.body())
        return await self._bury(
            letter, attempts, "the consumer asked for it" if verdict == "DROP" else "it kept failing"
        )

    async def _refuse(self, path: str, body: bytes, reason: str) -> Verdict:
        """These bytes are no event for anybody: a dead letter of the first who would have got it."""
        for name, _ in self._receivers.get(path, ())[:1]:
            return await self._bury(DeadLetter(name, _topic(path), "", "", "", body), 1, reason)
        return "DROP"

    async def _bury(self, letter: DeadLetter, attempts: int, reason: str) -> Verdict:
        try:
            await bury(self._runtime.store, self._runtime.clock.now(), letter, attempts, reason)
        except StoreError:
            log.exception("dead letter not written", consumer=letter.consumer, id=letter.event_id)
            return "RETRY"
        self._attempts.pop((letter.consumer, letter.event_id), None)
        return "DROP"

    def _count(self, key: tuple[str, str]) -> int:
        attempts = self._attempts.pop(key, 0) + 1
        self._attempts[key] = attempts
        if len(self._attempts) > COUNTED_MAX:
            self._attempts.popitem(last=False)
        return attempts


_SEVERITY: tuple[Verdict, ...] = ("SUCCESS", "DROP", "RETRY")


def _below_sidecar(event: CloudEvent, parent: str) -> CloudEvent:
    """The sidecar's span of this delivery, where it makes one, stands between the publisher's and ours."""
    if not event.traceparent or trace_of(parent) != trace_of(event.traceparent):
        return event
    return msgspec.structs.replace(event, traceparent=parent)


def _topic(path: str) -> str:
    return path.split("/")[2]


def merged(parts: Sequence[Function]) -> list[dict[str, Any]]:
    """The subscriptions of one process: a topic that two of its parts take is subscribed once."""
    found: dict[str, dict[str, Any]] = {}
    for subscription in _subscriptions(parts):
        known = found.setdefault(subscription["topic"], subscription)
        rules = known["routes"]["rules"]
        rules += [rule for rule in subscription["routes"]["rules"] if rule not in rules]
    return list(found.values())


def _subscriptions(parts: Sequence[Function]) -> Iterator[dict[str, Any]]:
    for part in parts:
        yield from part.dapr_subscriptions()
