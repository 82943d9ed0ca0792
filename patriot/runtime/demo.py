"""What a newcomer finds after the first start: a user, a funded paper account, a running strategy, a first fill.

Everything goes through the public API, as a user would do it.
"""

import asyncio
import secrets
from typing import Any
from uuid import UUID, uuid5

import orjson
import structlog

from patriot.runtime import asgi
from patriot.runtime.edge import user_context
from patriot.runtime.embedded import Host
from patriot.store.api import Row

USERNAME = "demo"
INSTRUMENT = "BINANCE:BTC/USDT:USDT"
FUNDS = {"USDT": "100000", "BTC": "1"}
STRATEGY = {"instrument": INSTRUMENT, "bar_seconds": 5, "fast": 5, "slow": 15, "notional": "1000"}
FIRST_ORDER = {"instrument": INSTRUMENT, "side": "buy", "order_type": "market", "quantity": "0.01"}
WAIT_SECONDS = 30.0

log = structlog.get_logger()


class Demo:
    """The demo user's way through the public API. `password` is kept by the caller between starts."""

    def __init__(self, host: Host, password: str = "") -> None:
        self._host = host
        self.password = password or secrets.token_urlsafe(24)
        self.account_id = ""
        self._token = ""

    async def prepare(self) -> None:
        """Make what is missing; at a later start everything is there."""
        credentials = {"username": USERNAME, "password": self.password}
        await self._call("POST", "/users", credentials)  # 409 where the user exists
        answer = await self._call("POST", "/auth/token", credentials)
        if "access_token" not in answer:
            log.warning("the demo user exists with another password; see session.json in the data folder")
            return
        self._token = answer["access_token"]
        accounts = (await self._call("GET", "/portfolio"))["accounts"]
        if accounts:
            self.account_id = accounts[0]["account_id"]
            return
        await self._first_time()

    async def _first_time(self) -> None:
        account = await self._call("POST", "/accounts", {"exchange": "BINANCE", "label": "demo"})
        self.account_id = account["account_id"]
        for asset, amount in FUNDS.items():
            await self._call("POST", f"/accounts/{self.account_id}/funds", {"asset": asset, "amount": amount})
        await self._deploy()
        await self._first_order()

    async def _deploy(self) -> None:
        me = await self._call("GET", "/users/me")
        tenant_id = self._host.runtime.settings.tenant_id
        context = user_context(self._host.runtime, "strategies", tenant_id, UUID(me["user_id"]))
        row = {
            "id": uuid5(UUID(self.account_id), INSTRUMENT),
            "user_id": context.user.user_id,
            "account_id": UUID(self.account_id),
            "name": "demo ema_cross",
            "kind": "ema_cross",
            "parameters": STRATEGY,
            "status": "running",
            "created_at": context.now(),
            "updated_at": context.now(),
            "stream_version": 1,
        }
        await context.write([Row("strategies", row)])

    async def _first_order(self) -> None:
        """Buy a little as soon as there is a price."""
        clock = self._host.runtime.clock
        deadline = clock.monotonic() + WAIT_SECONDS
        while clock.monotonic() < deadline:
            receipt = await self._call("POST", "/orders", {"account_id": self.account_id, **FIRST_ORDER})
            if "order_id" in receipt:
                return
            await asyncio.sleep(0.25)
        log.warning("no price came within %s seconds: the first order was not placed", WAIT_SECONDS)

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        raw = b"" if body is None else orjson.dumps(body)
        answer = await asgi.request(self._host.public, method, "/api/v1" + path, headers, raw)
        return orjson.loads(answer.body)
