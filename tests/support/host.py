"""A whole platform on the in-memory store for tests: real functions, real broker, a scripted or in-process venue."""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import orjson

from patriot.domain.instrument import Instrument
from patriot.runtime import asgi, discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.context import price_key
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.function import Function
from patriot.runtime.ports import Response
from patriot.runtime.reference import instrument_row
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import PUBLIC_TENANT, Commit, Origin, Store
from patriot.store.memory import MemoryStore
from schemas.reports import PriceReport

PERPETUAL = Instrument(
    id="BINANCE:BTC/USDT:USDT",
    native_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="linear",
    tick_size=Decimal("0.1"),
    lot_size=Decimal("0.001"),
    price_decimals=1,
    quantity_decimals=3,
    minimum_quantity=Decimal("0.001"),
    minimum_notional=Decimal(5),
    maker_fee=Decimal("0.0002"),
    taker_fee=Decimal("0.0005"),
    maximum_leverage=20,
)
SPOT = Instrument(
    id="BINANCE:BTC/USDT",
    native_symbol="BTCUSDT",
    base="BTC",
    quote="USDT",
    settle="USDT",
    kind="spot",
    tick_size=Decimal("0.01"),
    lot_size=Decimal("0.00001"),
    price_decimals=2,
    quantity_decimals=5,
    minimum_quantity=Decimal("0.00001"),
    minimum_notional=Decimal(5),
    maker_fee=Decimal("0.001"),
    taker_fee=Decimal("0.001"),
)
TENANT = UUID(int=1)
PASSWORD = "correct horse battery"


class Client:
    """HTTP calls to the public edge, as one user."""

    def __init__(self, host: Host, token: str = "") -> None:
        self._host = host
        self._token = token

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> Response:
        """`body` is JSON data, or bytes as they are. Header names take underscores for dashes."""
        sent = {"content-type": "application/json"} | {name.replace("_", "-"): text for name, text in headers.items()}
        if self._token:
            sent.setdefault("authorization", f"Bearer {self._token}")
        raw = body if isinstance(body, bytes) else b"" if body is None else orjson.dumps(body)
        return await asgi.request(self._host.public, method, "/api/v1" + path, sent, raw)

    async def json(self, method: str, path: str, body: Any = None, status: int = 200, **headers: str) -> Any:
        answer = await self.call(method, path, body, **headers)
        assert answer.status == status, answer.body
        return orjson.loads(answer.body)

    async def register(self, username: str) -> "Client":
        await self.json("POST", "/users", {"username": username, "password": PASSWORD}, 201)
        token = await self.json("POST", "/auth/token", {"username": username, "password": PASSWORD})
        return Client(self._host, token["access_token"])

    async def paper_account(self, exchange: str = "BINANCE", **funds: str) -> str:
        account = await self.json("POST", "/accounts", {"exchange": exchange}, 201)
        for asset, amount in funds.items():
            path = f"/accounts/{account['account_id']}/funds"
            await self.json("POST", path, {"asset": asset, "amount": amount}, 201)
        return str(account["account_id"])


async def define(store: Store, *instruments: Instrument) -> None:
    origin = Origin(PUBLIC_TENANT, "service:test", "req_1_00000000")
    await store.commit(Commit(origin, datetime.now(UTC), rows=[instrument_row(one) for one in instruments]))


async def set_price(host: Host, instrument: str, bid: str, ask: str) -> None:
    report = PriceReport(
        instrument=instrument, bid=Decimal(bid), ask=Decimal(ask), last=Decimal(bid), as_of=host.runtime.clock.now()
    )
    await host.runtime.state.set(price_key(instrument), report.model_dump_json().encode())


async def until_idle(host: Host, seconds: float = 5) -> None:
    """Wait until every message has been handled."""
    async with asyncio.timeout(seconds):
        while not host.broker.idle:
            await asyncio.sleep(0.005)


@asynccontextmanager
async def running_host(
    store: Store | None = None,
    feeds: Sequence[str] = ("relay",),
    ring: KeyRing | None = None,
    parts: Sequence[Function] = (),
    **settings: Any,
) -> AsyncIterator[Host]:
    """All functions and `parts`, the named feeds, on `store` (in memory unless given).

    Those of one `ring` share their tokens.
    """
    clock = SystemClock()
    hosted = Parts([*discovery.functions(), *parts], [feed for feed in discovery.feeds() if feed.name in feeds])
    access = Access(
        ring or KeyRing.generate(),
        clock,
        issuer="patriot",
        audience="patriot-api",
        app_ids=[one.name for one in hosted.all],
    )
    host = Host(
        hosted,
        settings=Settings(**settings),
        store=store or MemoryStore(clock.now),
        access=access,
        clock=clock,
        ids=SystemIds(),
        random=random.Random(uuid4().int),
        secrets={},
    )
    await host.start()
    try:
        yield host
    finally:
        await host.stop()
