"""What Binance refuses, seen by an unmodified ccxt.pro: over the exchange's own host names, then on loopback.

Behind the proxy even the URLs are ccxt's own; the client only trusts the venue's certificate authority.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import ccxt
import ccxt.pro
import httpx
import pytest

from feeds.venue.faults import Fault, Rule
from feeds.venue.wire.binance import Binance, Settings
from feeds.venue.wire.tls import Proxy, intercepting
from tests.integration.venue.binance_world import KEY, LINEAR, SECRET, SPOT, World, ccxt_client, living_venue

pytestmark = pytest.mark.requirement("P7")
Attempt = Callable[[Any, float], Awaitable[Any]]


@asynccontextmanager
async def behind_proxy(world: World, folder: Path) -> AsyncIterator[Any]:
    """A client with ccxt's own URLs."""
    async with AsyncExitStack() as stack:
        proxy: Proxy = await stack.enter_async_context(intercepting(folder, Binance.hosts, world.port))
        client = ccxt.pro.binance(
            {
                "apiKey": KEY,
                "secret": SECRET,
                "enableRateLimit": False,
                "httpsProxy": proxy.url,
                "wssProxy": proxy.url,
                "options": {"fetchMarkets": {"types": ["spot", "linear"]}},
            }
        )
        client.cafile = proxy.certificate_file
        stack.push_async_callback(client.close)
        await client.load_markets()
        yield client


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with living_venue() as living:
        yield living


@pytest.fixture
async def client(world: World, tmp_path: Path) -> AsyncIterator[Any]:
    async with behind_proxy(world, tmp_path) as found:
        yield found


REFUSALS: dict[str, tuple[type[Exception], Attempt]] = {
    "spot lot size": (ccxt.InvalidOrder, lambda c, p: raw_spot(c, quantity="0.000015", price=p)),
    "spot tick size": (ccxt.InvalidOrder, lambda c, p: raw_spot(c, quantity="0.01", price=p + 0.001)),
    "spot notional": (ccxt.BadRequest, lambda c, p: raw_spot(c, quantity="0.00001", price=p)),
    "spot precision": (ccxt.BadRequest, lambda c, p: raw_spot(c, quantity="0.0123456789", price=p)),
    "spot balance": (ccxt.InsufficientFunds, lambda c, p: c.create_order(SPOT, "limit", "buy", 100, p)),
    "spot post-only": (
        ccxt.OrderImmediatelyFillable,
        lambda c, p: c.create_order(SPOT, "limit", "buy", 0.01, round(p * 1.04), {"postOnly": True}),
    ),
    "spot unknown order": (ccxt.OrderNotFound, lambda c, _: c.fetch_order("999999999", SPOT)),
    "spot unknown cancel": (ccxt.OrderNotFound, lambda c, _: c.cancel_order("999999999", SPOT)),
    "spot stop": (
        ccxt.OrderImmediatelyFillable,
        lambda c, p: c.create_order(SPOT, "market", "sell", 0.01, None, {"stopLossPrice": round(p * 1.1)}),
    ),
    "futures notional": (ccxt.InvalidOrder, lambda c, p: c.create_order(LINEAR, "limit", "buy", 0.001, round(p * 0.9))),
    "futures margin": (
        ccxt.InsufficientFunds,
        lambda c, p: c.create_order(LINEAR, "limit", "buy", 900, round(p * 0.9)),
    ),
    "futures post-only": (
        ccxt.OrderNotFillable,
        lambda c, p: c.create_order(LINEAR, "limit", "buy", 0.01, round(p * 1.04), {"postOnly": True}),
    ),
    "futures fill-or-kill": (
        ccxt.OrderNotFillable,
        lambda c, p: c.create_order(LINEAR, "limit", "buy", 0.5, round(p * 0.9), {"timeInForce": "FOK"}),
    ),
    "futures reduce-only": (
        ccxt.InvalidOrder,
        lambda c, _: c.create_order(LINEAR, "market", "sell", 0.01, None, {"reduceOnly": True}),
    ),
    "futures stop": (
        ccxt.OrderImmediatelyFillable,
        lambda c, p: c.create_order(LINEAR, "market", "sell", 0.01, None, {"stopLossPrice": round(p * 1.1)}),
    ),
    "futures unknown order": (ccxt.OrderNotFound, lambda c, _: c.fetch_order("999999999", LINEAR)),
    "futures conditional type": (
        ccxt.InvalidOrder,
        lambda c, p: c.fapiPrivatePostOrder(
            {
                "symbol": "BTCUSDT",
                "side": "SELL",
                "type": "STOP_MARKET",
                "quantity": "0.01",
                "stopPrice": round(p * 0.9),
            }
        ),
    ),
    "futures precision": (
        ccxt.BadRequest,
        lambda c, p: c.fapiPrivatePostOrder(
            {
                "symbol": "BTCUSDT",
                "side": "BUY",
                "type": "LIMIT",
                "timeInForce": "GTC",
                "quantity": "0.0011",
                "price": p,
            }
        ),
    ),
    "unknown symbol": (ccxt.BadSymbol, lambda c, _: c.publicGetDepth({"symbol": "NOPE"})),
}


def raw_spot(client: Any, **fields: object) -> Awaitable[Any]:
    """An order with numbers that ccxt itself would have rounded."""
    order = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC"}
    return client.privatePostOrder(order | fields)


async def test_the_exchanges_own_urls_lead_to_the_venue_and_nowhere_else(client: Any, world: World):
    ticker = await client.fetch_ticker(SPOT)
    order = await client.create_order(SPOT, "limit", "buy", 0.01, round(ticker["last"] * 0.98))
    assert world.trader.by_id[int(order["id"])].is_open
    book = await asyncio.wait_for(client.watch_order_book(LINEAR), 5)
    first = book["nonce"]
    book = await asyncio.wait_for(client.watch_order_book(LINEAR), 5)
    assert book["nonce"] > first
    watching = asyncio.create_task(client.watch_orders(LINEAR))
    await asyncio.sleep(0.5)
    await client.create_order_ws(LINEAR, "market", "buy", 0.01)
    assert (await asyncio.wait_for(watching, 5))[-1]["symbol"] == LINEAR
    with pytest.raises(ccxt.ExchangeError):
        await client.fetch("https://www.binance.com/")


async def test_refusals_are_ccxts_own_exceptions(client: Any, world: World):
    price = float(round((await client.fetch_ticker(SPOT))["last"] * 0.99))
    for name, (expected, attempt) in REFUSALS.items():
        before = len(world.trader.by_id)
        raised = (await asyncio.gather(attempt(client, price), return_exceptions=True))[0]
        assert type(raised) is expected, f"{name}: {raised!r}"
        assert len(world.trader.by_id) == before, f"{name}: changed something"


async def test_client_order_id_is_unique_among_open_orders_only(client: Any):
    price = round((await client.fetch_ticker(SPOT))["last"] * 0.98)
    for symbol, refusal in ((SPOT, "Duplicate order sent"), (LINEAR, "is duplicated")):
        params = {"clientOrderId": "mine-1"}
        first = await client.create_order(symbol, "limit", "buy", 0.01, price, params)
        with pytest.raises(ccxt.InvalidOrder, match=refusal):
            await client.create_order(symbol, "limit", "buy", 0.01, price, params)
        await client.cancel_order(first["id"], symbol)
        second = await client.create_order(symbol, "limit", "buy", 0.01, price, params)
        assert second["id"] != first["id"]


async def test_wrong_credentials_and_clocks_are_refused(client: Any):
    client.options["hasAlreadyAuthenticatedSuccessfully"] = False
    for change, expected in (
        ({"secret": "wrong"}, ccxt.AuthenticationError),
        ({"apiKey": "unknown"}, ccxt.AuthenticationError),
        ({"nonce": lambda: int(time.time() * 1000) + 5000}, ccxt.InvalidNonce),
        ({"nonce": lambda: int(time.time() * 1000) - 60_000}, ccxt.InvalidNonce),
    ):
        kept = {name: getattr(client, name) for name in change}
        for name, value in change.items():
            setattr(client, name, value)
        for symbol in (SPOT, LINEAR):
            with pytest.raises(expected):
                await client.fetch_open_orders(symbol)
            with pytest.raises(expected):
                await asyncio.wait_for(client.fetch_order_ws("1", symbol), 5)
        for name, value in kept.items():
            setattr(client, name, value)


async def test_rate_limits_answer_429_then_418_and_headers_count():
    async with living_venue(Settings(is_limited=True), lambda: 1_700_000_000_000, step_seconds=60) as world:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as browser:
            answer = await browser.get("/api/v3/exchangeInfo")
            assert answer.headers["x-mbx-used-weight-1m"] == "20"
            statuses = []
            for _ in range(320):
                answer = await browser.get("/api/v3/exchangeInfo")
                statuses.append(answer.status_code)
            assert sorted(set(statuses)) == [200, 418, 429]
            assert statuses == sorted(statuses, key=[200, 429, 418].index)
            assert answer.json()["code"] == -1003
            assert int(answer.headers["retry-after"]) == 120
            assert (await browser.get("/fapi/v1/time")).status_code == 200, "futures count for themselves"
        async with ccxt_client(world.port, ("spot",)) as client:
            with pytest.raises(ccxt.DDoSProtection):
                await client.fetch_time()


@pytest.mark.parametrize(
    ("rule", "expected", "accepted"),
    [
        (Rule(Fault.TIMEOUT_AFTER, "create"), ccxt.RequestTimeout, 1),
        (Rule(Fault.TIMEOUT_BEFORE, "create"), ccxt.RequestTimeout, 0),
        (Rule(Fault.ERROR_AFTER, "create"), ccxt.RequestTimeout, 1),
        (Rule(Fault.ERROR_BEFORE, "create", status=500), ccxt.RequestTimeout, 0),
        (Rule(Fault.DISCONNECT, "create"), ccxt.ExchangeNotAvailable, 0),
        (Rule(Fault.DISCONNECT_AFTER, "create"), ccxt.ExchangeNotAvailable, 1),
        (Rule(Fault.RATE_LIMITED, "create"), ccxt.DDoSProtection, 0),
        (Rule(Fault.BANNED, "create"), ccxt.DDoSProtection, 0),
    ],
)
async def test_programmed_faults_reach_the_client(client: Any, world: World, rule: Rule, expected: type, accepted: int):
    client.timeout = 700
    price = round((await client.fetch_ticker(SPOT))["last"] * 0.98)
    world.plan.add(rule)
    with pytest.raises(expected):
        await client.create_order(SPOT, "limit", "buy", 0.01, price)
    assert len(world.trader.open_orders) == accepted
    assert len(await client.fetch_open_orders(SPOT)) == accepted


async def test_skewed_clock_and_stream_gaps_are_noticed_by_the_client(client: Any, world: World):
    world.plan.add(Rule(Fault.SKEW, "clock", skew_ms=-30_000))
    with pytest.raises(ccxt.InvalidNonce):
        await client.fetch_open_orders(SPOT)
    await client.watch_order_book(SPOT)
    world.plan.add(Rule(Fault.GAP, "stream:depth*"))
    with pytest.raises(ccxt.ChecksumError):
        await watch_books(client, 20)


async def watch_books(client: Any, count: int) -> None:
    for _ in range(count):
        await asyncio.wait_for(client.watch_order_book(SPOT), 5)
