"""What a newcomer finds after the first start: a user, a funded paper account, a running strategy, a first fill.

Everything goes through the public API, as a user would do it. Rule: each step looks for what is there, so a start that
was cut off is finished by the next one.
"""

import secrets
from collections.abc import Mapping
from typing import Any

import orjson
import structlog

from patriot.runtime import asgi
from patriot.runtime.serving import Served

USERNAME = "demo"
INSTRUMENT = "BINANCE:BTC/USDT:USDT"
FUNDS = {"USDT": "100000", "BTC": "1"}
STRATEGY = {
    "kind": "ema_cross",
    "name": "demo ema_cross",
    "instruments": [INSTRUMENT],
    "parameters": {"bar_seconds": 5, "fast": 5, "slow": 15, "notional": "1000"},
    "start": True,
}
FIRST_ORDER = {"instrument": INSTRUMENT, "side": "buy", "order_type": "market", "quantity": "0.01"}
WAIT_SECONDS = 30.0
PAUSE_SECONDS = 0.25
UNAUTHENTICATED = 401

log = structlog.get_logger()


class Demo:
    """The demo user's way through the public API. The caller keeps name and password between starts.

    Without `prepare` there is nobody: `get` then answers what anybody may read.
    """

    def __init__(self, host: Served, username: str = "", password: str = "") -> None:
        self._host = host
        self.username = username or USERNAME
        self.password = password or secrets.token_urlsafe(24)
        self.account_id = ""
        self._token = ""
        self._is_new = False

    async def prepare(self) -> None:
        """Make what is missing; at a later start everything is there."""
        await self._enter()
        portfolio = await self._call("GET", "/portfolio")
        accounts = [account for account in portfolio["accounts"] if account["active"]]
        if accounts:
            self.account_id = accounts[0]["account_id"]
        else:
            account = await self._call("POST", "/accounts", {"exchange": "BINANCE", "label": "demo"})
            self.account_id = account["account_id"]
        if not [row for row in portfolio["balances"] if row["account_id"] == self.account_id]:
            await self._fund()
        orders = await self._call("GET", f"/orders?account_id={self.account_id}&limit=1")
        self._is_new = not orders["orders"]
        if self._is_new:
            await self._deploy()

    async def first_order(self) -> None:
        """Buy a little as soon as there is a price, unless there has been an order before."""
        clock = self._host.runtime.clock
        deadline = clock.monotonic() + WAIT_SECONDS
        answer: Mapping[str, Any] = {}
        while self._is_new and clock.monotonic() < deadline:
            if self._host.can_trade:  # else the order would wait for one, longer than needed
                answer = await self._call("POST", "/orders", {"account_id": self.account_id, **FIRST_ORDER})
            if "order_id" in answer:
                return
            await clock.sleep(PAUSE_SECONDS)
        if self._is_new:
            log.warning("the first order was not placed", seconds=WAIT_SECONDS, reason=answer.get("detail"))

    async def get(self, path: str) -> Any:
        """What the API answers the demo user; None where it answers with a problem, or nobody has logged in."""
        if not self._token:
            return None
        status, answer = await self._send("GET", path)
        if status == UNAUTHENTICATED:
            await self._log_in()
            status, answer = await self._send("GET", path)
        return answer if status < 400 else None

    async def _enter(self) -> None:
        """Register, or log in. Where the password was lost, a new demo user starts afresh."""
        await self._call("POST", "/users", self._credentials)  # 409 where the user exists
        if await self._log_in():
            return
        log.warning("the demo user's password is lost; its data stays, a new demo user is made", user=self.username)
        self.username = f"{USERNAME}-{secrets.token_hex(3)}"
        await self._call("POST", "/users", self._credentials)
        await self._log_in()

    @property
    def _credentials(self) -> Mapping[str, str]:
        return {"username": self.username, "password": self.password}

    async def _log_in(self) -> bool:
        self._token = ""
        answer = await self._call("POST", "/auth/token", self._credentials)
        self._token = answer.get("access_token", "")
        return bool(self._token)

    async def _fund(self) -> None:
        for asset, amount in FUNDS.items():
            await self._call("POST", f"/accounts/{self.account_id}/funds", {"asset": asset, "amount": amount})

    async def _deploy(self) -> None:
        await self._call("POST", "/strategies", {**STRATEGY, "account_id": self.account_id})

    async def _call(self, method: str, path: str, body: Any = None) -> Any:
        return (await self._send(method, path, body))[1]

    async def _send(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        headers = {"content-type": "application/json"}
        if self._token:
            headers["authorization"] = f"Bearer {self._token}"
        raw = b"" if body is None else orjson.dumps(body)
        answer = await asgi.request(self._host.public, method, "/api/v1" + path, headers, raw)
        return answer.status, orjson.loads(answer.body)
