"""A Binance that exists in memory: sockets, subscriptions, trades, a book, REST, and what can go wrong with them."""

import asyncio
import json
import random
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from urllib.parse import parse_qs, urlsplit

from feeds.market_data.backoff import Breaker
from feeds.market_data.budget import ConnectionBudget
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.rest import Rest
from feeds.market_data.source import Source, Surroundings
from feeds.market_data.timing import Timing
from feeds.market_data.transport import TransportError
from patriot.domain.instrument import Instrument
from patriot.protocols.binance import BinanceSpot
from patriot.protocols.codec import Subscription
from patriot.protocols.market import BookDelta, BookSnapshot, Market, Trade
from patriot.runtime.clock import VirtualClock

START = datetime(2026, 1, 1, tzinfo=UTC)


def spot(base: str = "BTC", venue: str = "BINANCE") -> Instrument:
    return Instrument(
        id=f"{venue}:{base}/USDT",
        native_symbol=f"{base}USDT",
        base=base,
        quote="USDT",
        settle="USDT",
        kind="spot",
        tick_size=Decimal("0.01"),
        lot_size=Decimal("0.001"),
        price_decimals=2,
        quantity_decimals=3,
    )


BTC, ETH = spot(), spot("ETH")
DEPTH, TRADES, QUOTE = (Subscription(channel, BTC.id) for channel in ("depth", "aggregate_trade", "quote"))


class FakeSocket:
    """One connection, seen from both sides."""

    def __init__(self, exchange: "FakeExchange", url: str) -> None:
        self.exchange, self.url = exchange, url
        self.topics: set[str] = set()
        self.sent: list[dict] = []
        self.is_open = True
        self._frames: asyncio.Queue[bytes | TransportError] = asyncio.Queue()

    async def send(self, frame: bytes) -> None:
        if not self.is_open:
            raise TransportError("closed")
        request = json.loads(frame)
        self.sent.append(request)
        change = self.topics.update if request["method"] == "SUBSCRIBE" else self.topics.difference_update
        change(request["params"])
        if self.exchange.acknowledges:
            self.push({"result": None, "id": request["id"]})

    async def receive(self) -> bytes:
        frame = await self._frames.get()
        if isinstance(frame, TransportError):
            raise frame
        return frame

    async def close(self) -> None:
        self.cut("closed by us")

    def push(self, message: object) -> None:
        if self.is_open:
            self._frames.put_nowait(message if isinstance(message, bytes) else json.dumps(message).encode())

    def cut(self, reason: str = "cut") -> None:
        if self.is_open:
            self.is_open = False
            self._frames.put_nowait(TransportError(reason))


class FakeExchange:
    """Implements `Transport`. What it prints goes to every socket that subscribed it, and to REST."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.sockets: list[FakeSocket] = []
        self.asked: list[str] = []
        self.refuses = False
        self.rest_is_down = False
        self.acknowledges = True
        self.trades: list[dict] = []
        self.update = 100
        self.bids = {60000: 1000, 59999: 2000}
        self.asks = {60001: 1000, 60002: 2000}
        self.instruments = [BTC, ETH]

    @property
    def open(self) -> list[FakeSocket]:
        return [one for one in self.sockets if one.is_open]

    # --- Transport ---
    async def connect(self, url: str) -> FakeSocket:
        if self.refuses:
            raise TransportError("refused")
        self.sockets.append(FakeSocket(self, url))
        return self.sockets[-1]

    async def get(self, url: str) -> bytes:
        self.asked.append(url)
        if self.rest_is_down:
            raise TransportError("down")
        address = urlsplit(url)
        query = {name: values[0] for name, values in parse_qs(address.query).items()}
        if address.path.endswith("/depth"):
            return json.dumps(self._snapshot()).encode()
        if address.path.endswith("/aggTrades"):
            start, limit = int(query.get("fromId", 0)), int(query["limit"])
            return json.dumps([one for one in self.trades if one["a"] >= start][:limit]).encode()
        return json.dumps({"symbols": [_symbol(one) for one in self.instruments]}).encode()

    def _snapshot(self) -> dict:
        bids = [[str(price), str(size / 1000)] for price, size in sorted(self.bids.items(), reverse=True)]
        return {
            "lastUpdateId": self.update,
            "bids": bids,
            "asks": [[str(price), str(size / 1000)] for price, size in sorted(self.asks.items())],
        }

    # --- what happens ---
    def tell(self, topic: str, data: dict) -> None:
        for socket in self.open:
            if topic in socket.topics:
                socket.push({"stream": topic, "data": data})

    def trade(self, price: int = 60001, *, lost: bool = False, symbol: str = "BTCUSDT") -> dict:
        """Print a trade; a lost one reaches REST only."""
        now_ms = int(self.clock.now().timestamp() * 1000)
        trade = {"a": len(self.trades) + 1, "p": f"{price}.00", "q": "0.001", "T": now_ms, "m": False}
        self.trades.append(trade)
        if not lost:
            self.tell(f"{symbol.lower()}@aggTrade", {"e": "aggTrade", "s": symbol, **trade})
        return trade

    def depth(self, *, price: int = 60000, size: int = 1000, lost: bool = False) -> None:
        """Change a bid; a lost change reaches the book only."""
        self.update += 1
        self.bids[price] = size
        if not lost:
            data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": self.update, "u": self.update}
            self.tell("btcusdt@depth@100ms", data | {"b": [[str(price), str(size / 1000)]], "a": []})


def _symbol(one: Instrument) -> dict:
    return {
        "symbol": one.native_symbol,
        "baseAsset": one.base,
        "quoteAsset": one.quote,
        "status": "TRADING" if one.trading else "BREAK",
        "filters": [
            {"filterType": "PRICE_FILTER", "tickSize": str(one.tick_size)},
            {"filterType": "LOT_SIZE", "stepSize": str(one.lot_size), "minQty": "0.001", "maxQty": "9000"},
        ],
        "quoteAssetPrecision": one.price_decimals,
        "baseAssetPrecision": one.quantity_decimals,
    }


class World:
    """One source on a fake exchange under a virtual clock; everything that reaches the ticks port is in `told`."""

    def __init__(self, *, budget: int = 300, timing: Timing | None = None) -> None:
        self.clock = VirtualClock(START)
        self.exchange = FakeExchange(self.clock)
        self.timing = timing or Timing()
        self.told: list[Market] = []
        self.lost_books: list[str] = []
        self.outdated: list[str] = []
        self.around = Surroundings(
            self.clock,
            random.Random(1),
            self.exchange,
            self.timing,
            self.told.append,
            self.lost_books.append,
            self.outdated.append,
        )
        self.endpoint = Endpoint(BinanceSpot)
        self.budget = ConnectionBudget(self.endpoint.address, budget, self.clock)
        self.source = Source(
            self.endpoint,
            self.budget,
            Breaker(self.timing, self.clock),
            Rest(self.endpoint, self.exchange),
            {one.id: one for one in (BTC, ETH)},
        )

    async def settle(self) -> None:
        """Let every task do what it can without time passing."""
        for _ in range(30):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        """Let time pass; everybody wakes in order."""
        await advance(self.clock, seconds, self.settle)

    def trade_ids(self) -> list[int]:
        return [int(one.trade_id) for one in self.told if isinstance(one, Trade)]

    def books(self) -> list[BookSnapshot | BookDelta]:
        return [one for one in self.told if isinstance(one, BookSnapshot | BookDelta)]


async def advance(clock: VirtualClock, seconds: float, settle: Callable[[], Awaitable[None]]) -> None:
    end = clock.now() + timedelta(seconds=seconds)
    await settle()
    while clock.next_wake is not None and clock.next_wake <= end:
        clock.advance_to(clock.next_wake)
        await settle()
    clock.advance_to(end)
    await settle()
