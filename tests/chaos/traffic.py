"""Clients that place and cancel orders at a steady rate. Rule: each request is repeated under its key till answered."""

import asyncio
import random
import time
import uuid
from collections import Counter
from typing import Any

import httpx

PASSWORD = "correct horse battery"
FUNDS = {"USDT": "1000000", "BTC": "20"}
ACCOUNTS = {"BINANCE": 4, "BYBIT": 4}
LIMITS = {"maximum_open_orders": 100000, "maximum_orders_per_second": 10000, "price_collar": "0.5"}
LIMITS |= {"maximum_position_notional": "100000000"}
PAUSE_SECONDS = 0.25
ANSWER_SECONDS_MAX = 5.0
ASKED_AT_ONCE = 20
UNDER_WAY_MAX = 150  # while nothing answers, no more than this many wait


class Traffic:
    """One user with several accounts. `orders` are the acknowledged ones: order id -> client order id."""

    def __init__(self, url: str, seed: int, orders_per_second: float) -> None:
        self._url, self._dice, self._rate = url, random.Random(seed), orders_per_second
        self._client = httpx.AsyncClient(limits=httpx.Limits(max_connections=200), timeout=ANSWER_SECONDS_MAX)
        self._token = ""
        self._tasks: set[asyncio.Task[None]] = set()
        self._flow: asyncio.Task[None] | None = None
        self.accounts: dict[str, str] = {}
        self.orders: dict[str, str] = {}
        self.keys: dict[str, str] = {}
        self.refused: Counter[str] = Counter()
        self.cancels = 0
        self.repeated = 0
        self.newest_acknowledged = 0.0

    async def prepare(self) -> None:
        """Register, fund, raise the limits."""
        credentials = {"username": "storm", "password": PASSWORD}
        await self._until_answered("POST", "/users", credentials)
        self._token = (await self._until_answered("POST", "/auth/token", credentials)).json()["access_token"]
        for exchange, count in ACCOUNTS.items():
            for number in range(count):
                body = {"exchange": exchange, "label": f"storm {number}"}
                account = (await self._until_answered("POST", "/accounts", body)).json()["account_id"]
                for asset, amount in FUNDS.items():
                    path = f"/accounts/{account}/funds"
                    await self._until_answered("POST", path, {"asset": asset, "amount": amount})
                await self._until_answered("POST", f"/risk/limits/{account}", LIMITS)
                self.accounts[account] = exchange

    def begin(self) -> None:
        self._flow = asyncio.create_task(self._run())

    async def end(self) -> None:
        """No new orders; every request that is under way gets its answer."""
        assert self._flow is not None
        self._flow.cancel()
        await asyncio.gather(self._flow, return_exceptions=True)
        await asyncio.gather(*self._tasks)

    async def close(self) -> None:
        for task in (*self._tasks, *([self._flow] if self._flow else [])):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.aclose()

    async def statuses(self, order_ids: list[str]) -> list[str]:
        """Of each order; some at once."""
        slots = asyncio.Semaphore(ASKED_AT_ONCE)

        async def ask(order_id: str) -> str:
            async with slots:
                return await self._status(order_id)

        return list(await asyncio.gather(*map(ask, order_ids)))

    async def _status(self, order_id: str) -> str:
        answer = await self._until_answered("GET", f"/orders/{order_id}")
        return str(answer.json()["status"]) if answer.status_code == 200 else f"HTTP {answer.status_code}"

    async def _run(self) -> None:
        while True:
            if len(self._tasks) < UNDER_WAY_MAX:
                task = asyncio.create_task(self._trade())
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            await asyncio.sleep(1 / self._rate)

    async def _trade(self) -> None:
        """One order; some that rest are cancelled a moment later."""
        body, lot = self._order(), self._dice.random()
        key = str(uuid.UUID(int=self._dice.getrandbits(128)))
        answer = await self._until_answered("POST", "/orders", body, key)
        if answer.status_code != 201:
            self.refused[answer.json()["code"]] += 1
            return
        receipt = answer.json()
        self.newest_acknowledged = time.monotonic()
        assert self.keys.setdefault(key, receipt["order_id"]) == receipt["order_id"]
        self.orders[receipt["order_id"]] = receipt["client_order_id"]
        if body["order_type"] == "limit" and lot < 0.7:
            await asyncio.sleep(4 * lot)
            self.cancels += 1
            await self._until_answered("DELETE", f"/orders/{receipt['order_id']}", None, key)

    def _order(self) -> dict[str, Any]:
        account = self._dice.choice(list(self.accounts))
        symbol = self._dice.choice(("BTC/USDT:USDT", "BTC/USDT:USDT", "BTC/USDT"))
        order = {"account_id": account, "instrument": f"{self.accounts[account]}:{symbol}"}
        order |= {"side": self._dice.choice(("buy", "sell")), "quantity": f"0.00{self._dice.randint(2, 9)}"}
        if self._dice.random() < 0.75:
            return {**order, "order_type": "market"}
        away = self._dice.randint(55_000, 57_500) if order["side"] == "buy" else self._dice.randint(64_000, 67_000)
        return {**order, "order_type": "limit", "price": str(away)}

    async def _until_answered(self, method: str, path: str, body: Any = None, key: str = "") -> httpx.Response:
        key = key or str(uuid.UUID(int=self._dice.getrandbits(128)))
        headers = {"idempotency-key": key} | ({"authorization": f"Bearer {self._token}"} if self._token else {})
        while True:
            try:
                answer = await self._client.request(method, self._url + path, json=body, headers=headers)
            except httpx.HTTPError:
                answer = None
            if answer is not None and answer.status_code < 500:
                return answer
            self.repeated += 1
            await asyncio.sleep(PAUSE_SECONDS)
