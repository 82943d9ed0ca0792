"""The client of one sidecar. Rule: it is the only module that speaks Dapr's API; everything else speaks the ports'.

Publish, state and secrets go over gRPC (the official SDK's stubs: bytes stay bytes), invocation over
HTTP, where status, headers and body of the answer come through unchanged.

SidecarError
├── SidecarUnavailable     the sidecar, or what stands behind it, does not answer: try again
└── EtagMismatch (ports)   somebody else changed the key
"""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import grpc
import grpc.aio
import msgspec
from dapr.proto import api_service_v1, api_v1, common_v1

from patriot.runtime.ports import EtagMismatch, Response, StateEntry
from patriot.telemetry.tracing import TRACE_PARENT, trace_of

RECONNECT_MS_MAX = 500
MESSAGE_BYTES_MAX = 16 * 1024 * 1024
CALL_SECONDS_MAX = 10.0
START_SECONDS_MAX = 60.0
POLL_SECONDS = 0.02
TOKEN_HEADER = "dapr-api-token"  # noqa: S105 - the header's name
CLOUD_EVENT = "application/cloudevents+json"
TOLD_TWICE = frozenset({"pubsub.rabbitmq"})
"""Dapr's component answers success for what was under way when the broker died; consumers know what comes twice."""

_OPTIONS = (
    ("grpc.initial_reconnect_backoff_ms", 50),
    ("grpc.max_reconnect_backoff_ms", RECONNECT_MS_MAX),
    ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
    ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
)
_STALE = frozenset({grpc.StatusCode.ABORTED, grpc.StatusCode.FAILED_PRECONDITION})
_ABSENT = frozenset({grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INTERNAL, grpc.StatusCode.PERMISSION_DENIED})


class SidecarError(Exception):
    """The sidecar answered with an error; the text says which."""


class SidecarUnavailable(SidecarError):
    """No answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a sidecar listens, and the token that it wants."""

    http_port: int
    grpc_port: int
    token: str = ""

    @classmethod
    def of_environment(cls) -> Self:
        """As Dapr tells every app that it starts or is injected beside."""
        told = os.environ.get
        ports = int(told("DAPR_HTTP_PORT", "3500")), int(told("DAPR_GRPC_PORT", "50001"))
        return cls(*ports, told("DAPR_API_TOKEN", ""))


class Entry(msgspec.Struct, frozen=True, gc=False):
    """One message to publish: a whole CloudEvent, the key that orders it within its topic, and its `traceparent`."""

    id: str
    body: bytes
    key: str
    trace: str = ""


class Sidecar:
    """One sidecar. Made inside a running event loop; `close` at the end."""

    def __init__(self, address: Address) -> None:
        self._url = f"http://127.0.0.1:{address.http_port}"
        self._metadata = ((TOKEN_HEADER, address.token),) if address.token else ()
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{address.grpc_port}", options=_OPTIONS)
        self._api: Any = api_service_v1.DaprStub(self._channel)  # type: ignore[no-untyped-call]
        connector = aiohttp.TCPConnector(limit=0)
        self._kinds: Mapping[str, str] = {}
        self._http = aiohttp.ClientSession(connector=connector, headers=dict(self._metadata), auto_decompress=False)

    async def close(self) -> None:
        await self._channel.close()
        await self._http.close()

    async def until_ready(self) -> None:
        """Wait until it is ready for calls both ways. Raises SidecarUnavailable after a minute."""
        for _ in range(int(START_SECONDS_MAX / POLL_SECONDS)):
            if await self._is_healthy():
                return
            await asyncio.sleep(POLL_SECONDS)
        raise SidecarUnavailable(f"no sidecar answers at {self._url}")

    async def _is_healthy(self) -> bool:
        try:
            async with self._http.get(self._url + "/v1.0/healthz") as answer:
                return answer.status < 300
        except aiohttp.ClientError:
            return False

    async def metadata(self) -> dict[str, Any]:
        """What it has loaded: components, subscriptions, its version."""
        async with self._http.get(self._url + "/v1.0/metadata") as answer:
            told: dict[str, Any] = await answer.json()
            return told

    # --- publish ---
    async def publish(self, pubsub: str, topic: str, entries: Sequence[Entry]) -> Sequence[str]:
        """Return the ids of the entries that the broker did not take. Raises SidecarError when it took none."""
        left = await self._publish(pubsub, topic, entries)
        if await self._kind_of(pubsub) not in TOLD_TWICE:
            return left
        again = await self._publish(pubsub, topic, entries)
        return [*left, *(one for one in again if one not in left)]

    async def _kind_of(self, pubsub: str) -> str:
        """The type of a component. Raises SidecarUnavailable."""
        if pubsub not in self._kinds:
            try:
                told = await self.metadata()
            except aiohttp.ClientError as error:
                raise SidecarUnavailable(str(error)) from error
            self._kinds = {component["name"]: component["type"] for component in told.get("components", ())}
        return self._kinds.get(pubsub, "")

    async def _publish(self, pubsub: str, topic: str, entries: Sequence[Entry]) -> Sequence[str]:
        if len(entries) == 1:
            await self._publish_one(pubsub, topic, entries[0])
            return ()
        request = api_v1.BulkPublishRequest(pubsub_name=pubsub, topic=topic)
        for entry in entries:
            added = request.entries.add(entry_id=entry.id, event=entry.body, content_type=CLOUD_EVENT)
            if entry.key:
                added.metadata["partitionKey"] = entry.key
        publish = self._api.BulkPublishEventAlpha1  # 1.14 knows the call by this name only
        answer = await self._call(publish, request, trace=_common_trace(entries))
        return [failed.entry_id for failed in answer.failedEntries]

    async def _publish_one(self, pubsub: str, topic: str, entry: Entry) -> None:
        metadata = {"partitionKey": entry.key} if entry.key else {}
        request = api_v1.PublishEventRequest(
            pubsub_name=pubsub, topic=topic, data=entry.body, data_content_type=CLOUD_EVENT, metadata=metadata
        )
        await self._call(self._api.PublishEvent, request, trace=entry.trace)

    # --- state ---
    async def get_state(self, store: str, key: str) -> StateEntry | None:
        answer = await self._call(self._api.GetState, api_v1.GetStateRequest(store_name=store, key=key))
        return StateEntry(answer.data, answer.etag) if answer.etag else None

    async def set_state(self, store: str, key: str, value: bytes, *, seconds: int | None, etag: str | None) -> None:
        item = _item(key, value, seconds, etag)
        await self._call(self._api.SaveState, api_v1.SaveStateRequest(store_name=store, states=[item]), key)

    async def delete_state(self, store: str, key: str) -> None:
        await self._call(self._api.DeleteState, api_v1.DeleteStateRequest(store_name=store, key=key))

    async def change_states(self, store: str, values: Mapping[str, bytes | None]) -> None:
        """Set (or, for None, delete) several keys in one transaction of the state store."""
        operations = [
            api_v1.TransactionalStateOperation(
                operationType="delete" if value is None else "upsert", request=_item(key, value or b"", None, None)
            )
            for key, value in values.items()
        ]
        request = api_v1.ExecuteStateTransactionRequest(storeName=store, operations=operations)
        await self._call(self._api.ExecuteStateTransaction, request)

    # --- the rest ---
    async def secret(self, store: str, name: str) -> str:
        """Raises KeyError for an unknown name."""
        try:
            answer = await self._api.GetSecret(
                api_v1.GetSecretRequest(store_name=store, key=name), metadata=self._metadata, timeout=CALL_SECONDS_MAX
            )
        except grpc.aio.AioRpcError as error:
            if error.code() in _ABSENT:
                raise KeyError(name) from error
            raise _told(error) from error
        if not answer.data.get(name):
            raise KeyError(name)
        return str(answer.data[name])

    async def invoke(self, app_id: str, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        """Raises SidecarUnavailable."""
        sent = {**headers, "dapr-app-id": app_id}
        try:
            async with self._http.request(method, self._url + path, data=body, headers=sent) as answer:
                return Response(answer.status, {k.lower(): v for k, v in answer.headers.items()}, await answer.read())
        except aiohttp.ClientError as error:
            raise SidecarUnavailable(f"{app_id}: {error}") from error

    async def _call(self, method: Any, request: Any, key: str = "", trace: str = "") -> Any:
        metadata = (*self._metadata, (TRACE_PARENT, trace)) if trace else self._metadata
        try:
            return await method(request, metadata=metadata, timeout=CALL_SECONDS_MAX)
        except grpc.aio.AioRpcError as error:
            if key and error.code() in _STALE:
                raise EtagMismatch(key) from error
            raise _told(error) from error


@asynccontextmanager
async def connected(address: Address) -> AsyncIterator[Sidecar]:
    """The client of the sidecar there, closed at the end."""
    sidecar = Sidecar(address)
    try:
        yield sidecar
    finally:
        await sidecar.close()


def _common_trace(entries: Sequence[Entry]) -> str:
    """What the sidecar's own span belongs below: nothing, where one call serves several operations."""
    operations = {trace_of(entry.trace) for entry in entries}
    return entries[0].trace if len(operations) == 1 else ""


def _item(key: str, value: bytes, seconds: int | None, etag: str | None) -> common_v1.StateItem:
    item = common_v1.StateItem(key=key, value=value)
    if seconds is not None:
        item.metadata["ttlInSeconds"] = str(seconds)
    if etag is not None:
        item.etag.value = etag
        item.options.concurrency = common_v1.StateOptions.StateConcurrency.CONCURRENCY_FIRST_WRITE
    return item


def _told(error: grpc.aio.AioRpcError) -> SidecarError:
    unavailable = error.code() in {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED}
    return (SidecarUnavailable if unavailable else SidecarError)(f"{error.code().name}: {error.details()}")
