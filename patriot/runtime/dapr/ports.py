"""State, secrets and invocation over a sidecar. What they promise stands in `patriot/runtime/ports.py`."""

import asyncio
import math
from collections.abc import Mapping

from patriot.runtime.clock import Ids
from patriot.runtime.dapr.sidecar import Sidecar
from patriot.runtime.ports import EtagMismatch, Response, StateEntry

STATE, SECRETS = "state", "secrets"
"""The names of the components."""


class DaprState:
    """The State port. Time-to-live counts in whole seconds here, rounded up."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def get(self, key: str) -> StateEntry | None:
        return await self._sidecar.get_state(STATE, key)

    async def set(self, key: str, value: bytes, *, seconds: float | None = None, etag: str | None = None) -> None:
        if etag is not None and await self.get(key) is None:
            raise EtagMismatch(key)  # Redis would take any ETag for a key that is gone
        whole = None if seconds is None else max(1, math.ceil(seconds))
        await self._sidecar.set_state(STATE, key, value, seconds=whole, etag=etag)

    async def delete(self, key: str) -> None:
        await self._sidecar.delete_state(STATE, key)


class DaprSecrets:
    """The Secrets port."""

    def __init__(self, sidecar: Sidecar) -> None:
        self._sidecar = sidecar

    async def get(self, name: str) -> str:
        return await self._sidecar.secret(SECRETS, name)


class DaprInvoker:
    """The Invoker port. Sidecars repeat calls whose connection broke: a key tells the callee which it knows."""

    def __init__(self, sidecar: Sidecar, ids: Ids, timeout_seconds: float) -> None:
        self._sidecar, self._ids, self._timeout_seconds = sidecar, ids, timeout_seconds

    async def invoke(
        self,
        app_id: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        sent = {"content-type": "application/json", "idempotency-key": str(self._ids.uuid()), **(headers or {})}
        async with asyncio.timeout(self._timeout_seconds):
            return await self._sidecar.invoke(app_id, method, path, sent, body)
