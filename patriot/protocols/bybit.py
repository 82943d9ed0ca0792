"""Bybit v5, spot and linear. Rule: snapshots come in the stream; a gap is healed by subscribing again.

Every message names its topic ("orderbook.200.BTCUSDT"); it leads to a handler that knows instrument and decoder. Most
begin with it, so it is read from the first bytes; others (and answers to requests) go through `_Envelope`.

Source: bybit-exchange.github.io/docs/v5, websocket public topics. `u` of a book grows by one; a message with u = 1 is
a snapshot after a restart of the service.
"""

from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

import msgspec

from patriot.domain.instrument import Instrument, Kind
from patriot.protocols.bybit_definitions import decode_instruments_info
from patriot.protocols.codec import Channel, Limits, Listing, Subscription, Topics, chunks
from patriot.protocols.errors import (
    DECODE_ERRORS,
    MalformedFrame,
    UnknownInstrument,
    Unrepresentable,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Cause, Declined, Event, Heartbeat, Ignored, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from patriot.protocols.number import levels, signed
from patriot.protocols.sequence import BookSequence

PREFIX = b'{"topic":"'
TOPIC_MAX = 80  # bytes of a topic, prefix included
TOPICS_PER_FRAME = 10  # spot takes no more
BAR_SECONDS = {
    "1": 60, "3": 180, "5": 300, "15": 900, "30": 1800, "60": 3600, "120": 7200, "240": 14400, "360": 21600,
    "720": 43200, "D": 86400, "W": 604800,
}  # fmt: skip
BAR_NAMES = {seconds: name for name, seconds in BAR_SECONDS.items()}
RESTART = 1  # the update id of the first message after a restart

Id = Annotated[int, msgspec.Meta(ge=0)]
Pairs = list[tuple[str, str]]
Handler = Callable[[bytes], Sequence[Event]]
Body = TypeVar("Body")


class _Message(msgspec.Struct, Generic[Body], gc=False):
    data: Body
    ts: int = 0
    cts: int = 0
    type: str = ""


class _Book(msgspec.Struct, gc=False):
    s: str
    b: Pairs
    a: Pairs
    u: Id


class _Trade(msgspec.Struct, gc=False):
    T: int
    s: str
    S: Literal["Buy", "Sell"]  # the taker's side
    v: str
    p: str
    i: str


class _Bar(msgspec.Struct, gc=False):
    start: int
    interval: str
    open: str
    close: str
    high: str
    low: str
    volume: str
    confirm: bool


class _Statistics(msgspec.Struct, rename="camel", gc=False):
    """A snapshot, or the fields that changed."""

    symbol: str
    last_price: str = ""
    prev_price24h: str = msgspec.field(name="prevPrice24h", default="")
    high_price24h: str = msgspec.field(name="highPrice24h", default="")
    low_price24h: str = msgspec.field(name="lowPrice24h", default="")
    volume24h: str = ""
    mark_price: str = ""
    index_price: str = ""
    funding_rate: str = ""
    next_funding_time: str = ""


class _Envelope(msgspec.Struct):
    topic: str = ""
    op: str = ""
    success: bool | None = None
    ret_msg: str = ""
    req_id: str = ""


class _RestBook(_Book):
    ts: int = 0


class _Rest(msgspec.Struct, rename="camel"):
    ret_code: int
    ret_msg: str = ""
    result: _RestBook | None = None


_book = msgspec.json.Decoder(_Message[_Book]).decode
_trades = msgspec.json.Decoder(_Message[list[_Trade]]).decode
_bars = msgspec.json.Decoder(_Message[list[_Bar]]).decode
_statistics = msgspec.json.Decoder(_Message[_Statistics]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_rest = msgspec.json.Decoder(_Rest).decode


class BybitLinear:
    """USDT and USDC contracts. Spot differs in address, category and channels only."""

    name: ClassVar[str] = "bybit-linear"
    venue: ClassVar[str] = "BYBIT"
    kind: ClassVar[Kind] = "linear"
    rest_url: ClassVar[str] = "https://api.bybit.com"
    instruments_path: ClassVar[str] = "/v5/market/instruments-info?category=linear&limit=1000"
    # 21,000 characters of topics per connection; 300 topics of the longest names stay below
    limits: ClassVar[Limits] = Limits(subscriptions_max=300, frames_per_second_max=10, ping_interval_seconds=20)
    fees: ClassVar[tuple[Decimal, Decimal]] = (Decimal("0.0002"), Decimal("0.00055"))
    topics: ClassVar[dict[Channel, str]] = {
        "depth": "orderbook.200", "quote": "orderbook.1", "trade": "publicTrade", "ticker": "tickers",
        "mini_ticker": "tickers", "mark_price": "tickers", "bar": "kline.",
    }  # fmt: skip

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        listings = [Listing(instrument) for instrument in instruments]
        self._by_symbol = {listing.symbol: listing for listing in listings}
        self._by_id = {listing.id: listing for listing in listings}
        self._handlers: dict[bytes, Handler] = {}  # bounded by `_make_handler`
        self._active = Topics(self.limits.subscriptions_max)
        self._request_id = 0

    @classmethod
    def url(cls, channel: Channel) -> str:  # noqa: ARG003 - one address for all
        return f"wss://stream.bybit.com/v5/public/{cls.kind}"

    # --- what goes out -------------------------------------------------------------------------------------------

    def subscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        return self._frames("subscribe", self._active.add({one: self._topic(one) for one in subscriptions}))

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        return self._frames("unsubscribe", self._active.remove({one: self._topic(one) for one in subscriptions}))

    def ping(self) -> bytes:
        return b'{"op":"ping"}'

    def _topic(self, subscription: Subscription) -> str:
        topic = self.topics.get(subscription.channel)
        if topic is None:
            raise UnsupportedChannel(f"{self.name} has no {subscription.channel} stream")
        if subscription.channel == "bar":
            if subscription.seconds not in BAR_NAMES:
                raise UnsupportedChannel(f"{self.name} has no bars of {subscription.seconds} s")
            topic += BAR_NAMES[subscription.seconds]
        return f"{topic}.{self._listing(subscription.instrument).symbol}"

    def _frames(self, operation: str, topics: Sequence[str]) -> list[bytes]:
        frames = []
        for arguments in chunks(topics, TOPICS_PER_FRAME):
            self._request_id += 1
            frame = {"req_id": str(self._request_id), "op": operation, "args": arguments}
            frames.append(msgspec.json.encode(frame))
        return frames

    # --- what comes in -------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[Event]:
        topic = data[len(PREFIX) : data.find(b'"', len(PREFIX), TOPIC_MAX)] if data.startswith(PREFIX) else b""
        try:
            handler = self._handlers.get(topic)
            return handler(data) if handler is not None else self._feed_slowly(data)
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None

    def snapshot(self, instrument: str, data: bytes) -> Sequence[Event]:
        """A picture of the book for those without the stream; the stream's own book is not touched."""
        listing = self._listing(instrument)
        try:
            answer = _rest(data)
            book = answer.result
            if answer.ret_code or book is None:
                return (Declined("", str(answer.ret_code), answer.ret_msg),)
            bids = levels(book.b, listing.price, listing.quantity)
            asks = levels(book.a, listing.price, listing.quantity)
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None
        except Unrepresentable as error:
            return (Resync(listing.id, "unrepresentable", str(error)),)
        return (BookSnapshot(instrument, bids, asks, book.u, book.ts),)

    def reset(self) -> None:
        self._active.clear()
        self._handlers.clear()

    def _feed_slowly(self, data: bytes) -> Sequence[Event]:
        envelope = _envelope(data)
        if envelope.topic:
            handler = self._handlers.get(envelope.topic.encode()) or self._make_handler(envelope.topic)
            return handler(data) if handler is not None else (Ignored(envelope.topic),)
        return (_answer(envelope),)

    def _make_handler(self, topic: str) -> Handler | None:
        kind, _, rest = topic.partition(".")
        maker = MAKERS.get(f"{kind}.1" if rest.startswith("1.") and kind == "orderbook" else kind)
        name = topic.encode()
        if maker is None or len(name) > TOPIC_MAX - len(PREFIX) - 1:
            return None
        symbol = rest.rpartition(".")[2]
        listing = self._by_symbol.get(symbol)
        if listing is None:
            raise UnknownInstrument(symbol)
        if len(self._handlers) >= 64 * len(self._by_symbol):  # more topics than the venue has
            self._handlers.clear()
        sequence = BookSequence(self._resync(listing, topic), buffer_max=0)  # each depth counts its own updates
        handler = self._handlers[name] = _guarded(maker(listing, sequence), listing, sequence)
        return handler

    def _resync(self, listing: Listing, topic: str) -> Callable[[Cause, str], Resync]:
        def resync(cause: Cause, detail: str) -> Resync:
            frames = (*self._frames("unsubscribe", [topic]), *self._frames("subscribe", [topic]))
            return Resync(listing.id, cause, detail, "", frames)

        return resync

    def _listing(self, instrument: str) -> Listing:
        listing = self._by_id.get(instrument)
        if listing is None:
            raise UnknownInstrument(instrument)
        return listing

    # --- definitions ---------------------------------------------------------------------------------------------

    @classmethod
    def decode_instruments(cls, data: bytes) -> list[Instrument]:
        return decode_instruments_info(data, cls.venue, cls.kind, cls.fees)


class BybitSpot(BybitLinear):
    """Spot has no mark price, and its tickers are always whole."""

    name = "bybit-spot"
    kind: ClassVar[Kind] = "spot"
    instruments_path = "/v5/market/instruments-info?category=spot&limit=1000"
    fees = (Decimal("0.001"), Decimal("0.001"))
    topics: ClassVar[dict[Channel, str]] = {
        channel: topic for channel, topic in BybitLinear.topics.items() if channel != "mark_price"
    }


def _answer(envelope: _Envelope) -> Event:
    if envelope.op == "pong" or (envelope.op == "ping" and envelope.success is not False):
        return Heartbeat()
    if envelope.success is None:
        raise MalformedFrame("neither a topic's message nor an answer to a request")
    return Acknowledged(envelope.req_id) if envelope.success else Declined(envelope.req_id, "", envelope.ret_msg)


# --- handlers: one closure per topic, everything looked up beforehand -----------------------------------------------


def _guarded(handler: Handler, listing: Listing, sequence: BookSequence) -> Handler:
    """A value beyond the scale costs the instrument its book, nothing else."""

    def handle(data: bytes) -> Sequence[Event]:
        try:
            return handler(data)
        except Unrepresentable as error:
            return (sequence.lose("unrepresentable", f"{listing.symbol}: {error}"),)

    return handle


def _handle_book(listing: Listing, sequence: BookSequence) -> Handler:
    instrument, symbol, price, quantity = listing.id, listing.symbol, listing.price, listing.quantity

    def handle(data: bytes) -> Sequence[Event]:
        message = _book(data)
        body = message.data
        if body.s != symbol:
            raise _foreign(body.s, symbol)
        bids, asks = levels(body.b, price, quantity), levels(body.a, price, quantity)
        update, time_ms = body.u, message.cts or message.ts
        if message.type == "snapshot" or update == RESTART:
            return sequence.restart(BookSnapshot(instrument, bids, asks, update, time_ms))
        return sequence.delta(BookDelta(instrument, bids, asks, update, update, max(update - 1, 0), time_ms))

    return handle


def _handle_best(listing: Listing, sequence: BookSequence) -> Handler:
    """Depth 1 as best quotes: a book of one level per side, which may change by delta."""
    book = _handle_book(listing, sequence)
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}

    def quote(event: Event) -> Event:
        if not isinstance(event, BookSnapshot | BookDelta):
            return event
        if isinstance(event, BookSnapshot):
            bids.clear()
            asks.clear()
        _merge(bids, event.bids)
        _merge(asks, event.asks)
        sequence_now = event.sequence if isinstance(event, BookSnapshot) else event.last
        bid, ask = max(bids, default=0), min(asks, default=0)
        return Quote(listing.id, bid, bids.get(bid, 0), ask, asks.get(ask, 0), sequence_now, event.time_ms)

    def handle(data: bytes) -> Sequence[Event]:
        return tuple(quote(event) for event in book(data))

    return handle


def _handle_trades(listing: Listing, _: BookSequence) -> Handler:
    instrument, symbol, price, quantity = listing.id, listing.symbol, listing.price, listing.quantity

    def handle(data: bytes) -> Sequence[Event]:
        events = []
        for trade in _trades(data).data:
            if trade.s != symbol:
                raise _foreign(trade.s, symbol)
            events.append(Trade(instrument, price[trade.p], quantity[trade.v], trade.S == "Sell", trade.i, trade.T))
        return events

    return handle


def _handle_bars(listing: Listing, _: BookSequence) -> Handler:
    def bar(body: _Bar) -> Bar:
        seconds = BAR_SECONDS.get(body.interval)
        if seconds is None:
            raise MalformedFrame(f"unknown interval {body.interval!r}")
        first, high, low, last = (listing.price[text] for text in (body.open, body.high, body.low, body.close))
        volume = listing.quantity.nearest(body.volume)
        return Bar(listing.id, seconds, body.start, first, high, low, last, volume, 0, body.confirm)

    def handle(data: bytes) -> Sequence[Event]:
        return [bar(body) for body in _bars(data).data]

    return handle


def _handle_statistics(listing: Listing, _: BookSequence) -> Handler:
    """24 h statistics and, for contracts, mark price and funding. A delta carries what changed, so the rest is kept."""
    known = _Statistics(listing.symbol)
    price, volume = listing.price.nearest, listing.quantity.nearest

    def handle(data: bytes) -> Sequence[Event]:
        message = _statistics(data)
        if message.data.symbol != listing.symbol:
            raise _foreign(message.data.symbol, listing.symbol)
        _update(known, message.data)
        events: list[Event] = []
        if known.last_price:
            prices = (known.last_price, known.prev_price24h, known.high_price24h, known.low_price24h)
            last, first, high, low = (price(text or "0") for text in prices)
            events.append(Ticker(listing.id, last, first, high, low, volume(known.volume24h or "0"), message.ts))
        if known.mark_price and _tells_mark(message.data):
            mark, index = price(known.mark_price), price(known.index_price or "0")
            due = _milliseconds(known.next_funding_time)
            events.append(MarkPrice(listing.id, mark, index, signed(known.funding_rate), due, message.ts))
        return events

    return handle


def _update(known: _Statistics, news: _Statistics) -> None:
    for field in _Statistics.__struct_fields__:
        if value := getattr(news, field):
            setattr(known, field, value)


def _tells_mark(news: _Statistics) -> bool:
    return bool(news.mark_price or news.index_price or news.funding_rate or news.next_funding_time)


def _milliseconds(text: str) -> int:
    """Milliseconds as text; empty where a contract has no funding."""
    if text and not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise MalformedFrame(f"{text[:40]!r} is not a time in milliseconds")
    return int(text or 0)


def _merge(side: dict[int, int], changes: list[tuple[int, int]]) -> None:
    for price, quantity in changes:
        if quantity:
            side[price] = quantity
        else:
            side.pop(price, None)


def _foreign(found: str, expected: str) -> MalformedFrame:
    return MalformedFrame(f"a message about {found!r} in a topic of {expected}")


MAKERS: dict[str, Callable[[Listing, BookSequence], Handler]] = {
    "orderbook": _handle_book,
    "orderbook.1": _handle_best,
    "publicTrade": _handle_trades,
    "kline": _handle_bars,
    "tickers": _handle_statistics,
}

CODECS = (BybitLinear, BybitSpot)
