"""Binance: spot, USDⓈ-M and COIN-M. Rule: the stream's name chooses the type, and a message is decoded once.

Combined streams (`/stream`) wrap every message as {"stream":"btcusdt@trade","data":{...}}. The name is read from the
first bytes and leads to a handler that already knows instrument, scales and decoder; it is also the authority on the
symbol. Whatever does not begin like that (single streams, answers, white space) takes the slow way through `_Envelope`.

Sources: binance-spot-api-docs web-socket-streams; developers.binance.com derivatives, websocket market streams.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import ClassVar, Generic, TypeVar

import msgspec

from patriot.domain.instrument import Instrument, Kind
from patriot.protocols.binance_definitions import decode_exchange_info
from patriot.protocols.binance_depth import DepthReader, Id
from patriot.protocols.codec import Channel, Limits, Listing, Subscription, Topics, chunks
from patriot.protocols.errors import (
    DECODE_ERRORS,
    MalformedFrame,
    UnknownInstrument,
    Unrepresentable,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Cause, Declined, Event, GoingAway, Ignored, Resync
from patriot.protocols.market import Bar, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from patriot.protocols.number import levels, signed
from patriot.protocols.sequence import BookSequence

PREFIX = b'{"stream":"'
NAME_MAX = 70  # bytes of a stream name
TOPICS_PER_FRAME = 100
HANDLERS_PER_INSTRUMENT_MAX = 64  # more stream names than that are not the venue's
BAR_SECONDS = {
    "1s": 1, "1m": 60, "3m": 180, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "2h": 7200, "4h": 14400,
    "6h": 21600, "8h": 28800, "12h": 43200, "1d": 86400, "3d": 259200, "1w": 604800,
}  # fmt: skip
BAR_NAMES = {seconds: name for name, seconds in BAR_SECONDS.items()}
KIND_OF_EVENT = {
    "depthUpdate": "depth", "trade": "trade", "aggTrade": "aggTrade", "bookTicker": "bookTicker",
    "24hrTicker": "ticker", "24hrMiniTicker": "miniTicker", "kline": "kline", "markPriceUpdate": "markPrice",
}  # fmt: skip

Pairs = list[tuple[str, str]]
Handler = Callable[[bytes], Sequence[Event]]
Body = TypeVar("Body")


class _Wrapped(msgspec.Struct, Generic[Body], gc=False):
    data: Body


class _Trade(msgspec.Struct, gc=False):
    t: int
    p: str
    q: str
    T: int
    m: bool
    X: str = ""


class _AggregateTrade(msgspec.Struct, gc=False):
    a: int
    p: str
    q: str
    T: int
    m: bool


class _BookTicker(msgspec.Struct, gc=False):
    u: int
    b: str
    B: str
    a: str
    A: str
    T: int = 0  # futures only


class _Statistics(msgspec.Struct, gc=False):
    E: int
    c: str
    o: str
    h: str
    l: str  # noqa: E741 - Binance's name
    v: str


class _Kline(msgspec.Struct, gc=False):
    t: int
    i: str
    o: str
    c: str
    h: str
    l: str  # noqa: E741 - Binance's name
    v: str
    n: int
    x: bool


class _KlineEvent(msgspec.Struct, gc=False):
    k: _Kline


class _MarkPrice(msgspec.Struct, gc=False):
    E: int
    p: str
    r: str = ""
    i: str = "0"
    T: int = 0


class _Error(msgspec.Struct):
    code: int = 0
    msg: str = ""


class _Envelope(msgspec.Struct):
    """Anything that may arrive outside the fast way: a wrapped message, a bare message, an answer, a refusal."""

    stream: str = ""
    data: msgspec.Raw = msgspec.Raw()
    e: str = ""
    s: str = ""
    B: msgspec.Raw = msgspec.Raw()
    id: int | str | None = None
    error: _Error | None = None
    code: int | None = None
    msg: str = ""
    result: msgspec.Raw = msgspec.Raw()


class _Snapshot(msgspec.Struct):
    lastUpdateId: Id  # noqa: N815 - Binance's name
    bids: Pairs
    asks: Pairs
    T: int = 0  # futures only


_trade = msgspec.json.Decoder(_Wrapped[_Trade]).decode
_aggregate_trade = msgspec.json.Decoder(_Wrapped[_AggregateTrade]).decode
_book_ticker = msgspec.json.Decoder(_Wrapped[_BookTicker]).decode
_statistics = msgspec.json.Decoder(_Wrapped[_Statistics]).decode
_kline = msgspec.json.Decoder(_Wrapped[_KlineEvent]).decode
_mark_price = msgspec.json.Decoder(_Wrapped[_MarkPrice]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_snapshot = msgspec.json.Decoder(_Snapshot).decode


class BinanceSpot:
    """Binance spot. The futures dialects differ in addresses, limits and instruments only."""

    name: ClassVar[str] = "binance-spot"
    venue: ClassVar[str] = "BINANCE"
    kind: ClassVar[Kind] = "spot"
    rest_url: ClassVar[str] = "https://api.binance.com"
    rest_path: ClassVar[str] = "/api/v3"
    instruments_path: ClassVar[str] = "/api/v3/exchangeInfo"
    limits: ClassVar[Limits] = Limits(subscriptions_max=1024, frames_per_second_max=5, lifetime_seconds=86_400)
    fees: ClassVar[tuple[Decimal, Decimal]] = (Decimal("0.001"), Decimal("0.001"))
    topics: ClassVar[dict[Channel, str]] = {
        "depth": "depth@100ms", "trade": "trade", "aggregate_trade": "aggTrade", "quote": "bookTicker",
        "ticker": "ticker", "mini_ticker": "miniTicker", "bar": "kline_",
    }  # fmt: skip

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        listings = [Listing(instrument) for instrument in instruments]
        self._by_symbol = {listing.symbol: listing for listing in listings}
        self._by_id = {listing.id: listing for listing in listings}
        self._sequences: dict[str, BookSequence] = {}
        self._handlers: dict[bytes, Handler] = {}  # by the frame's beginning; bounded: instruments x topics
        self._listings: dict[bytes, Listing] = {}
        self._active = Topics(self.limits.subscriptions_max)
        self._request_id = 0

    @classmethod
    def url(cls, channel: Channel) -> str:  # noqa: ARG003 - spot has one address for all
        return "wss://stream.binance.com:9443/stream"

    # --- what goes out -------------------------------------------------------------------------------------------

    def subscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        return self._frames("SUBSCRIBE", self._active.add({one: self._topic(one) for one in subscriptions}))

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        return self._frames("UNSUBSCRIBE", self._active.remove({one: self._topic(one) for one in subscriptions}))

    def ping(self) -> bytes:
        """Nothing: Binance pings with WebSocket control frames."""
        return b""

    def _topic(self, subscription: Subscription) -> str:
        topic = self.topics.get(subscription.channel)
        if topic is None:
            raise UnsupportedChannel(f"{self.name} has no {subscription.channel} stream")
        if subscription.channel == "bar":
            topic += self._bar_name(subscription.seconds)
        return f"{self._listing(subscription.instrument).symbol.lower()}@{topic}"

    def _bar_name(self, seconds: int) -> str:
        name = BAR_NAMES.get(seconds)
        if name is None or (self.kind != "spot" and seconds == 1):
            raise UnsupportedChannel(f"{self.name} has no bars of {seconds} s")
        return name

    def _frames(self, method: str, topics: Sequence[str]) -> list[bytes]:
        frames = []
        for params in chunks(topics, TOPICS_PER_FRAME):
            self._request_id += 1
            frames.append(msgspec.json.encode({"method": method, "params": params, "id": self._request_id}))
        return frames

    # --- what comes in -------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[Event]:
        beginning = data.partition(b'","')[0]
        try:
            handler = self._handlers.get(beginning)
            return handler(data) if handler else self._feed_slowly(data)
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None
        except Unrepresentable as error:
            return (self._sequence(self._listings[beginning]).lose("unrepresentable", str(error)),)

    def snapshot(self, instrument: str, data: bytes) -> Sequence[Event]:
        listing = self._listing(instrument)
        sequence = self._sequence(listing)
        try:
            book = _snapshot(data)
            bids = levels(book.bids, listing.price, listing.quantity)
            asks = levels(book.asks, listing.price, listing.quantity)
        except DECODE_ERRORS as error:
            return (self._refusal(data, error),)
        except Unrepresentable as error:
            return (sequence.lose("unrepresentable", str(error)),)
        return sequence.snapshot(BookSnapshot(instrument, bids, asks, book.lastUpdateId, book.T))

    def reset(self) -> None:
        self._active.clear()
        for sequence in self._sequences.values():
            sequence.forget()

    def _feed_slowly(self, data: bytes) -> Sequence[Event]:
        """Bring a frame into the form of the fast way, or answer it here."""
        envelope = _envelope(data)
        if envelope.stream:
            return self._feed_stream(envelope.stream, data, bytes(envelope.data))
        if envelope.e == "serverShutdown":
            return (GoingAway(),)
        kind = KIND_OF_EVENT.get(envelope.e, envelope.e) or ("bookTicker" if envelope.B else "")
        if kind:
            return self._feed_stream(f"{envelope.s.lower()}@{kind}", data, data)
        return (_answer(envelope),)

    def _feed_stream(self, stream: str, data: bytes, body: bytes) -> Sequence[Event]:
        fast = PREFIX + stream.encode()
        handler = self._handlers.get(fast) or self._make_handler(stream)
        if handler is None:
            bare = _envelope(body) if body else _Envelope()
            return (GoingAway() if bare.e == "serverShutdown" else Ignored(stream),)
        rest = b'","data":'
        return handler(data) if data.startswith(fast + rest) else self.feed(fast + rest + (body or b"null") + b"}")

    def _make_handler(self, stream: str) -> Handler | None:
        symbol, at, topic = stream.partition("@")
        maker = MAKERS.get(topic.partition("@")[0].partition("_")[0])
        if not at or maker is None:
            return None
        listing = self._by_symbol.get(symbol.upper())
        if listing is None:
            raise UnknownInstrument(symbol.upper())
        if len(stream) > NAME_MAX:
            return None
        if len(self._handlers) >= HANDLERS_PER_INSTRUMENT_MAX * len(self._by_symbol):
            self._handlers.clear()
            self._listings.clear()
        beginning = PREFIX + stream.encode()
        self._listings[beginning] = listing
        self._handlers[beginning] = handler = maker(listing, self._sequence(listing))
        return handler

    def _refusal(self, data: bytes, error: Exception) -> Event:
        """A REST body that is no snapshot is either the venue's error or nonsense."""
        try:
            refusal = msgspec.json.decode(data, type=_Error)
        except DECODE_ERRORS:
            raise MalformedFrame(str(error)) from None
        if not refusal.code:
            raise MalformedFrame(str(error)) from None
        return Declined("", str(refusal.code), refusal.msg)

    def _listing(self, instrument: str) -> Listing:
        listing = self._by_id.get(instrument)
        if listing is None:
            raise UnknownInstrument(instrument)
        return listing

    def _sequence(self, listing: Listing) -> BookSequence:
        sequence = self._sequences.get(listing.id)
        if sequence is None:
            request = f"{self.rest_path}/depth?symbol={listing.symbol}&limit=1000"

            def resync(cause: Cause, detail: str) -> Resync:
                return Resync(listing.id, cause, detail, request)

            sequence = self._sequences[listing.id] = BookSequence(resync)
        return sequence

    # --- definitions ---------------------------------------------------------------------------------------------

    @classmethod
    def decode_instruments(cls, data: bytes) -> list[Instrument]:
        return decode_exchange_info(data, cls.venue, cls.kind, cls.fees)


class BinanceLinear(BinanceSpot):
    """USDⓈ-M futures. Books, quotes and trades have one address, the calmer streams another."""

    name = "binance-linear"
    kind: ClassVar[Kind] = "linear"
    rest_url = "https://fapi.binance.com"
    rest_path = "/fapi/v1"
    instruments_path = "/fapi/v1/exchangeInfo"
    limits = Limits(subscriptions_max=200, frames_per_second_max=10, lifetime_seconds=86_400)
    fees = (Decimal("0.0002"), Decimal("0.0005"))
    topics: ClassVar[dict[Channel, str]] = BinanceSpot.topics | {"mark_price": "markPrice@1s"}

    @classmethod
    def url(cls, channel: Channel) -> str:
        group = "public" if channel in {"depth", "quote", "trade"} else "market"
        return f"wss://fstream.binance.com/{group}/stream"


class BinanceInverse(BinanceLinear):
    """COIN-M futures: quantities are contracts, margin is the base asset."""

    name = "binance-inverse"
    kind: ClassVar[Kind] = "inverse"
    rest_url = "https://dapi.binance.com"
    rest_path = "/dapi/v1"
    instruments_path = "/dapi/v1/exchangeInfo"

    @classmethod
    def url(cls, channel: Channel) -> str:  # noqa: ARG003 - COIN-M has one address for all
        return "wss://dstream.binance.com/stream"


def _answer(envelope: _Envelope) -> Event:
    request_id = "" if envelope.id is None else str(envelope.id)
    if envelope.error is not None:
        return Declined(request_id, str(envelope.error.code), envelope.error.msg)
    if envelope.code is not None:
        return Declined(request_id, str(envelope.code), envelope.msg)
    if envelope.id is None:
        raise MalformedFrame("neither a stream's message nor an answer to a request")
    return Acknowledged(request_id)


# --- handlers: one closure per stream, everything looked up beforehand ----------------------------------------------


def _handle_depth(listing: Listing, sequence: BookSequence) -> Handler:
    apply, read = sequence.delta, DepthReader(listing).read

    def handle(data: bytes) -> Sequence[Event]:
        return apply(read(data))

    return handle


def _handle_trade(listing: Listing, _: BookSequence) -> Handler:
    """Mostly the price is the last one, so its text is kept; sizes come back, so they are looked up (0 is none)."""
    instrument, price_of = listing.id, listing.price.convert
    known_quantity, new_quantity = listing.quantity.get, listing.quantity.__missing__
    price_text, price = "0", 0

    def handle(data: bytes) -> Sequence[Event]:
        nonlocal price_text, price
        body = _trade(data).data
        if body.X == "NA":  # futures: a placeholder with price and quantity zero, no execution
            return (Ignored("trade"),)
        if price_text != body.p:
            price = price_of(body.p)
            price_text = body.p
        quantity = known_quantity(body.q) or new_quantity(body.q)
        return (Trade(instrument, price, quantity, body.m, str(body.t), body.T),)

    return handle


def _handle_aggregate_trade(listing: Listing, _: BookSequence) -> Handler:
    """As `_handle_trade`."""
    instrument, price_of = listing.id, listing.price.convert
    known_quantity, new_quantity = listing.quantity.get, listing.quantity.__missing__
    price_text, price = "0", 0

    def handle(data: bytes) -> Sequence[Event]:
        nonlocal price_text, price
        body = _aggregate_trade(data).data
        if price_text != body.p:
            price = price_of(body.p)
            price_text = body.p
        quantity = known_quantity(body.q) or new_quantity(body.q)
        return (Trade(instrument, price, quantity, body.m, str(body.a), body.T),)

    return handle


def _handle_book_ticker(listing: Listing, _: BookSequence) -> Handler:
    """Mostly one number changes at a time, so the last texts are kept with their units."""
    instrument, price_of, quantity_of = listing.id, listing.price.convert, listing.quantity.convert
    bid_text = ask_text = bid_quantity_text = ask_quantity_text = "0"
    bid = ask = bid_quantity = ask_quantity = 0

    def handle(data: bytes) -> Sequence[Event]:
        nonlocal bid_text, ask_text, bid_quantity_text, ask_quantity_text, bid, ask, bid_quantity, ask_quantity
        body = _book_ticker(data).data
        if bid_quantity_text != body.B:
            bid_quantity = quantity_of(body.B)
            bid_quantity_text = body.B
        if ask_quantity_text != body.A:
            ask_quantity = quantity_of(body.A)
            ask_quantity_text = body.A
        if bid_text != body.b:
            bid = price_of(body.b)
            bid_text = body.b
        if ask_text != body.a:
            ask = price_of(body.a)
            ask_text = body.a
        return (Quote(instrument, bid, bid_quantity, ask, ask_quantity, body.u, body.T),)

    return handle


def _handle_statistics(listing: Listing, _: BookSequence) -> Handler:
    price, volume = listing.price.nearest, listing.quantity.nearest

    def handle(data: bytes) -> Sequence[Event]:
        body = _statistics(data).data
        return (Ticker(listing.id, price(body.c), price(body.o), price(body.h), price(body.l), volume(body.v), body.E),)

    return handle


def _handle_kline(listing: Listing, _: BookSequence) -> Handler:
    price = listing.price

    def handle(data: bytes) -> Sequence[Event]:
        body = _kline(data).data
        bar = body.k
        seconds = BAR_SECONDS.get(bar.i)
        if seconds is None:
            raise MalformedFrame(f"unknown interval {bar.i!r}")
        prices = price[bar.o], price[bar.h], price[bar.l], price[bar.c]
        return (Bar(listing.id, seconds, bar.t, *prices, listing.quantity.nearest(bar.v), bar.n, bar.x),)

    return handle


def _handle_mark_price(listing: Listing, _: BookSequence) -> Handler:
    price = listing.price.nearest

    def handle(data: bytes) -> Sequence[Event]:
        body = _mark_price(data).data
        return (MarkPrice(listing.id, price(body.p), price(body.i or "0"), signed(body.r), body.T, body.E),)

    return handle


MAKERS: dict[str, Callable[[Listing, BookSequence], Handler]] = {
    "depth": _handle_depth,
    "trade": _handle_trade,
    "aggTrade": _handle_aggregate_trade,
    "bookTicker": _handle_book_ticker,
    "ticker": _handle_statistics,
    "miniTicker": _handle_statistics,
    "kline": _handle_kline,
    "markPrice": _handle_mark_price,
}

CODECS = (BinanceSpot, BinanceLinear, BinanceInverse)
