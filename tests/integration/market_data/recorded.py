"""A recorded Binance on a real socket: frames of a recording, REST that knows all of it, faults on demand.

The recording's trades go out as aggregates of one, which is what the feed subscribes to; everything else as recorded.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.http11 import Request, Response
from websockets.protocol import State

from feeds.market_data.endpoints import Endpoint
from feeds.market_data.hub import MarketHub
from feeds.market_data.outputs import Outputs
from feeds.market_data.service import MarketData
from feeds.market_data.timing import Timing
from feeds.market_data.transport import WebTransport
from patriot.protocols.binance import BinanceSpot
from patriot.protocols.market import Market, Trade
from patriot.protocols.recording import read_recording
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from tests.data import recording
from tests.support.host import running_host

INSTRUMENT = "BINANCE:BTC/USDT"
DEPTH_STREAM = "btcusdt@depth@100ms"
SYMBOL = {
    "symbol": "BTCUSDT",
    "baseAsset": "BTC",
    "quoteAsset": "USDT",
    "status": "TRADING",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000", "minQty": "0.00001000", "maxQty": "9000.00000000"},
    ],
    "quoteAssetPrecision": 8,
    "baseAssetPrecision": 8,
}
FAST = Timing(
    backoff_seconds=0.001,
    backoff_seconds_max=0.005,
    breaker_failures_max=1_000_000,
    sync_seconds_max=3,
    overlap_seconds=0.05,
    resync_seconds=1,
    backfill_pause_seconds=0.01,
    fallback_seconds=0.05,
)


def recorded_frames() -> Iterator[tuple[str, dict[str, Any]]]:
    """(stream, data) of the spot recording; the REST snapshot has the stream "snapshot"."""
    with recording("hftbacktest/spot_btcusdt_20240808.gz").open("rb") as file:
        for frame in read_recording(iter(lambda: file.read(1 << 16), b""), "spot"):
            message = json.loads(frame.payload)
            yield ("snapshot", message) if frame.kind == "rest" else (message["stream"], message["data"])


class RecordedExchange:
    """`play` sends the next frames to everybody who has subscribed them."""

    def __init__(self) -> None:
        self._frames = recorded_frames()
        self.bids: dict[str, str] = {}
        self.asks: dict[str, str] = {}
        self.update = 0
        self.trades: list[dict[str, Any]] = []
        self.topics: dict[ServerConnection, set[str]] = {}
        self.connections = 0
        self.drop_rest = False
        self._skip_to_snapshot()

    def _skip_to_snapshot(self) -> None:
        """Begin where the recording knows the book."""
        waiting = []
        for stream, data in self._frames:
            if stream == "snapshot":
                self.bids, self.asks = dict(data["bids"]), dict(data["asks"])
                self.update = data["lastUpdateId"]
                break
            waiting.append((stream, data))
        for stream, data in waiting:
            if stream == DEPTH_STREAM and data["u"] > self.update:
                self._apply(data)

    def _apply(self, data: dict[str, Any]) -> None:
        for side, changes in ((self.bids, data["b"]), (self.asks, data["a"])):
            for price, size in changes:
                if float(size):
                    side[price] = size
                else:
                    side.pop(price, None)
        self.update = data["u"]

    # --- what happens ---
    def play(self, count: int, *, lose: bool = False) -> None:
        """The next `count` frames; with `lose` nobody gets them."""
        for _ in range(count):
            stream, data = next(self._frames)
            if stream == DEPTH_STREAM:
                if data["u"] <= self.update:
                    continue
                self._apply(data)
            elif stream == "btcusdt@trade":
                stream = "btcusdt@aggTrade"
                data = {"e": "aggTrade", "a": data["t"], **{name: data[name] for name in "pqTm"}}
                self.trades.append(data)
            if not lose:
                self.send(json.dumps({"stream": stream, "data": data}), stream)

    def send(self, text: str, stream: str = "") -> None:
        for connection, topics in self.topics.items():
            if connection.state is State.OPEN and (not stream or stream in topics):
                connection.transport.write(_frame(text))

    def cut(self) -> None:
        """Every connection breaks, without a closing handshake."""
        for connection in list(self.topics):
            connection.transport.abort()

    # --- the server ---
    async def handle(self, connection: ServerConnection) -> None:
        self.connections += 1
        self.topics[connection] = set()
        try:
            async for message in connection:
                request = json.loads(message)
                change = {"SUBSCRIBE": set.update, "UNSUBSCRIBE": set.difference_update}[request["method"]]
                connection.transport.write(_frame(json.dumps({"result": None, "id": request["id"]})))
                change(self.topics[connection], request["params"])
        finally:
            del self.topics[connection]

    async def rest(self, connection: ServerConnection, request: Request) -> Response | None:
        """Plain HTTP on the same port."""
        address = urlsplit(request.path)
        if address.path.endswith("/stream"):
            return None
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        body = json.dumps(self._answer(address.path, query)).encode()
        headers = Headers({"content-type": "application/json", "content-length": str(len(body)), "connection": "close"})
        return Response(503 if self.drop_rest else 200, "", headers, body)

    def _answer(self, path: str, query: dict[str, str]) -> Any:
        if path.endswith("/exchangeInfo"):
            return {"symbols": [SYMBOL]}
        if path.endswith("/aggTrades"):
            start = int(query.get("fromId", 0))
            return [one for one in self.trades if one["a"] >= start][: int(query["limit"])]
        limit = int(query["limit"])
        bids = sorted(self.bids.items(), key=lambda level: -float(level[0]))[:limit]
        asks = sorted(self.asks.items(), key=lambda level: float(level[0]))[:limit]
        return {"lastUpdateId": self.update, "bids": bids, "asks": asks}


def _frame(text: str) -> bytes:
    """A text frame, unmasked, as servers send them: written at once, in order, without waiting."""
    payload = text.encode()
    size = len(payload)
    if size < 126:
        return bytes((0x81, size)) + payload
    if size < 1 << 16:
        return bytes((0x81, 126)) + size.to_bytes(2, "big") + payload
    return bytes((0x81, 127)) + size.to_bytes(8, "big") + payload


@dataclass
class Stage:
    """The recorded exchange, the feed that listens to it, and what it told."""

    exchange: RecordedExchange
    host: Host
    hub: MarketHub
    data: MarketData
    told: list[Market]

    async def until(self, condition: Any, seconds: float = 20) -> None:
        async with asyncio.timeout(seconds):
            while not condition():
                await asyncio.sleep(0.001)

    async def subscribed(self, streams: int = 3) -> None:
        """Somebody listens to everything."""
        await self.until(lambda: any(len(topics) >= streams for topics in self.exchange.topics.values()))

    async def caught_up(self) -> None:
        last = self.exchange.trades[-1]["a"] if self.exchange.trades else 0
        await self.until(lambda: not last or self.trade_ids()[-1:] == [last])

    def trade_ids(self) -> list[int]:
        return [int(one.trade_id) for one in self.told if isinstance(one, Trade)]

    def printed(self) -> list[int]:
        """Ids of all trades since the first that was told."""
        first = self.trade_ids()[0]
        return [one["a"] for one in self.exchange.trades if one["a"] >= first]

    def book_is_true(self) -> bool:
        """Whether the hub's best twenty levels are the exchange's."""
        image = self.hub.book(INSTRUMENT, 20)
        if image is None or not image.in_sync:
            return False
        price, quantity = image.instrument.price_of, image.instrument.quantity_of
        shown = [(float(price(level)), float(quantity(size))) for level, size in image.bids]
        bids = sorted(((float(one), float(size)) for one, size in self.exchange.bids.items()), reverse=True)
        return shown == bids[:20]


@asynccontextmanager
async def stage(timing: Timing = FAST, **settings: Any) -> AsyncIterator[Stage]:
    exchange = RecordedExchange()
    async with (
        serve(exchange.handle, "127.0.0.1", 0, process_request=exchange.rest, compression=None) as server,
        running_host(feeds=("relay",), market="replay", binance_connections_max=100_000, **settings) as host,
        WebTransport() as transport,
    ):
        hub = MarketHub(host.runtime.settings.staleness_seconds)
        told: list[Market] = []
        host.runtime.ticks.subscribe(hub.on_market)
        host.runtime.ticks.subscribe(told.append)
        context = system_context(host.runtime, "market-data")
        data = MarketData(context, hub, transport, [Endpoint(BinanceSpot, f"127.0.0.1:{_port(server)}")], timing)
        outputs = Outputs(hub, context)
        tasks = [asyncio.create_task(data.run()), asyncio.create_task(_flush(outputs))]
        try:
            yield Stage(exchange, host, hub, data, told)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _flush(outputs: Outputs) -> None:
    while True:
        await asyncio.sleep(0.02)
        await outputs.flush()


def _port(server: Server) -> int:
    return int(next(iter(server.sockets)).getsockname()[1])
