"""The streams of the venue: our own codecs read them, and their shapes are those of recorded messages."""

import asyncio
import hmac
import json
import time
from collections.abc import AsyncIterator
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from feeds.venue.orders import NewOrder, OrderType, Side
from feeds.venue.wire.binance import Settings
from patriot.domain.listing import instruments
from patriot.protocols.binance import BinanceLinear, BinanceSpot
from patriot.protocols.codec import Channel, Subscription
from patriot.protocols.events import Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.data import recording
from tests.integration.venue.binance_world import KEY, LINEAR, SECRET, SPOT, World, living_venue

CODECS = {"spot": BinanceSpot, "linear": BinanceLinear}
PATHS = {"spot": ("/stream", "/stream"), "linear": ("/public/stream", "/market/stream")}
CHANNELS: dict[str, tuple[list[Channel], list[Channel]]] = {
    "spot": (["depth", "quote", "trade"], ["aggregate_trade", "ticker", "mini_ticker", "bar"]),
    "linear": (["depth", "quote", "trade"], ["aggregate_trade", "ticker", "mini_ticker", "bar", "mark_price"]),
}
pytestmark = pytest.mark.requirement("P6", "P7")


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with living_venue() as living:
        yield living


def signed(**params: object) -> dict[str, object]:
    """Parameters for the WebSocket API."""
    full: dict[str, object] = {"apiKey": KEY, "timestamp": int(time.time() * 1000), **params}
    text = "&".join(f"{name}={full[name]}" for name in sorted(full))
    return full | {"signature": hmac.new(SECRET.encode(), text.encode(), sha256).hexdigest()}


async def call(world: World, method: str, path: str, **params: object) -> Any:
    """One signed REST request that must succeed."""
    query = urlencode(params | {"timestamp": int(time.time() * 1000)})
    signature = hmac.new(SECRET.encode(), query.encode(), sha256).hexdigest()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}", headers={"X-MBX-APIKEY": KEY}) as browser:
        answer = await browser.request(method, f"{path}?{query}&signature={signature}")
    assert answer.status_code == 200, answer.text
    return answer.json()


async def get(world: World, path: str) -> bytes:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{world.port}") as browser:
        return (await browser.get(path)).content


async def receive(client: ClientConnection) -> Any:
    return json.loads(await asyncio.wait_for(client.recv(), 5))


async def wait_for(client: ClientConnection, event: str) -> Any:
    """Read on until an event of a name arrives; return it without its wrapping."""
    async with asyncio.timeout(8):
        while True:
            message = await receive(client)
            message = message.get("event") or message.get("data") or message
            if isinstance(message, dict) and message.get("e") == event:
                return message


# our own codecs


@pytest.mark.parametrize("kind", ["spot", "linear"])
async def test_our_codec_reads_definitions_streams_and_snapshots(world: World, kind: str):
    listed = [one for one in instruments("BINANCE") if one.kind == kind]
    codec_class = CODECS[kind]
    read = codec_class.decode_instruments(await get(world, codec_class.instruments_path))
    for mine, theirs in zip(listed, read, strict=True):
        for name in ("id", "tick_size", "lot_size", "minimum_notional", "minimum_quantity", "kind"):
            assert getattr(mine, name) == getattr(theirs, name)
    seen: dict[type, int] = {}
    for path, channels in zip(PATHS[kind], CHANNELS[kind], strict=True):
        events = await listen(world, codec_class(listed), path, channels, listed[0].id)
        for event in events:
            seen[type(event)] = seen.get(type(event), 0) + 1
    expected = {BookSnapshot, BookDelta, Quote, Trade, Ticker, Bar} | ({MarkPrice} if kind == "linear" else set())
    assert expected <= set(seen)
    assert seen[BookDelta] >= 10


async def listen(world: World, codec: Any, path: str, channels: list[Channel], instrument: str) -> list[Any]:
    """Two seconds of some channels; books must stay in sequence and end equal to the venue's."""
    events: list[Any] = []
    async with connect(f"ws://127.0.0.1:{world.port}{path}") as client:
        wanted = [Subscription(one, instrument, 60 if one == "bar" else 0) for one in channels]
        for frame in codec.subscribe(wanted):
            await client.send(frame.decode())
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            for event in codec.feed((await asyncio.wait_for(client.recv(), 5)).encode()):
                if isinstance(event, Resync):
                    assert event.cause == "no_snapshot", event
                    events += codec.snapshot(instrument, await get(world, event.request))
                else:
                    events.append(event)
    return events


@pytest.mark.parametrize("kind", ["spot", "linear"])
async def test_joined_depth_messages_rebuild_the_venues_book_exactly(world: World, kind: str):
    """The oracle is the venue's own book, taken when its sequence equals the last message's."""
    instrument = world.exchange.find_instrument("BTCUSDT", "spot" if kind == "spot" else "linear")
    path = "/ws/btcusdt@depth@100ms" if kind == "spot" else "/public/ws/btcusdt@depth@100ms"
    async with connect(f"ws://127.0.0.1:{world.port}{path}") as client:
        book = json.loads(
            await get(world, f"{'/api/v3' if kind == 'spot' else '/fapi/v1'}/depth?symbol=BTCUSDT&limit=5000")
        )
        sides = {side: {Decimal(price): Decimal(size) for price, size in book[side]} for side in ("bids", "asks")}
        last, compared, previous = book["lastUpdateId"], 0, None
        end = time.monotonic() + 8
        while time.monotonic() < end and compared < 10:
            message = await receive(client)
            if previous is not None:
                assert message["U"] == previous + 1
                assert message.get("pu", previous) == previous
            previous = message["u"]
            if message["u"] <= last:
                continue
            for key, side in (("b", "bids"), ("a", "asks")):
                for price, size in message[key]:
                    sides[side][Decimal(price)] = Decimal(size)
                    if not Decimal(size):
                        del sides[side][Decimal(price)]
            now = world.exchange.book(instrument.id, 5000)
            if now.sequence == message["u"]:
                compared += 1
                for side, levels in (("bids", now.bids), ("asks", now.asks)):
                    expected = {instrument.price_of(price): instrument.quantity_of(size) for price, size in levels}
                    assert sides[side] == expected
        assert compared >= 10


# shapes


def check(actual: Any, recorded: Any, where: str = "", absent: frozenset[str] = frozenset()) -> None:
    """Every key of the recorded message is there, with a value of the same type; None fits everything."""
    if isinstance(recorded, dict):
        for key, value in recorded.items():
            if key not in absent:
                assert key in actual, f"{where}.{key} is missing"
                check(actual[key], value, f"{where}.{key}")
    elif isinstance(recorded, list):
        assert isinstance(actual, list), where
        if recorded and actual:
            check(actual[0], recorded[0], f"{where}[0]")
    elif actual is not None and recorded is not None:
        same = type(actual) is type(recorded) or {type(actual), type(recorded)} == {int, float}
        assert same, f"{where}: {actual!r} where {recorded!r} was recorded"


def fixture(name: str) -> Any:
    return json.loads(recording(f"nautilus/fixtures/{name}").read_text())


REST_SHAPES = {
    "/api/v3/exchangeInfo": "binance/spot/http_json/exchange_info_response.json",
    "/api/v3/depth?symbol=BTCUSDT": "binance/spot/http_json/depth_response.json",
    "/api/v3/trades?symbol=BTCUSDT": "binance/spot/http_json/trades_response.json",
    "/api/v3/aggTrades?symbol=BTCUSDT": "binance_py/http_responses/http_spot_market_agg_trades.json",
    "/api/v3/klines?symbol=BTCUSDT&interval=1m": "binance/spot/http_json/klines_response.json",
    "/api/v3/ticker/24hr?symbol=BTCUSDT": "binance/spot/http_json/ticker_24hr_response.json",
    "/api/v3/ticker/price?symbol=BTCUSDT": "binance/spot/http_json/ticker_price_response.json",
    "/api/v3/ticker/bookTicker?symbol=BTCUSDT": "binance/spot/http_json/book_ticker_response.json",
    "/api/v3/avgPrice?symbol=BTCUSDT": "binance/spot/http_json/avg_price_response.json",
    "/api/v3/time": "binance/spot/http_json/server_time_response.json",
    "/api/v3/ping": "binance/spot/http_json/ping_response.json",
}


@pytest.mark.parametrize("path", REST_SHAPES)
async def test_public_rest_answers_have_recorded_shapes(world: World, path: str):
    check(json.loads(await get(world, path)), fixture(REST_SHAPES[path]), path)


async def test_private_rest_answers_have_recorded_shapes(world: World):
    spot: dict[str, object] = {"symbol": "BTCUSDT"}
    order = spot | {"side": "BUY", "type": "MARKET", "quantity": "0.01"}
    waiting = spot | {"side": "BUY", "type": "LIMIT", "quantity": "0.01", "price": "30000", "timeInForce": "GTC"}
    shapes = "binance/spot/http_json"
    check(await call(world, "POST", "/api/v3/order", **order), fixture(f"{shapes}/new_order_full_response.json"))
    made = await call(world, "POST", "/api/v3/order", **waiting)
    found = await call(world, "GET", "/api/v3/order", orderId=made["orderId"], **spot)
    check(found, fixture(f"{shapes}/order_response.json"))
    for path, name in (
        ("/api/v3/openOrders", "open_orders"),
        ("/api/v3/allOrders", "all_orders"),
        ("/api/v3/myTrades", "account_trades"),
    ):
        check(await call(world, "GET", path, **spot), fixture(f"{shapes}/{name}_response.json"), path)
    check(await call(world, "GET", "/api/v3/account"), fixture(f"{shapes}/account_response.json"))
    shapes = "binance/futures/http_json"
    await call(world, "POST", "/fapi/v1/order", **order)
    check(await call(world, "POST", "/fapi/v1/order", **waiting), fixture(f"{shapes}/order_response.json"))
    check(await call(world, "GET", "/fapi/v2/account"), fixture(f"{shapes}/account_info_v2.json"))
    check(await call(world, "GET", "/fapi/v2/balance"), fixture(f"{shapes}/balance.json"))
    check(await call(world, "GET", "/fapi/v2/positionRisk"), fixture(f"{shapes}/position_risk.json"))


SPOT_STREAMS = {
    "btcusdt@trade": ("binance_py/ws_messages/ws_spot_trade.json", {"a", "b"}),  # no longer sent by Binance
    "btcusdt@aggTrade": ("binance_py/ws_messages/ws_spot_agg_trade.json", {"st"}),
    "btcusdt@bookTicker": ("binance_py/ws_messages/ws_spot_ticker_book.json", {"E", "T"}),  # futures only
    "btcusdt@ticker": ("binance_py/ws_messages/ws_spot_ticker_24hr.json", set()),
}
LINEAR_STREAMS = {
    "btcusdt@trade": ("trade_stream", set()),
    "btcusdt@aggTrade": ("agg_trade_stream", set()),
    "btcusdt@bookTicker": ("book_ticker_stream", set()),
    "btcusdt@depth@100ms": ("depth_update_stream", set()),
    "btcusdt@depth5@100ms": ("depth_update_stream", set()),
    "btcusdt@ticker": ("ticker_stream", set()),
    "btcusdt@kline_1m": ("kline_stream_open", set()),
    "btcusdt@markPrice@1s": ("mark_price_stream", set()),
}


async def test_streams_have_recorded_shapes(world: World):
    async with connect(f"ws://127.0.0.1:{world.port}/stream?streams={'/'.join(SPOT_STREAMS)}") as client:
        await check_streams(client, {name: (fixture(file), gone) for name, (file, gone) in SPOT_STREAMS.items()})
    shapes = "binance/futures/market_data_json"
    files = {name: (fixture(f"{shapes}/{file}.json"), gone) for name, (file, gone) in LINEAR_STREAMS.items()}
    async with connect(f"ws://127.0.0.1:{world.port}/futures/stream?streams={'/'.join(files)}") as client:
        await check_streams(client, files)


async def check_streams(client: ClientConnection, wanted: dict[str, tuple[Any, set[str]]]) -> None:
    missing = set(wanted)
    while missing:
        message = await receive(client)
        recorded, gone = wanted[message["stream"]]
        check(message["data"], recorded.get("data", recorded), message["stream"], frozenset(gone))
        missing.discard(message["stream"])


# user data


async def test_spot_user_data_has_recorded_shapes_and_says_what_happened(world: World):
    shapes = "binance/spot/user_data_json"
    async with connect(f"ws://127.0.0.1:{world.port}/ws-api/v3") as client:
        request = {"id": "a", "method": "userDataStream.subscribe.signature", "params": signed()}
        await client.send(json.dumps(request))
        assert await receive(client) == {"id": "a", "status": 200, "result": {"subscriptionId": 0}}
        world.exchange.deposit(world.trader, "spot", "BTC", Decimal("0.5"))
        moved = await wait_for(client, "balanceUpdate")
        check(moved, fixture(f"{shapes}/balance_update.json"))
        assert (moved["a"], moved["d"]) == ("BTC", "0.50000000")
        await call(world, "POST", "/api/v3/order", symbol="BTCUSDT", side="SELL", type="MARKET", quantity="0.01")
        first = await wait_for(client, "executionReport")
        check(first, fixture(f"{shapes}/execution_report_new.json"))
        trade = await wait_for(client, "executionReport")
        check(trade, fixture(f"{shapes}/execution_report_trade.json"))
        check(trade, fixture("binance_py/ws_messages/ws_spot_execution_report_trade.json")["data"])
        assert (first["x"], trade["x"]) == ("NEW", "TRADE")
        check(await wait_for(client, "outboundAccountPosition"), fixture(f"{shapes}/account_position.json"))
        await client.send(
            json.dumps({"id": 2, "method": "userDataStream.unsubscribe", "params": {"subscriptionId": 0}})
        )
        assert (await receive(client))["status"] == 200
        assert not world.exchange._events.hears_account("trader")


async def test_futures_user_data_has_recorded_shapes_and_says_what_happened(world: World):
    shapes = "binance/futures/user_data_json"
    key = (await call(world, "POST", "/fapi/v1/listenKey"))["listenKey"]
    async with connect(f"ws://127.0.0.1:{world.port}/private/ws?listenKey={key}") as client:
        await call(world, "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
        check(await wait_for(client, "ORDER_TRADE_UPDATE"), fixture(f"{shapes}/order_update_new.json"))
        trade = await wait_for(client, "ORDER_TRADE_UPDATE")
        check(trade, fixture(f"{shapes}/order_update_trade.json"))
        assert trade["o"]["X"] == "FILLED"
        update = await wait_for(client, "ACCOUNT_UPDATE")
        check(update, fixture(f"{shapes}/account_update.json"))
        assert (update["a"]["m"], update["a"]["P"][0]["pa"]) == ("ORDER", "0.010")
        stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "triggerPrice": "30000"}
        made = await call(world, "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", **stop)
        waiting = await wait_for(client, "ALGO_UPDATE")
        assert (waiting["o"]["aid"], waiting["o"]["X"]) == (made["algoId"], "NEW")
        await call(world, "DELETE", "/fapi/v1/algoOrder", algoId=made["algoId"])
        assert (await wait_for(client, "ALGO_UPDATE"))["o"]["X"] == "CANCELED"
        await call(world, "POST", "/fapi/v1/leverage", symbol="BTCUSDT", leverage=7)
        assert (await wait_for(client, "ACCOUNT_CONFIG_UPDATE"))["ac"] == {"s": "BTCUSDT", "l": 7}


async def test_a_triggered_stop_becomes_an_order(world: World):
    await call(world, "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    mark = world.exchange.mark_price(f"BINANCE:{LINEAR}").mark / 10**2
    stop = {"symbol": "BTCUSDT", "side": "SELL", "type": "STOP_MARKET", "quantity": "0.01", "algoType": "CONDITIONAL"}
    made = await call(world, "POST", "/fapi/v1/algoOrder", triggerPrice=f"{mark * 0.999:.1f}", **stop)
    world.exchange.create(world.exchange.account("taker"), sale(Decimal("3.2")))
    order = await call(world, "GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=made["algoId"])
    assert (order["status"], order["type"], order["origType"]) == ("FILLED", "MARKET", "STOP_MARKET")
    algo = await call(world, "GET", "/fapi/v1/algoOrder", algoId=made["algoId"])
    assert (algo["algoStatus"], algo["actualOrderId"]) == ("FINISHED", str(made["algoId"]))


@pytest.mark.requirement("P9")
async def test_an_iceberg_is_told_in_the_exchanges_own_form_and_hides_from_the_public(world: World):
    answer = await call(world, "GET", "/api/v3/exchangeInfo", symbol="BTCUSDT")
    (listed,) = answer["symbols"]
    assert listed["icebergAllowed"]
    assert {"filterType": "ICEBERG_PARTS", "limit": 10} in listed["filters"]
    best = Decimal((await call(world, "GET", "/api/v3/ticker/bookTicker", symbol="BTCUSDT"))["bidPrice"])
    wish = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "price": f"{best - 700:.2f}"}
    made = await call(world, "POST", "/api/v3/order", **wish, quantity="0.01", icebergQty="0.002")
    assert (Decimal(made["icebergQty"]), Decimal(made["origQty"])) == (Decimal("0.002"), Decimal("0.01"))
    asked = await call(world, "GET", "/api/v3/order", symbol="BTCUSDT", orderId=made["orderId"])
    assert Decimal(asked["icebergQty"]) == Decimal("0.002")
    depth = await call(world, "GET", "/api/v3/depth", symbol="BTCUSDT", limit=5000)
    assert dict(map(tuple, depth["bids"]))[made["price"]] == made["icebergQty"]


@pytest.mark.requirement("P9")
async def test_a_trailing_stop_is_told_in_the_exchanges_own_form(world: World):
    """Nobody is told that it follows; what it becomes carries its activation price and its rate."""
    key = (await call(world, "POST", "/fapi/v1/listenKey"))["listenKey"]
    await call(world, "POST", "/fapi/v1/order", symbol="BTCUSDT", side="BUY", type="MARKET", quantity="0.01")
    last = Decimal(world.exchange.ticker(f"BINANCE:{LINEAR}").last) / 10**2
    async with connect(f"ws://127.0.0.1:{world.port}/private/ws/{key}") as client:
        made = await call(
            world, "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
            type="TRAILING_STOP_MARKET", quantity="0.01", callbackRate="0.1", activatePrice=f"{last * 2:.1f}",
        )  # fmt: skip
        rate, activation = made["callbackRate"], Decimal(made["activatePrice"])
        assert (made["orderType"], rate, activation, Decimal(made["triggerPrice"])) == (
            "TRAILING_STOP_MARKET", "0.1", round(last * 2, 1), 0,
        )  # fmt: skip
        waiting = (await wait_for(client, "ALGO_UPDATE"))["o"]
        assert (waiting["o"], waiting["X"], waiting["aid"]) == ("TRAILING_STOP_MARKET", "NEW", made["algoId"])
        world.exchange.create(world.exchange.account("taker"), sale(Decimal("0.1")))
        await call(world, "DELETE", "/fapi/v1/algoOrder", algoId=made["algoId"])
        assert (await wait_for(client, "ALGO_UPDATE"))["o"]["X"] == "CANCELED"
        again = await call(
            world, "POST", "/fapi/v1/algoOrder", algoType="CONDITIONAL", symbol="BTCUSDT", side="SELL",
            type="TRAILING_STOP_MARKET", quantity="0.01", callbackRate="0.1",
        )  # fmt: skip
        world.exchange.create(world.exchange.account("taker"), sale(Decimal("3.2")))
        update = (await wait_for(client, "ORDER_TRADE_UPDATE"))["o"]
        assert (update["o"], update["ot"], update["AP"], update["cr"], update["i"]) == (
            "MARKET", "TRAILING_STOP_MARKET", "0", "0.1", again["algoId"],
        )  # fmt: skip
    order = await call(world, "GET", "/fapi/v1/order", symbol="BTCUSDT", orderId=again["algoId"])
    assert (order["status"], order["origType"], order["priceRate"]) == ("FILLED", "TRAILING_STOP_MARKET", "0.1")


def sale(quantity: Decimal) -> NewOrder:
    return NewOrder(instrument_id=f"BINANCE:{LINEAR}", side=Side.SELL, type=OrderType.MARKET, quantity=quantity)


# ends


async def test_listen_key_expires_and_says_so():
    async with living_venue(Settings(is_limited=False, listen_key_ms=500)) as world:
        key = (await call(world, "POST", "/fapi/v1/listenKey"))["listenKey"]
        async with connect(f"ws://127.0.0.1:{world.port}/private/ws/{key}") as client:
            assert (await wait_for(client, "listenKeyExpired"))["listenKey"] == key
        async with connect(f"ws://127.0.0.1:{world.port}/private/ws/{key}") as client:
            with pytest.raises(ConnectionClosed):
                await client.recv()
            assert client.close_code == 1008


@pytest.mark.parametrize("path", ["/ws/btcusdt@trade", "/ws-api/v3"])
async def test_old_connections_are_announced_and_closed(path: str):
    settings = Settings(is_limited=False, lifetime_s=0.6, notice_s=0.3)
    async with living_venue(settings) as world, connect(f"ws://127.0.0.1:{world.port}{path}") as client:
        await wait_for(client, "serverShutdown")
        with pytest.raises(ConnectionClosed):
            await wait_for(client, "never")
        assert client.close_code == 1001


# bad input


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", 3),
        ('["SUBSCRIBE"]', 2),
        ('{"method":"DANCE","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":"btcusdt@trade","id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["nope@trade"],"id":1}', 2),
        ('{"method":"SUBSCRIBE","params":["btcusdt@depth@7ms"],"id":1}', 2),
        ('{"method":"SET_PROPERTY","params":["combined","yes"],"id":1}', 1),
        ('{"method":"GET_PROPERTY","params":["colour"],"id":1}', 0),
        ('{"method":{"a":1},"params":[[[[]]]],"id":{}}', 2),
    ],
)
async def test_bad_stream_frames_are_answered_and_the_connection_lives(world: World, frame: str, code: int):
    async with connect(f"ws://127.0.0.1:{world.port}/ws") as client:
        await client.send(frame)
        assert (await receive(client))["error"]["code"] == code
        await client.send(b"\xff\xfe")
        assert (await receive(client))["error"]["code"] == 3
        await client.send('{"method":"SUBSCRIBE","params":["btcusdt@bookTicker"],"id":7}')
        assert await receive(client) == {"result": None, "id": 7}
        assert (await receive(client))["s"] == "BTCUSDT"
        await client.send('{"method":"UNSUBSCRIBE","params":["btcusdt@bookTicker"],"id":8}')
        async with asyncio.timeout(5):
            while (await receive(client)).get("id") != 8:
                pass
        await client.send('{"method":"LIST_SUBSCRIPTIONS","id":9}')
        assert await receive(client) == {"result": [], "id": 9}


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("nonsense", -1135),
        ('{"id":[1],"method":"ping"}', -1135),
        ('{"id":1,"method":"dance"}', -1020),
        ('{"id":1,"method":"order.place","params":{}}', -2014),
        ('{"id":1,"method":"order.place","params":{"apiKey":"x"}}', -2015),
        ('{"id":1,"method":"order.place","params":[]}', -1100),
        (f'{{"id":1,"method":"order.place","params":{{"apiKey":"{KEY}"}}}}', -1102),
        ('{"id":1,"method":"depth","params":{"symbol":"NOPE"}}', -1121),
        ('{"id":1,"method":"depth","params":{"symbol":"BTCUSDT","limit":1e400}}', -1100),
    ],
)
async def test_bad_api_frames_are_answered_and_the_connection_lives(world: World, frame: str, code: int):
    async with connect(f"ws://127.0.0.1:{world.port}/ws-api/v3") as client:
        await client.send(frame)
        assert (await receive(client))["error"]["code"] == code
        await client.send('{"id":null,"method":"ping"}')
        assert await receive(client) == {"id": None, "status": 200, "result": {}}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"type": ""}, -1102),
        ({"type": "DANCE"}, -1116),
        ({"side": "LEFT"}, -1117),
        ({"timeInForce": "NEVER"}, -1115),
        ({"quantity": "NaN"}, -1100),
        ({"quantity": "-1"}, -1013),
        ({"quantity": "1e999999"}, -1100),
        ({"price": "0"}, -1013),
        ({"newClientOrderId": "spaces are bad"}, -1100),
        ({"newClientOrderId": "x" * 37}, -1100),
        ({"newOrderRespType": "LONG"}, -1136),
        ({"selfTradePreventionMode": "SOMETIMES"}, -5039),
        ({"stopPrice": "1"}, -1106),
        ({"recvWindow": 60_001}, -1131),
    ],
)
async def test_bad_order_parameters_name_the_parameter(world: World, changes: dict[str, object], code: int):
    order = {
        "symbol": "BTCUSDT",
        "side": "BUY",
        "type": "LIMIT",
        "timeInForce": "GTC",
        "quantity": "0.01",
        "price": "30000",
    }
    async with connect(f"ws://127.0.0.1:{world.port}/ws-api/v3") as client:
        await client.send(json.dumps({"id": 1, "method": "order.place", "params": signed(**(order | changes))}))
        assert (await receive(client))["error"]["code"] == code
    assert not world.trader.by_id


async def test_spot_sockets_are_told_from_futures(world: World):
    async with connect(f"ws://127.0.0.1:{world.port}/ws/btcusdt@bookTicker") as spot:
        assert "e" not in await receive(spot)
    async with connect(f"ws://127.0.0.1:{world.port}/public/ws/btcusdt@bookTicker") as linear:
        assert (await receive(linear))["e"] == "bookTicker"
    assert {SPOT, LINEAR} == {one.symbol for one in world.exchange.instruments if one.base == "BTC"}
