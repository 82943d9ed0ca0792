"""An unmodified ccxt.pro client trades on the venue as on Binance. Only its addresses are changed."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable
from typing import Any

import pytest

from tests.integration.venue.binance_world import LINEAR, SPOT, World, ccxt_client, living_venue

SYMBOLS = {"spot": SPOT, "linear": LINEAR}
KINDS = pytest.mark.parametrize("kind", ["spot", "linear"])
pytestmark = pytest.mark.requirement("P7")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with living_venue() as living:
        yield living


@pytest.fixture
async def client(world: World, request: pytest.FixtureRequest) -> AsyncIterator[Any]:
    async with ccxt_client(world.port, (request.getfixturevalue("kind"),)) as found:
        await found.load_markets()
        yield found


async def soon(awaitable: Awaitable[Any]) -> Any:
    return await asyncio.wait_for(awaitable, 8)


async def last_price(client: Any, symbol: str) -> float:
    return float((await client.fetch_ticker(symbol))["last"])


@KINDS
async def test_public_data_over_rest(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    assert client.markets[symbol]["limits"]["cost"]["min"] == (5 if kind == "spot" else 100)
    book = await client.fetch_order_book(symbol)
    assert book["bids"][0][0] < book["asks"][0][0]
    assert book["nonce"] > 0
    trades = await client.fetch_trades(symbol)
    ticker = await client.fetch_ticker(symbol)
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    bars = await client.fetch_ohlcv(symbol, "1m")
    assert bars[-1][4] > 0
    assert trades[-1]["id"]
    assert abs(await client.fetch_time() - time.time() * 1000) < 5000


@KINDS
async def test_watched_book_moves_and_equals_the_venue(client: Any, world: World, kind: str):
    symbol = SYMBOLS[kind]
    nonces = set()
    async with asyncio.timeout(6):
        while len(nonces) < 20:
            book = await client.watch_order_book(symbol)
            assert book["bids"][0][0] < book["asks"][0][0]
            nonces.add(book["nonce"])


@KINDS
async def test_watched_market_data_arrives(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    ticker, trades, quotes, bars = await soon(
        asyncio.gather(
            client.watch_ticker(symbol),
            client.watch_trades(symbol),
            client.watch_bids_asks([symbol]),
            client.watch_ohlcv(symbol, "1m"),
        )
    )
    assert ticker["last"] > 0
    assert trades[-1]["price"] > 0
    assert quotes[symbol]["bid"] < quotes[symbol]["ask"]
    assert bars[-1][1] > 0


@KINDS
async def test_limit_order_lives_through_placing_amending_watching_and_cancelling(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    price = round(await last_price(client, symbol) * 0.98)
    watching = asyncio.create_task(client.watch_orders(symbol))
    await asyncio.sleep(0.3)
    order = await client.create_order(symbol, "limit", "buy", 0.01, price)
    assert (order["status"], order["filled"]) == ("open", 0)
    seen = (await soon(watching))[-1]
    assert (seen["id"], seen["status"], seen["price"]) == (order["id"], "open", price)
    watching = asyncio.create_task(client.watch_orders(symbol))
    amended = await client.edit_order(order["id"], symbol, "limit", "buy", 0.02, price - 10)
    assert (amended["price"], amended["amount"]) == (price - 10, 0.02)
    await soon(watching)
    assert [one["id"] for one in await client.fetch_open_orders(symbol)] == [amended["id"]]
    cancelled = await client.cancel_order(amended["id"], symbol)
    assert cancelled["status"] == "canceled"
    assert (await client.fetch_order(amended["id"], symbol))["status"] == "canceled"
    assert await client.fetch_open_orders(symbol) == []


@KINDS
async def test_market_order_fills_and_shows_in_trades_balance_and_streams(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    before = await client.fetch_balance()
    watching = [asyncio.create_task(one) for one in (client.watch_my_trades(symbol), client.watch_balance())]
    await asyncio.sleep(0.5)
    order = await client.create_order(symbol, "market", "buy", 0.01)
    assert (order["status"], order["filled"]) == ("closed", 0.01)
    trades, balance = await soon(asyncio.gather(*watching))
    assert trades[-1]["order"] == order["id"]
    assert trades[-1]["fee"]["cost"] > 0
    assert balance["USDT"]["total"] < before["USDT"]["total"]
    mine = await client.fetch_my_trades(symbol)
    assert sum(trade["amount"] for trade in mine) == pytest.approx(0.01)
    after = await client.fetch_balance()
    if kind == "spot":
        assert after["BTC"]["total"] == pytest.approx(before["BTC"]["total"] + 0.01 * (1 - 0.001))
    else:
        position = (await client.fetch_positions([symbol]))[0]
        assert (position["side"], position["contracts"]) == ("long", 0.01)


@KINDS
async def test_stop_order_waits_is_listed_and_is_cancelled(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    trigger = round(await last_price(client, symbol) * 0.9)
    await client.create_order(symbol, "market", "buy", 0.01)
    stop = await client.create_order(symbol, "market", "sell", 0.009, None, {"stopLossPrice": trigger})
    params = {"trigger": True} if kind == "linear" else {}
    assert [one["id"] for one in await client.fetch_open_orders(symbol, params=params)] == [stop["id"]]
    assert (await client.fetch_order(stop["id"], symbol, params))["triggerPrice"] == trigger
    await client.cancel_order(stop["id"], symbol, params)
    assert await client.fetch_open_orders(symbol, params=params) == []


@KINDS
async def test_orders_over_the_websocket_api(client: Any, kind: str):
    symbol = SYMBOLS[kind]
    price = round(await last_price(client, symbol) * 0.97)
    order = await soon(client.create_order_ws(symbol, "limit", "buy", 0.01, price))
    assert order["status"] == "open"
    amended = await soon(client.edit_order_ws(order["id"], symbol, "limit", "buy", 0.012, price))
    assert amended["amount"] == 0.012
    assert (await soon(client.fetch_order_ws(amended["id"], symbol)))["status"] == "open"
    assert (await soon(client.cancel_order_ws(amended["id"], symbol)))["status"] == "canceled"


@pytest.mark.parametrize("kind", ["linear"])
async def test_futures_leverage_funding_and_reduce_only(client: Any, kind: str):
    assert (await client.set_leverage(10, LINEAR))["leverage"] == 10
    assert (await client.fetch_funding_rate(LINEAR))["markPrice"] > 0
    assert (await client.fetch_leverage_tiers([LINEAR]))[LINEAR][0]["maxLeverage"] >= 20
    assert (await soon(client.watch_mark_price(LINEAR)))["markPrice"] > 0
    await client.create_order(LINEAR, "market", "sell", 0.01)
    closing = await client.create_order(LINEAR, "market", "buy", 0.05, None, {"reduceOnly": True})
    assert closing["filled"] == 0.01
    assert await client.fetch_positions([LINEAR]) == []


async def test_a_client_with_defaults_and_all_markets_loads(world: World):
    async with ccxt_client(world.port, ("spot",), options={}) as client:
        await client.load_markets()
        assert set(client.markets) == {"BTC/USDT", "ETH/USDT", "BTC/USDT:USDT", "ETH/USDT:USDT"}
        book = await soon(client.watch_order_book(SPOT))
        for _ in range(5):
            book = await soon(client.watch_order_book(SPOT))
        assert book["bids"]
