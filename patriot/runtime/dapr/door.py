"""The door of a process behind its sidecar. Rule: events come from our own sidecar, or not at all.

    GET  /healthz, /dapr/subscribe     for the sidecar and the cluster
    POST /events/<topic>/<type>        needs the app's token; goes to every part of this process that subscribes
    POST /events/<topic>               the same for many events at once, where all parts here only show (bulk.py)
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
from patriot.runtime.dapr import bulk
from patriot.runtime.dapr.publisher import Send as Publish
from patriot.runtime.dapr.sidecar import TOKEN_HEADER, Entry, SidecarError
from patriot.runtime.dead_letters import DeadLetter, bury
from patriot.runtime.delivery import ANSWERS, Receiver, Verdict, event_of
from patriot.runtime.function import OTHER_TYPES, PUBLIC_PREFIX, Function
from patriot.runtime.ports import Runtime
from patriot.store.api import PUBLIC_TENANT, Origin, StoreError
from patriot.telemetry.correlation import correlated, working_as
from patriot.telemetry.metrics import metrics
from patriot.telemetry.tracing import TRACE_PARENT, trace_of
from schemas.topics import DEAD_LETTER_SUFFIX, TOPICS

EVENTS_PREFIX = "/events/"
COUNTED_MAX = 10_000
NOBODY = Origin(PUBLIC_TENANT, "", "")

log = structlog.get_logger()


class Door:
    """ASGI: serves the parts of one process. `edges` holds each part's own app, by name; `publish` reaches brokers."""

    def __init__(
        self,
        parts: Sequence[Function],
        edges: Mapping[str, ASGIApp],
        runtime: Runtime,
        publish: Publish,
        *,
        token: str,
    ) -> None:
        self._parts, self._edges, self._runtime, self._publish = parts, edges, runtime, publish
        self._token = token.encode()
        self._told = merged(parts)
        self._bulk_paths = {bulk.bulk_path(one["topic"]) for one in self._told if "bulkSubscribe" in one}
        self._newest = {one.path for part in parts for one in part.subscriptions if one.newest}
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
            await JSONResponse(self._told)(scope, receive, send)
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
        path, body = request.url.path, await request.body()
        if path == OTHER_TYPES:
            return ANSWERS["SUCCESS"]
        if path in self._bulk_paths:
            return await self._bulk(path, body)
        try:
            event = await event_of(request)
        except InvalidCloudEvent as error:
            return ANSWERS[await self._refuse(path, body, str(error))]
        return ANSWERS[await self._handle(path, _below_sidecar(event, request.headers.get(TRACE_PARENT, "")), body)]

    async def _handle(self, path: str, event: CloudEvent, body: bytes) -> Verdict:
        started = self._runtime.clock.monotonic()
        with correlated(event.correlationid):
            verdicts = [await self._deliver(*one, path, event, body) for one in self._receivers.get(path, ())]
        seconds = self._runtime.clock.monotonic() - started
        metrics.http(self._parts[0].name, "POST", path, 200).observe(seconds, event.correlationid)
        return max(verdicts, key=_SEVERITY.index, default="SUCCESS")

    async def _deliver(self, name: str, receive: Receiver, path: str, event: CloudEvent, body: bytes) -> Verdict:
        with working_as(name):
            verdict = await receive(event, RequestContext(self._runtime, name, NOBODY, caller=BROKER))
        if verdict == "SUCCESS":
            self._attempts.pop((name, event.id), None)
            return "SUCCESS"
        attempts = self._count((name, event.id))
        if verdict == "RETRY" and attempts < self._runtime.settings.delivery_attempts_max:
            return "RETRY"
        letter = DeadLetter(name, _topic(path), event.id, event.tenantid, event.correlationid, body)
        return await self._bury(
            letter, attempts, "the consumer asked for it" if verdict == "DROP" else "it kept failing"
        )

    async def _refuse(self, path: str, body: bytes, reason: str) -> Verdict:
        """These bytes are no event for anybody: a dead letter of the first who would have got it."""
        name = next((name for name, _ in self._receivers.get(path, ())), self._parts[0].name)
        return await self._bury(DeadLetter(name, _topic(path), "", "", "", body), 1, reason)

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

    # --- many events at once ---
    async def _bulk(self, path: str, body: bytes) -> Response:
        try:
            entries = bulk.entries_of(path, body)
        except bulk.InvalidCall:
            return Response(status_code=400)
        judged = await bulk.judge(entries, self._entry, lambda entry: entry.path in self._newest)
        told = [{"entryId": entry.id, "status": await self._last(entry, verdict)} for entry, verdict in judged]
        return JSONResponse({"statuses": told})

    async def _entry(self, entry: bulk.Entry) -> Verdict:
        if isinstance(entry.event, InvalidCloudEvent):
            return await self._refuse(entry.path, entry.body, str(entry.event))
        wanted = entry.path in self._receivers
        return await self._handle(entry.path, entry.event, entry.body) if wanted else "SUCCESS"

    async def _last(self, entry: bulk.Entry, verdict: Verdict) -> Verdict:
        """What the sidecar is told: of what is dead, that it is done, once the dead-letter topic has it."""
        if verdict != "DROP":
            return verdict
        topic = TOPICS[_topic(entry.path)]
        try:
            left = await self._publish(topic.pubsub, topic.name + DEAD_LETTER_SUFFIX, [Entry(entry.id, entry.body, "")])
        except SidecarError as error:
            log.warning("dead letter not published", topic=topic.name, reason=str(error))
            return "RETRY"
        return "RETRY" if left else "SUCCESS"


_SEVERITY: tuple[Verdict, ...] = ("SUCCESS", "DROP", "RETRY")


def _below_sidecar(event: CloudEvent, parent: str) -> CloudEvent:
    """The sidecar's span of this delivery, where it makes one, stands between the publisher's and ours."""
    if not event.traceparent or trace_of(parent) != trace_of(event.traceparent):
        return event
    return msgspec.structs.replace(event, traceparent=parent)


def _topic(path: str) -> str:
    return path.split("/")[2]


def merged(parts: Sequence[Function]) -> list[dict[str, Any]]:
    """The subscriptions of one process: a topic that two of its parts take is subscribed once; in bulk if all show."""
    found: dict[str, dict[str, Any]] = {}
    for subscription in _subscriptions(parts):
        known = found.setdefault(subscription["topic"], subscription)
        rules = known["routes"]["rules"]
        rules += [rule for rule in subscription["routes"]["rules"] if rule not in rules]
    shows = all(part.shows for part in parts)
    return [bulk.in_bulk(subscription) if shows else subscription for subscription in found.values()]


def _subscriptions(parts: Sequence[Function]) -> Iterator[dict[str, Any]]:
    for part in parts:
        yield from part.dapr_subscriptions()
