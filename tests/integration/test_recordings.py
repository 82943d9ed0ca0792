"""Every recording goes through the codecs: nothing is lost, no sequence breaks, and the book is the true one.

The oracle is written from the exchanges' documents alone: JSON, Decimal, a sorted map per side, their own rules for
what to drop. It shares no line with the codecs.
"""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sortedcontainers import SortedDict

from patriot.domain.book import OrderBook
from patriot.domain.instrument import Instrument, Kind
from patriot.protocols.binance import BinanceInverse, BinanceLinear, BinanceSpot
from patriot.protocols.bybit import BybitLinear, BybitSpot
from patriot.protocols.codec import Codec
from patriot.protocols.coinbase import CoinbaseSpot
from patriot.protocols.events import Event, Resync
from patriot.protocols.market import BookDelta, BookSnapshot, Level
from patriot.protocols.recording import Frame, read_recording
from tests.data import recording

pytestmark = pytest.mark.requirement("P6", "P7")
COMPARE_EVERY = 50


def frames(relative: str) -> Iterator[Frame]:
    path: Path = recording(relative)
    with path.open("rb") as file:
        yield from read_recording(iter(lambda: file.read(1 << 16), b""), path.name)


def btc(identity: str, symbol: str, kind: Kind, price_decimals: int, quantity_decimals: int) -> Instrument:
    tick, lot = Decimal(1).scaleb(-price_decimals), Decimal(1).scaleb(-quantity_decimals)
    return Instrument(identity, symbol, "BTC", "USDT", "USDT", kind, tick, lot, price_decimals, quantity_decimals)


SPOT = btc("BINANCE:BTC/USDT", "BTCUSDT", "spot", 8, 8)
LINEAR = btc("BINANCE:BTC/USDT:USDT", "BTCUSDT", "linear", 2, 3)
INVERSE = btc("BINANCE:BTC/USD:BTC", "BTCUSD_PERP", "inverse", 1, 0)


class OracleBook:
    """Decimal prices in sorted maps."""

    def __init__(self) -> None:
        self.bids, self.asks = SortedDict(), SortedDict()

    def set(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        for side, levels in ((self.bids, bids), (self.asks, asks)):
            for price, quantity in levels:
                if Decimal(quantity):
                    side[Decimal(price)] = Decimal(quantity)
                else:
                    side.pop(Decimal(price), None)

    def replace(self, bids: list[list[str]], asks: list[list[str]]) -> None:
        self.bids.clear()
        self.asks.clear()
        self.set(bids, asks)


@dataclass
class Run:
    """One pass through a recording: what went in, what came out, and the books of both sides."""

    codec: Codec
    instruments: dict[str, Instrument]  # by id
    sent: Counter[str] = field(default_factory=Counter)
    came: Counter[str] = field(default_factory=Counter)
    resyncs: list[Resync] = field(default_factory=list)
    books: dict[str, OrderBook] = field(default_factory=dict)
    compared: int = 0

    def take(self, events: "tuple[Event, ...] | list[Event] | Any") -> None:
        for event in events:
            self.came[type(event).__name__] += 1
            if isinstance(event, Resync):
                self.resyncs.append(event)
            elif isinstance(event, BookDelta | BookSnapshot):
                book = self.books.setdefault(event.instrument, OrderBook(event.instrument))
                book.apply(event)
                assert not book.crossed, f"{event.instrument} is crossed after {event}"

    def compare(self, identity: str, oracle: OracleBook, *, whole: bool = False) -> None:
        """Equal at the top; `whole` compares every level."""
        self.compared += 1
        instrument, book = self.instruments[identity], self.books[identity]

        def plain(level: Level | None) -> tuple[Decimal, Decimal] | None:
            return level and (instrument.price_of(level[0]), instrument.quantity_of(level[1]))

        assert plain(book.best_bid()) == (oracle.bids.peekitem(-1) if oracle.bids else None)
        assert plain(book.best_ask()) == (oracle.asks.peekitem(0) if oracle.asks else None)
        if whole:
            bids, asks = book.top(10**6)
            assert [plain(level) for level in bids] == list(reversed(oracle.bids.items()))
            assert [plain(level) for level in asks] == list(oracle.asks.items())


BINANCE_TYPES = {
    "trade": "Trade", "aggTrade": "Trade", "bookTicker": "Quote", "kline": "Bar", "markPriceUpdate": "MarkPrice",
}  # fmt: skip


class BinanceOracle:
    """Binance's own rules: diffs wait for the snapshot; those it contains already are dropped."""

    def __init__(self) -> None:
        self.book, self.last, self.waiting, self.dropped, self.gaps = OracleBook(), -1, list[Any](), 0, 0

    def snapshot(self, body: dict[str, Any]) -> None:
        self.book.replace(body["bids"], body["asks"])
        self.last = body["lastUpdateId"]
        waiting, self.waiting = self.waiting, []
        for diff in waiting:
            self.diff(diff)

    def diff(self, data: dict[str, Any]) -> None:
        if self.last < 0:
            self.waiting.append(data)
        elif data["u"] <= self.last:
            self.dropped += 1
        else:
            self.gaps += (data["pu"] if "pu" in data else data["U"] - 1) > self.last
            self.book.set(data["b"], data["a"])
            self.last = data["u"]


def replay_binance(run: Run, stream: Iterator[Frame]) -> dict[str, BinanceOracle]:
    """Codec and oracle, frame by frame."""
    symbols = {instrument.native_symbol: identity for identity, instrument in run.instruments.items()}
    oracles = {identity: BinanceOracle() for identity in run.instruments}
    only = next(iter(run.instruments))
    number = 0
    for frame in stream:
        if frame.kind == "control":
            continue
        body = json.loads(frame.payload)
        if frame.kind == "rest":
            identity = symbols.get(frame.symbol, only)
            run.sent["BookSnapshot"] += 1
            run.take(run.codec.snapshot(identity, frame.payload))
            oracles[identity].snapshot(body)
            run.compare(identity, oracles[identity].book, whole=True)
            continue
        data = body["data"]
        identity = symbols[data["s"]]
        run.take(run.codec.feed(frame.payload))
        kind = data.get("e", "bookTicker")
        run.sent[BINANCE_TYPES.get(kind, "BookDelta")] += 1
        if kind == "depthUpdate":
            number += 1
            oracles[identity].diff(data)
            if identity in run.books and oracles[identity].last >= 0:
                run.compare(identity, oracles[identity].book, whole=not number % (COMPARE_EVERY * 10))
    for identity, oracle in oracles.items():
        run.compare(identity, oracle.book, whole=True)
        assert oracle.gaps == 0
    return oracles


def check_binance(run: Run, oracles: dict[str, BinanceOracle]) -> None:
    """In = out for every type; diffs that the snapshot contained are the only ones dropped."""
    run.came["BookDelta"] += sum(oracle.dropped for oracle in oracles.values())
    asked = Counter(resync.cause for resync in run.resyncs)
    assert set(asked) <= {"no_snapshot"}, run.resyncs
    del run.came["Resync"]
    assert run.came == run.sent


HFTBACKTEST = [
    pytest.param(BinanceSpot, SPOT, ["spot_btcusdt_20240808.gz"], id="spot 2024"),
    pytest.param(
        BinanceLinear, LINEAR, ["usdm_btcusdt_20230404.dat.gz", "usdm_btcusdt_20230405.dat.gz"], id="usdm 2023"
    ),
    pytest.param(BinanceLinear, LINEAR, ["usdm_btcusdt_20240718.gz", "usdm_btcusdt_20240719.gz"], id="usdm July 2024"),
    pytest.param(BinanceLinear, LINEAR, ["usdm_btcusdt_20240808.gz"], id="usdm August 2024"),
    pytest.param(BinanceInverse, INVERSE, ["cm_btcusd_perp_20240808.gz"], id="cm 2024"),
]


@pytest.mark.slow
@pytest.mark.parametrize(("codec", "instrument", "files"), HFTBACKTEST)
def test_hftbacktest_recordings(codec: type[BinanceSpot], instrument: Instrument, files: list[str]) -> None:
    """A file without a snapshot continues the day before, on the same codec."""
    run = Run(codec([instrument]), {instrument.id: instrument})
    stream = (frame for name in files for frame in frames(f"hftbacktest/{name}"))
    check_binance(run, replay_binance(run, stream))
    assert run.compared > 3_000


def test_hftbacktest_spot_2023_has_no_snapshot_so_the_book_begins_empty() -> None:
    """The recording starts in the middle: an empty snapshot just before its first diff makes a book of what changes."""
    stream = list(frames("hftbacktest/spot_btcusdt_20230405.dat.gz"))
    first = next(json.loads(frame.payload)["data"] for frame in stream if b"@depth" in frame.payload[:40])
    empty = msgspec.json.encode({"lastUpdateId": first["U"] - 1, "bids": [], "asks": []})
    run = Run(BinanceSpot([SPOT]), {SPOT.id: SPOT})
    check_binance(run, replay_binance(run, iter([Frame(0, "rest", empty), *stream])))
    assert run.sent == {"Quote": 8015, "BookDelta": 3929, "Trade": 3144, "BookSnapshot": 1}


@pytest.mark.parametrize(("codec", "name"), [(BinanceSpot, "BINANCE"), (BinanceLinear, "BINANCE_FUTURES")])
def test_cryptofeed_2021_binance(codec: type[BinanceSpot], name: str) -> None:
    """Definitions, snapshots and stream lie in three files; the books of four markets run on one connection."""
    folder = "cryptofeed/master-2021"
    [info] = [frame.payload for frame in frames(f"{folder}/{name}.0.zst") if frame.kind == "rest"]
    listed = codec.decode_instruments(info)
    assert len(listed) == len(json.loads(info)["symbols"]) == len({instrument.id for instrument in listed})
    rest = [frame for frame in frames(f"{folder}/{name}.http.0.0.zst") if frame.kind == "rest"]
    stream = [frame for frame in frames(f"{folder}/{name}.ws.1.0.zst") if frame.kind == "ws"]
    wanted = {frame.symbol for frame in rest}
    run = Run(codec(listed), {one.id: one for one in listed if one.native_symbol in wanted})
    merged = sorted(rest + stream, key=lambda frame: frame.received_ns)
    check_binance(run, replay_binance(run, iter(merged)))
    assert run.came["BookSnapshot"] == 4
    assert sum(run.sent.values()) == len(merged)


def test_bybit_2026() -> None:
    """Spot and linear, each on its own connection; the snapshot comes in the stream, `u` grows by one."""
    stream = list(frames("cryptofeed/v3-2026-AGPL/BYBIT.v5.BTC-ETH.jsonl.zst"))
    runs: dict[str, Run] = {}
    for kind, codec in (("linear", BybitLinear), ("spot", BybitSpot)):
        [info] = [frame.payload for frame in stream if frame.kind == "rest" and f"category={kind}" in frame.source]
        listed = codec.decode_instruments(info)
        assert len(listed) == len(json.loads(info)["result"]["list"]) == len({one.id for one in listed})
        runs[kind] = Run(codec(listed), {one.id: one for one in listed})
    oracles: dict[tuple[str, str], OracleBook] = {}
    last: dict[tuple[str, str], int] = {}
    for frame in stream:
        if frame.kind != "ws":
            continue
        kind = frame.source.rpartition("/")[2]
        run, message = runs[kind], json.loads(frame.payload)
        run.take(run.codec.feed(frame.payload))
        topic = message.get("topic", "")
        if not topic:
            run.sent["Acknowledged"] += 1
        elif topic.startswith("orderbook"):
            data, key = message["data"], (kind, message["data"]["s"])
            book = oracles.setdefault(key, OracleBook())
            run.sent["BookSnapshot" if message["type"] == "snapshot" else "BookDelta"] += 1
            (book.replace if message["type"] == "snapshot" else book.set)(data["b"], data["a"])
            assert message["type"] == "snapshot" or data["u"] == last[key] + 1
            last[key] = data["u"]
            identity = next(one.id for one in run.instruments.values() if one.native_symbol == data["s"])
            run.compare(identity, book, whole=True)
        elif topic.startswith("publicTrade"):
            run.sent["Trade"] += len(message["data"])
        elif topic.startswith("kline"):
            run.sent["Bar"] += len(message["data"])
        elif topic.startswith("tickers"):
            run.sent["Ticker"] += 1
            tells = ("markPrice", "indexPrice", "fundingRate", "nextFundingTime")
            run.sent["MarkPrice"] += any(name in message["data"] for name in tells)
    for run in runs.values():
        assert not run.resyncs
        assert run.came == run.sent
    assert sum(run.compared for run in runs.values()) == 1135


@pytest.mark.requirement("T2")
def test_coinbase_2026() -> None:
    """All channels share one sequence; side names are bid and offer."""
    stream = list(frames("cryptofeed/v3-2026-AGPL/COINBASE.advtrade.first12s.jsonl.zst"))
    [info] = [frame.payload for frame in stream if frame.kind == "rest"]
    listed = CoinbaseSpot.decode_instruments(info)
    assert len(listed) == 920
    run = Run(CoinbaseSpot(listed), {one.id: one for one in listed})
    by_symbol = {one.native_symbol: one.id for one in listed}
    oracles: dict[str, OracleBook] = {}
    plural = {"market_trades": "trades", "candles": "candles", "ticker": "tickers"}
    out = {"market_trades": ["Trade"], "candles": ["Bar"], "ticker": ["Ticker", "Quote"]}
    for frame in (one for one in stream if one.kind == "ws"):
        message = json.loads(frame.payload)
        run.take(run.codec.feed(frame.payload))
        channel = message["channel"]
        run.sent["Heartbeat"] += channel == "heartbeats"
        run.sent["Acknowledged"] += channel == "subscriptions"
        for event in message["events"]:
            for name in out.get(channel, []):
                run.sent[name] += len(event[plural[channel]])
            if channel == "l2_data":
                run.sent["BookSnapshot" if event["type"] == "snapshot" else "BookDelta"] += 1
                book = oracles.setdefault(event["product_id"], OracleBook())
                sides: dict[str, list[list[str]]] = {"bid": [], "offer": []}
                for update in event["updates"]:
                    sides[update["side"]].append([update["price_level"], update["new_quantity"]])
                (book.replace if event["type"] == "snapshot" else book.set)(sides["bid"], sides["offer"])
                run.compare(by_symbol[event["product_id"]], book, whole=not run.compared % COMPARE_EVERY)
    assert not run.resyncs
    assert run.came == run.sent
    assert run.compared == 365


FIXTURES = "nautilus/fixtures"
ANY = [
    btc("BINANCE:BTC/USDT:USDT", "BTCUSDT", "linear", 8, 8),
    btc("BINANCE:BNB/USDT:USDT", "BNBUSDT", "linear", 8, 8),
    btc("BINANCE:ETH/USDT", "ETHUSDT", "spot", 8, 8),
    btc("BINANCE:BNB/BTC", "BNBBTC", "spot", 8, 8),
]


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("binance/futures/market_data_json/agg_trade_stream.json", ["Trade"]),
        ("binance/futures/market_data_json/book_ticker_stream.json", ["Quote"]),
        ("binance/futures/market_data_json/depth_update_stream.json", ["Resync"]),
        ("binance/futures/market_data_json/kline_stream_closed.json", ["Bar"]),
        ("binance/futures/market_data_json/kline_stream_open.json", ["Bar"]),
        ("binance/futures/market_data_json/liquidation_stream.json", ["Ignored"]),
        ("binance/futures/market_data_json/mark_price_stream.json", ["MarkPrice"]),
        ("binance/futures/market_data_json/ticker_stream.json", ["Ticker"]),
        ("binance/futures/market_data_json/trade_stream.json", ["Trade"]),
        ("binance_py/ws_messages/ws_spot_agg_trade.json", ["Trade"]),
        ("binance_py/ws_messages/ws_spot_ticker_24hr.json", ["Ticker"]),
        ("binance_py/ws_messages/ws_spot_ticker_book.json", ["Quote"]),
        ("binance_py/ws_messages/ws_spot_trade.json", ["Trade"]),
    ],
)
def test_binance_fixtures(name: str, kinds: list[str]) -> None:
    events = BinanceLinear(ANY).feed(recording(f"{FIXTURES}/{name}").read_bytes())
    assert [type(event).__name__ for event in events] == kinds


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ws_kline.json", {"Bar"}),
        ("ws_orderbook_delta.json", {"Resync"}),
        ("ws_orderbook_snapshot.json", {"Quote"}),  # depth 1
        ("ws_public_trade.json", {"Ignored"}),  # "trade.linear.BTCUSDT": no topic of v5
        ("ws_subscription_ack.json", {"Acknowledged"}),
        ("ws_ticker_linear.json", {"Ticker", "MarkPrice"}),
    ],
)
def test_bybit_fixtures(name: str, kinds: set[str]) -> None:
    codec = BybitLinear([btc("BYBIT:BTC/USDT:USDT", "BTCUSDT", "linear", 8, 8)])
    events = codec.feed(recording(f"{FIXTURES}/bybit/{name}").read_bytes())
    assert {type(event).__name__ for event in events} == kinds


def test_bybit_fixtures_of_rest() -> None:
    folder = recording(f"{FIXTURES}/bybit")
    codec = BybitLinear([btc("BYBIT:BTC/USDT:USDT", "BTCUSDT", "linear", 8, 8)])
    [book] = codec.snapshot("BYBIT:BTC/USDT:USDT", (folder / "http_get_orderbook.json").read_bytes())
    assert isinstance(book, BookSnapshot)
    assert book.sequence == 1234567
    assert BybitLinear.decode_instruments((folder / "http_get_instruments_linear.json").read_bytes())
    assert BybitSpot.decode_instruments((folder / "http_get_instruments_spot.json").read_bytes())


@pytest.mark.requirement("T2")
@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ws_candles.json", {"Bar"}),
        ("ws_heartbeats.json", {"Heartbeat"}),
        ("ws_l2_data_snapshot.json", {"BookSnapshot"}),
        ("ws_l2_data_update.json", {"Resync"}),
        ("ws_market_trades.json", {"Trade"}),
        ("ws_subscriptions.json", {"Acknowledged"}),
        ("ws_ticker.json", {"Quote", "Ticker"}),
        ("ws_user.json", {"Ignored"}),
    ],
)
def test_coinbase_fixtures(name: str, kinds: set[str]) -> None:
    codec = CoinbaseSpot(
        [btc("COINBASE:BTC/USD", "BTC-USD", "spot", 2, 8), btc("COINBASE:ETH/USD", "ETH-USD", "spot", 2, 8)]
    )
    events = codec.feed(recording(f"{FIXTURES}/coinbase/{name}").read_bytes())
    assert {type(event).__name__ for event in events} == kinds


@pytest.mark.requirement("T2")
def test_coinbase_fixtures_of_rest() -> None:
    folder = recording(f"{FIXTURES}/coinbase")
    listed = CoinbaseSpot.decode_instruments((folder / "http_products.json").read_bytes())
    btc_usd = next(one for one in listed if one.native_symbol == "BTC-USD")
    [book] = CoinbaseSpot(listed).snapshot(btc_usd.id, (folder / "http_product_book.json").read_bytes())
    assert isinstance(book, BookSnapshot)
    assert len(book.bids) == len(book.asks) == 5
