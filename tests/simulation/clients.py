"""Clients over HTTP. Rule: who got an answer may rely on it; who got none asks again with the same key."""

import asyncio
import random
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from patriot.runtime import asgi
from patriot.runtime.clock import Ids
from patriot.runtime.ports import Response
from patriot.runtime.secured import TRANSIENT
from tests.simulation.market import Market
from tests.simulation.process import Process
from tests.simulation.watch import Watch
from tests.simulation.wishes import wish
from tests.support.host import PERPETUAL

FUNDS = {"USDT": "5000", "BTC": "0.05"}
HALTING = 0.02
LEVERAGING = 0.1  # most are refused: something is open


@dataclass(frozen=True, slots=True)
class Trader:
    """A user, logged in, with one account."""

    token: str
    account_id: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One request; whoever repeats it repeats the key."""

    method: str
    path: str
    body: Mapping[str, Any] | None
    token: str
    key: str
    part: str = ""  # the part of the platform that must be alive


class Clients:
    """`processes` are the living ones. `acknowledged` holds every order that was answered with 201."""

    def __init__(
        self, processes: Mapping[int, Process], watch: Watch, market: Market, ids: Ids, rng: random.Random
    ) -> None:
        self._processes, self._watch, self._market, self._ids, self._rng = processes, watch, market, ids, rng
        self.acknowledged: set[UUID] = set()

    async def open_account(self, token: str) -> Trader:
        account = await self._ask("/accounts", {"exchange": "BINANCE"}, token)
        for asset, amount in FUNDS.items():
            await self._ask(f"/accounts/{account['account_id']}/funds", {"asset": asset, "amount": amount}, token)
        return Trader(token, account["account_id"])

    async def trade(self, number: int, trader: Trader) -> None:
        """Ask for something, sometimes twice with one key, and have second thoughts about some orders."""
        await asyncio.sleep(self._rng.random() * 2)
        if self._rng.random() < HALTING:
            await self._halt(trader, f"halt-{number}")
        if self._rng.random() < LEVERAGING:
            await self._choose_leverage(trader, f"leverage-{number}")
        path, body = wish(self._rng, self._market.middle, trader.account_id)
        call = Call("POST", path, body, trader.token, f"order-{number}")
        answers = await asyncio.gather(*(self.insist(call) for _ in range(self._rng.choice((1, 1, 1, 2)))))
        self._watch.require(len({answer.status for answer in answers}) == 1, f"{call.key}: one key, several answers")
        orders = {_orders(answer) for answer in answers if answer.status < 400}
        self._watch.require(len(orders) <= 1, f"{call.key}: one key made {orders}")
        for order_id in (order_id for made in orders for order_id in made):
            self.acknowledged.add(UUID(order_id))
            self._watch.require(UUID(order_id) in self._watch.orders, f"{order_id} was acknowledged and is not there")
            await self._second_thoughts(order_id, body, trader.token)

    async def _halt(self, trader: Trader, key: str) -> None:
        """Pull the kill switch, and let trading go on a little later."""
        path = f"/risk/halts/account:{trader.account_id}"
        await self.insist(Call("POST", path, {"reason": "a look at it"}, trader.token, key))
        await asyncio.sleep(self._rng.random())
        await self.insist(Call("DELETE", path, None, trader.token, key))

    async def _choose_leverage(self, trader: Trader, key: str) -> None:
        path, body = f"/accounts/{trader.account_id}/leverage", {"instrument": PERPETUAL.id}
        await self.insist(Call("POST", path, body | {"leverage": self._rng.choice((1, 2, 5))}, trader.token, key))

    async def cancel(self, order_id: object, token: str, key: str) -> None:
        await self.insist(Call("DELETE", f"/orders/{order_id}", None, token, key))

    async def _second_thoughts(self, order_id: str, body: Mapping[str, Any], token: str) -> None:
        for turn in range(self._rng.choice((0, 1, 1, 2))):
            await asyncio.sleep(self._rng.random() ** 3 * 3)
            key = f"{order_id}-{turn}"
            if self._rng.random() < 0.5 or "quantity" not in body:
                await self.cancel(order_id, token, key)
            else:
                change = {"quantity": self._rng.choice(("0.003", "0.01", "0.03"))}
                if "price" in body:
                    change["price"] = f"{self._market.middle + self._rng.choice((-10, 0, 10)):.1f}"
                await self.insist(Call("PATCH", f"/orders/{order_id}", change, token, key))

    # --- asking ---
    async def _ask(self, path: str, body: Mapping[str, Any], token: str) -> Any:
        answer = await self.insist(Call("POST", path, body, token, str(self._ids.uuid())))
        assert answer.status == 201, answer.body
        return orjson.loads(answer.body)

    async def told(self, call: Call) -> Any:
        """What the final answer says."""
        return orjson.loads((await self.insist(call)).body)

    async def insist(self, call: Call) -> Response:
        while True:
            answer = await self._attempt(call)
            if answer is not None and _final(answer):
                return answer
            await asyncio.sleep(0.1 + self._rng.random())

    async def _attempt(self, call: Call) -> Response | None:
        """One try at any living process; None when it died before it answered."""
        living = [one for one in self._processes.values() if not call.part or call.part in one.hears]
        if not living:
            return None
        process = self._rng.choice(living)
        answer: Response | None = await process.answer(_request(process, call))
        return answer


def _orders(answer: Response) -> tuple[str, ...]:
    """The ids of what a request has made."""
    told = orjson.loads(answer.body)
    return tuple(order["order_id"] for order in told.get("orders", (told,)))


def _final(answer: Response) -> bool:
    if answer.status >= 500 or answer.status == 429:
        return False
    return answer.status < 400 or orjson.loads(answer.body)["code"] not in TRANSIENT


def _request(process: Process, call: Call) -> Awaitable[Response]:
    headers = {
        "content-type": "application/json",
        "authorization": f"Bearer {call.token}",
        "idempotency-key": call.key,
    }
    body = b"" if call.body is None else orjson.dumps(call.body)
    return asgi.request(process.host.public, call.method, "/api/v1" + call.path, headers, body)
