"""Frames and bodies that no good client sends, the shapes of the streams, and our own codec as their reader."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from feeds.venue.faults import Fault, FaultPlan, Rule
from feeds.venue.orders import NewOrder, OrderType, Side
from feeds.venue.wire.bybit import FUNDING, PRIVATE, PUBLIC, Bybit
from feeds.venue.wire.bybit_access import signature
from feeds.venue.wire.server import serving
from patriot.protocols.bybit import BybitLinear, BybitSpot
from patriot.protocols.codec import Subscription
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.integration.venue.test_bybit_ccxt import GENEROUS, LINEAR, SPOT, Market


@asynccontextmanager
async def venue() -> AsyncIterator[tuple[Market, Bybit, int]]:
    market = Market()
    mount = Bybit(market.exchange, GENEROUS)
    async with serving([mount]) as port:
        yield market, mount, port


@asynccontextmanager
async def socket(port: int, path: str) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{port}/v5/{path}") as connection:
        yield connection


async def ask(connection: ClientConnection, frame: Any) -> Any:
    await connection.send(frame if isinstance(frame, (str, bytes)) else json.dumps(frame))
    return json.loads(await asyncio.wait_for(connection.recv(), 5))


def auth_frame(signed_with: str = "secret", expires_ms: int | None = None) -> dict[str, Any]:
    expires = str(expires_ms or int(time.time() * 1000) + 10_000)
    return {"op": "auth", "args": ["key", expires, signature(signed_with, f"GET/realtime{expires}")]}


GARBAGE = [
    "",
    "{",
    "[]",
    "null",
    '"op"',
    "{}",
    '{"op":null}',
    '{"op":{}}',
    '{"op":["subscribe"]}',
    '{"op":"subscribe"}',
    '{"op":"subscribe","args":"tickers.BTCUSDT"}',
    '{"op":"subscribe","args":[1]}',
    '{"op":"subscribe","args":["nonsense"]}',
    '{"op":"subscribe","args":["orderbook.7.BTCUSDT"]}',
    '{"op":"subscribe","args":["orderbook.50.NOPE"]}',
    '{"op":"unsubscribe","args":[null]}',
    '{"op":"order.create","args":[{}],"reqId":"1"}',
    '{"op":"auth","args":[]}',
    '{"op":"auth","args":["key","soon","00"]}',
    '{"op":"auth","args":[{},[],null]}',
    "[" * 5000,
    '{"op":"ping","req_id":' + "9" * 400 + "}",
    "\x00",
    b"\xff\xfe",
    b"\x1f\x8b\x08\x00",
]


@pytest.mark.parametrize("path", ["public/spot", "public/linear", "private", "trade"])
async def test_bybit_socket_answers_garbage_and_lives(path: str) -> None:
    async with venue() as (_, __, port), socket(port, path) as connection:
        for frame in GARBAGE:
            answer = await ask(connection, frame)
            assert answer.get("success") is False or answer.get("retCode", 0) or answer["op"] in {"ping", "pong"}, frame
        pong = await ask(connection, {"op": "ping", "req_id": "7"})
        assert pong["op"] in {"ping", "pong"}


async def test_bybit_oversized_frame_closes_only_its_connection() -> None:
    async with venue() as (_, __, port):
        async with socket(port, "public/linear") as connection:
            await connection.send("x" * (1 << 20))
            with pytest.raises(ConnectionClosed):
                await connection.recv()
        async with socket(port, "public/linear") as connection:
            assert (await ask(connection, {"op": "ping"}))["ret_msg"] == "pong"


async def test_bybit_unknown_socket_path_is_closed() -> None:
    async with venue() as (_, __, port), socket(port, "public/moon") as connection:
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1008


def signed(body: str, path: str = "") -> dict[str, str]:
    now = str(int(time.time() * 1000))
    sign = signature("secret", f"{now}key5000{body}")
    return {
        "X-BAPI-API-KEY": "key",
        "X-BAPI-TIMESTAMP": now,
        "X-BAPI-RECV-WINDOW": "5000",
        "X-BAPI-SIGN": sign,
        "Content-Type": "application/json",
    }


BODIES = [
    "",
    "null",
    "[]",
    "{",
    "{}",
    "[" * 5000,
    '{"category":"moon"}',
    '{"category":"linear"}',
    '{"category":{"a":1},"symbol":"BTCUSDT"}',
    '{"category":"linear","symbol":["BTCUSDT"]}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":1.5,"price":"1"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"NaN","price":"1"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1e5","price":"1"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"-1","price":"1"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0","price":"59000"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"1","price":"-1"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"999999999999999999999999","price":"1"}',
    '{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.000000000000000001"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"buy","orderType":"Limit","qty":"1","price":"59000"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit","qty":"0.01"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","timeInForce":"PostOnly"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","triggerPrice":"70000"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","positionIdx":1}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","orderLinkId":"a b"}',
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","stopLoss":"50000"}',
    '{"category":"spot","symbol":"BTCUSDT","side":"Buy","orderType":"Market","qty":"0.01","isLeverage":1}',
    '{"category":"linear","symbol":"BTCUSDT","orderId":"\\ud800"}',
    '{"category":"linear","symbol":"BTCUSDT","orderId":"1","qty":"x"}',
    '{"category":"linear","symbol":"BTCUSDT","buyLeverage":"2.5","sellLeverage":"2.5"}',
    '{"category":"linear","symbol":"BTCUSDT","buyLeverage":"2","sellLeverage":"3"}',
    '{"category":"spot","symbol":"BTCUSDT","buyLeverage":"2","sellLeverage":"2"}',
]
COMMANDS = sorted(path for method, path in PRIVATE if method == "POST")


async def test_bybit_malformed_bodies_are_refused_and_change_nothing() -> None:
    async with venue() as (market, _, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        before = market.exchange.balances(market.trader, "linear")
        for path in COMMANDS:
            for body in BODIES:
                answer = await http.post(path, content=body, headers=signed(body))
                assert answer.status_code == 200, (path, body, answer.text)
                envelope = answer.json()
                assert set(envelope) == {"retCode", "retMsg", "result", "retExtInfo", "time"}
                is_fine = path == "/v5/order/cancel-all" and '"symbol":"BTCUSDT"' in body
                assert is_fine or envelope["retCode"], (path, body)
                assert envelope["retCode"] != 10016, (path, body, envelope)
        assert market.exchange.orders(market.trader) == []
        assert market.exchange.balances(market.trader, "linear") == before


async def test_bybit_malformed_queries_are_refused() -> None:
    queries = ["", "category=moon", "category=linear&symbol=%00", "category=linear&symbol=BTCUSDT&limit=-1", "&" * 100,
               "category=linear&symbol=BTCUSDT&limit=x", "category=linear&symbol=BTCUSDT&cursor=-3", "a=1&" * 100,
               "category=linear&symbol=BTCUSDT&interval=7", "category=linear&symbol=BTCUSDT&startTime=1.5"]  # fmt: skip
    async with venue() as (_, __, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        for method, path in [*PUBLIC, *PRIVATE, FUNDING]:
            for query in queries if method == "GET" else []:
                answer = await http.get(f"{path}?{query}", headers=signed(query))
                assert answer.status_code == 200, (path, query)
                assert answer.json()["retCode"] in {0, 10001, 10004, 170121}, (path, query, answer.text)


async def test_bybit_oversized_body_and_unknown_path() -> None:
    async with venue() as (_, __, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        assert (await http.post("/v5/order/create", content=b"x" * (1 << 17))).status_code == 413
        unknown = await http.get("/v5/moon")
        assert (unknown.status_code, unknown.json()["retCode"]) == (404, 10017)
        unsigned = await http.post("/v5/order/create", content=b"{}")
        assert (unsigned.status_code, unsigned.json()["retCode"]) == (200, 10001)


async def test_bybit_signature_covers_the_whole_request() -> None:
    """A signed request whose body, query, key or window is changed afterwards is refused."""
    body = '{"category":"linear","symbol":"BTCUSDT","settleCoin":"USDT"}'
    async with venue() as (_, __, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        headers = signed(body)
        changed = body.replace("BTCUSDT", "ETHUSDT")
        assert (await http.post("/v5/order/cancel-all", content=changed, headers=headers)).json()["retCode"] == 10004
        wider = headers | {"X-BAPI-RECV-WINDOW": "60000"}
        assert (await http.post("/v5/order/cancel-all", content=body, headers=wider)).json()["retCode"] == 10004
        other = headers | {"X-BAPI-API-KEY": "other"}
        assert (await http.post("/v5/order/cancel-all", content=body, headers=other)).json()["retCode"] == 10003
        assert (await http.post("/v5/order/cancel-all", content=body, headers=headers)).json()["retCode"] == 0
        query = signed("category=linear&symbol=BTCUSDT")
        answer = await http.get("/v5/order/realtime?category=linear&symbol=BTCUSDT&limit=1", headers=query)
        assert answer.json()["retCode"] == 10004


async def test_bybit_private_topics_need_the_right_key() -> None:
    async with venue() as (market, _, port), socket(port, "private") as connection:
        assert not (await ask(connection, {"op": "subscribe", "args": ["order"]}))["success"]
        assert not (await ask(connection, auth_frame("wrong")))["success"]
        assert not (await ask(connection, auth_frame(expires_ms=1)))["success"]
        market.exchange.deposit(market.trader, "linear", "USDT", Decimal(1))
        assert (await ask(connection, auth_frame()))["success"]
        assert not (await ask(connection, {"op": "subscribe", "args": ["order", "moon"]}))["success"]
        assert (await ask(connection, {"op": "subscribe", "args": ["wallet"], "req_id": "3"}))["req_id"] == "3"
        market.exchange.deposit(market.trader, "linear", "USDT", Decimal(1))
        wallet = json.loads(await connection.recv())
        assert (wallet["topic"], wallet["data"][0]["accountType"]) == ("wallet", "UNIFIED")
        assert (await ask(connection, {"op": "unsubscribe", "args": ["wallet"]}))["success"]
        market.exchange.deposit(market.trader, "linear", "USDT", Decimal(1))
        assert (await ask(connection, {"op": "ping", "req_id": "4"}))["op"] == "pong"


async def test_bybit_private_topics_of_one_category() -> None:
    async with venue() as (market, _, port), socket(port, "private") as connection:
        await ask(connection, auth_frame())
        topics = ["order.linear", "execution.spot", "execution.fast.linear", "position.linear"]
        assert (await ask(connection, {"op": "subscribe", "args": topics}))["success"]
        for symbol in (LINEAR, SPOT):
            market.exchange.create(
                market.trader,
                NewOrder(
                    instrument_id=f"BYBIT:{symbol}", side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.01")
                ),
            )
        heard = [json.loads(await asyncio.wait_for(connection.recv(), 5)) for _ in range(5)]
        assert [one["topic"] for one in heard] == [
            "order.linear", "order.linear", "execution.fast.linear", "position.linear", "execution.spot",
        ]  # fmt: skip
        assert [one["data"][0]["category"] for one in heard] == ["linear"] * 4 + ["spot"]


async def test_bybit_liquidations_are_told_with_the_side_of_the_position() -> None:
    async with venue() as (market, _, port), socket(port, "public/linear") as connection:
        exchange, id_ = market.exchange, f"BYBIT:{LINEAR}"
        topics = ["allLiquidation.BTCUSDT", "liquidation.BTCUSDT"]
        assert (await ask(connection, {"op": "subscribe", "args": topics}))["success"]
        exchange.set_mark(MarkPrice(id_, 6_000_000, 6_000_000, "0", 0, exchange.now_ms()))
        exchange.set_leverage(market.trader, id_, 100)
        exchange.create(
            market.trader, NewOrder(instrument_id=id_, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal(4))
        )
        exchange.set_mark(MarkPrice(id_, 5_700_000, 5_700_000, "0", 0, exchange.now_ms()))
        assert not exchange.positions(market.trader)
        first, second = [json.loads(await asyncio.wait_for(connection.recv(), 5)) for _ in range(2)]
        assert (first["data"][0]["S"], second["data"]["side"]) == ("Buy", "Buy")
        assert first["data"][0]["v"] == second["data"]["size"]


async def test_bybit_forgets_clients_that_left() -> None:
    async with venue() as (market, mount, port):
        publisher = mount._streams[1].publisher("tickers.BTCUSDT")
        async with socket(port, "public/linear") as public, socket(port, "private") as private:
            await public.send(json.dumps({"op": "subscribe", "args": ["tickers.BTCUSDT"]}))
            await public.recv()
            await ask(private, auth_frame())
            assert publisher.is_read
            assert market.exchange._events.hears_account("trader")
        await asyncio.sleep(0.2)
        assert not publisher.is_read
        assert not market.exchange._events.hears_account("trader")


async def test_bybit_trade_socket_needs_auth_header_and_fresh_time() -> None:
    order = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "price": "100"}
    frame = {"op": "order.create", "reqId": "9", "args": [order], "header": {"X-BAPI-TIMESTAMP": "1"}}
    fresh = frame | {"header": {"X-BAPI-TIMESTAMP": str(int(time.time() * 1000))}}
    async with venue() as (market, _, port), socket(port, "trade") as connection:
        assert (await ask(connection, fresh))["retCode"] == 10004
        assert (await ask(connection, auth_frame()))["retCode"] == 0
        assert (await ask(connection, frame))["retCode"] == 10002
        assert (await ask(connection, frame | {"header": None}))["retCode"] == 10001
        assert (await ask(connection, fresh | {"args": [order, order]}))["retCode"] == 10001
        assert market.exchange.orders(market.trader) == []
        answer = await ask(connection, fresh)
        assert (answer["retCode"], answer["reqId"], answer["op"]) == (0, "9", "order.create")
        assert set(answer["data"]) == {"orderId", "orderLinkId"}
        assert {"X-Bapi-Limit", "X-Bapi-Limit-Status", "X-Bapi-Limit-Reset-Timestamp"} <= set(answer["header"])


async def test_bybit_faults_strike_rest_sockets_and_streams() -> None:
    plan = FaultPlan(
        [
            Rule(Fault.ERROR_AFTER, operation="create", status=502),
            Rule(Fault.RATE_LIMITED, operation="cancel", retry_after_s=3),
            Rule(Fault.TIMEOUT_AFTER, operation="amend"),
            Rule(Fault.SKEW, skew_ms=60_000),
            Rule(Fault.GAP, operation="stream:wallet", skip=1),
        ]
    )
    market = Market()
    order = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "0.1"}
    body = json.dumps(order | {"price": "59000", "orderLinkId": "mine"})
    name = json.dumps({"category": "linear", "symbol": "BTCUSDT", "orderLinkId": "mine", "qty": "0.2"})
    async with (
        serving([Bybit(market.exchange, GENEROUS, plan)]) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=0.5) as http,
    ):
        assert int((await http.get("/v5/market/time")).json()["time"]) > time.time() * 1000 + 50_000
        assert (await http.post("/v5/order/create", content=body, headers=signed(body))).status_code == 502
        with pytest.raises(httpx.ReadTimeout):
            await http.post("/v5/order/amend", content=name, headers=signed(name))
        assert [one.quantity for one in market.exchange.open_orders(market.trader)] == [Decimal("0.2")]
        limited = await http.post("/v5/order/cancel", content=name, headers=signed(name))
        assert (limited.status_code, limited.headers["retry-after"]) == (429, "3")
        assert len(market.exchange.open_orders(market.trader)) == 1
        async with socket(port, "private") as connection:
            await ask(connection, auth_frame())
            await ask(connection, {"op": "subscribe", "args": ["wallet"]})
            for _ in range(3):
                market.exchange.deposit(market.trader, "linear", "USDT", Decimal(1))
            ids = [json.loads(await connection.recv())["id"] for _ in range(2)]
            assert [one.rpartition("_")[2] for one in ids] == ["1", "3"]


async def feed(codec: BybitLinear, connection: ClientConnection, seconds: float) -> list[Any]:
    events: list[Any] = []
    try:
        async with asyncio.timeout(seconds):
            while True:
                message = await connection.recv()
                events += codec.feed(message if isinstance(message, bytes) else message.encode())
    except TimeoutError:
        return events


@pytest.mark.requirement("P6")
@pytest.mark.parametrize(("make", "symbol"), [(BybitLinear, LINEAR), (BybitSpot, SPOT)])
async def test_bybit_own_codec_reads_every_public_stream(make: type[BybitLinear], symbol: str) -> None:
    async with venue() as (market, mount, port), httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as http:
        listed = make.decode_instruments((await http.get(make.instruments_path)).content)
        (instrument,) = listed
        assert (instrument.id, instrument.tick_size, instrument.lot_size) == (
            f"BYBIT:{symbol}",
            Decimal("0.1"),
            Decimal("0.001"),
        )
        codec = make(listed)
        channels = [channel for channel in codec.topics if channel != "bar"]
        wanted = [Subscription(channel, instrument.id) for channel in channels] + [
            Subscription("bar", instrument.id, 60)
        ]
        async with socket(port, f"public/{instrument.kind}") as connection:
            for frame in codec.subscribe(wanted):
                await connection.send(frame)
            events = await feed(codec, connection, 0.4)
            for step in range(30):
                market.quote(symbol, Side.BUY, Decimal(59_900) + step)
                market.take(symbol, Side.BUY, "0.01")
                if step == 20:
                    mount.restart_books()
                await asyncio.sleep(0.01)
            events += await feed(codec, connection, 1.0)
        kinds = {type(event) for event in events}
        assert kinds >= {BookSnapshot, BookDelta, Quote, Trade, Ticker, Bar}
        assert (MarkPrice in kinds) == instrument.is_derivative
        assert not [event for event in events if type(event).__name__ in {"Resync", "Declined", "Ignored"}]
        assert sum(isinstance(event, Trade) for event in events) == 30
        assert book_of(events) == truth(market, symbol, instrument.price_decimals)


def book_of(events: list[Any]) -> tuple[dict[int, int], dict[int, int]]:
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for event in events:
        if isinstance(event, BookSnapshot):
            bids, asks = {}, {}
        if isinstance(event, (BookSnapshot, BookDelta)):
            for side, changed in ((bids, event.bids), (asks, event.asks)):
                side.update(changed)
    return {price: size for price, size in bids.items() if size}, {price: size for price, size in asks.items() if size}


def truth(market: Market, symbol: str, price_decimals: int) -> tuple[dict[int, int], dict[int, int]]:
    """The exchange's book in the units of the codec's own scale."""
    unit = market.exchange.instrument(f"BYBIT:{symbol}")
    book = market.exchange.book(unit.id, 200)
    factor = 10**price_decimals
    bids, asks = ({int(unit.price_of(price) * factor): size for price, size in side} for side in (book.bids, book.asks))
    return bids, asks
