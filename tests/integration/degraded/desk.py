"""A user with one resting order, placed while all was well."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import orjson
from structlog.testing import capture_logs

from patriot.runtime.embedded import Host
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

OTHER = replace(PERPETUAL, id="BYBIT:BTC/USDT:USDT")


@dataclass
class Desk:
    host: Host
    user: Client
    account: str
    resting: str = ""

    def order(self, **changes: Any) -> dict[str, Any]:
        fields = {"account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01"}
        return {**fields, "price": "59000", **changes}

    async def place(self, **changes: Any) -> tuple[int, str]:
        answer = await self.user.call("POST", "/orders", self.order(**changes))
        body = orjson.loads(answer.body)
        return answer.status, body.get("code") or body["order_id"]

    async def status(self, order_id: str) -> str:
        return str((await self.user.json("GET", f"/orders/{order_id}"))["status"])

    async def cancel(self) -> int:
        return (await self.user.call("DELETE", f"/orders/{self.resting}")).status


@asynccontextmanager
async def make_desk(**settings: Any) -> AsyncIterator[Desk]:
    async with running_host(**settings) as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL, OTHER)
        for instrument in (PERPETUAL, OTHER):
            await set_price(host, instrument.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        made = Desk(host, user, await user.paper_account(USDT="1000000"))
        made.resting = (await made.place())[1]
        await until_idle(host)
        with capture_logs():
            yield made
