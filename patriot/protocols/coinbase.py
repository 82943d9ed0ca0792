"""Coinbase Advanced Trade. Rule: one sequence counts every message of the connection, whatever its channel.

So a missing number says that something was lost, not what: every book on the connection is distrusted and its channel
subscribed again, which brings a new snapshot. Numbers in the events are that sequence.

Source: docs.cdp.coinbase.com, Advanced Trade WebSocket channels. Two things it does not say: `side` of a market trade
is the maker's side, and trades of one message come newest first (both seen in recordings).
"""

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, ClassVar, Generic, Literal, TypeVar

import msgspec

from patriot.domain.errors import InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.money import decimal_of
from patriot.protocols.codec import Channel, Limits, Listing, Subscription, Topics
from patriot.protocols.errors import (
    DECODE_ERRORS,
    MalformedFrame,
    UnknownInstrument,
    Unrepresentable,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Cause, Declined, Event, Heartbeat, Ignored, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, Quote, Ticker, Trade
from patriot.protocols.number import decimals, levels
from patriot.protocols.sequence import BookSequence

PREFIX = b'{"channel":"'
CHANNEL_MAX = 40  # bytes of a channel's name, prefix included
BAR_SECONDS = 300  # the only candles there are
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUANTITY_DECIMALS = 8  # what every quantity is printed with, at most
LOST = -2  # no message follows this: after one that cannot be read, the next is a gap
MILLISECOND = timedelta(milliseconds=1)
START_DIGITS_MAX = 11  # seconds; the year 5138

Time = Annotated[datetime, msgspec.Meta(tz=True)]
Number = Annotated[int, msgspec.Meta(ge=0)]
Handler = Callable[[bytes], Sequence[Event]]
Body = TypeVar("Body")


class _Message(msgspec.Struct, Generic[Body], gc=False):
    timestamp: Time
    sequence_num: Number
    events: list[Body]


class _Update(msgspec.Struct, gc=False):
    side: Literal["bid", "offer"]
    price_level: str
    new_quantity: str


class _Book(msgspec.Struct, gc=False):
    type: Literal["snapshot", "update"]
    product_id: str
    updates: list[_Update]


class _Trade(msgspec.Struct, gc=False):
    product_id: str
    trade_id: str
    price: str
    size: str
    time: Time
    side: Literal["BUY", "SELL"]  # the maker's side


class _Trades(msgspec.Struct, gc=False):
    trades: list[_Trade]


class _Ticker(msgspec.Struct, gc=False):
    product_id: str
    price: str
    volume_24_h: str
    low_24_h: str
    high_24_h: str
    best_bid: str
    best_ask: str
    best_bid_quantity: str
    best_ask_quantity: str


class _Tickers(msgspec.Struct, gc=False):
    tickers: list[_Ticker]


class _Candle(msgspec.Struct, gc=False):
    start: str
    high: str
    low: str
    open: str
    close: str
    volume: str
    product_id: str


class _Candles(msgspec.Struct, gc=False):
    candles: list[_Candle]


class _Envelope(msgspec.Struct):
    channel: str = ""
    sequence_num: Number | None = None
    type: str = ""
    message: str = ""


class _Level(msgspec.Struct, gc=False):
    price: str
    size: str


class _PriceBook(msgspec.Struct):
    product_id: str
    bids: list[_Level]
    asks: list[_Level]
    time: Time


class _ProductBook(msgspec.Struct):
    pricebook: _PriceBook


class _Product(msgspec.Struct):
    product_id: str
    base_currency_id: str
    quote_currency_id: str
    base_increment: str
    quote_increment: str
    base_min_size: str = "0"
    base_max_size: str = "0"
    quote_min_size: str = "0"
    price_increment: str = ""
    status: str = ""
    trading_disabled: bool = False
    product_type: str = "SPOT"


class _Products(msgspec.Struct):
    products: list[_Product]


_books = msgspec.json.Decoder(_Message[_Book]).decode
_trades = msgspec.json.Decoder(_Message[_Trades]).decode
_tickers = msgspec.json.Decoder(_Message[_Tickers]).decode
_candles = msgspec.json.Decoder(_Message[_Candles]).decode
_envelope = msgspec.json.Decoder(_Envelope).decode
_product_book = msgspec.json.Decoder(_ProductBook).decode
_products = msgspec.json.Decoder(_Products).decode


class CoinbaseSpot:
    """One connection to the market data of Coinbase Advanced Trade."""

    name: ClassVar[str] = "coinbase-spot"
    venue: ClassVar[str] = "COINBASE"
    rest_url: ClassVar[str] = "https://api.coinbase.com"
    instruments_path: ClassVar[str] = "/api/v3/brokerage/market/products"
    limits: ClassVar[Limits] = Limits(subscriptions_max=300, frames_per_second_max=8)
    fees: ClassVar[tuple[Decimal, Decimal]] = (Decimal("0.006"), Decimal("0.012"))
    channels: ClassVar[dict[Channel, str]] = {
        "depth": "level2", "trade": "market_trades", "quote": "ticker", "ticker": "ticker", "mini_ticker": "ticker",
        "bar": "candles",
    }  # fmt: skip

    def __init__(self, instruments: Iterable[Instrument]) -> None:
        listings = [Listing(instrument) for instrument in instruments]
        self._by_symbol = {listing.symbol: listing for listing in listings}
        self._by_id = {listing.id: listing for listing in listings}
        self._books: dict[str, BookSequence] = {}  # by product
        self._active = Topics(self.limits.subscriptions_max)
        self._sequence = -1
        self._handlers: dict[bytes, Handler] = {
            b"l2_data": self._handle_book,
            b"market_trades": self._handle_trades,
            b"ticker": self._handle_tickers,
            b"candles": self._handle_candles,
        }

    @classmethod
    def url(cls, channel: Channel) -> str:  # noqa: ARG003 - one address for all
        return "wss://advanced-trade-ws.coinbase.com"

    # --- what goes out -------------------------------------------------------------------------------------------

    def subscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        """The heartbeats are always asked for: without them Coinbase closes a quiet connection."""
        topics = self._active.add({one: self._topic(one) for one in subscriptions})
        return [*_frames("subscribe", topics), msgspec.json.encode({"type": "subscribe", "channel": "heartbeats"})]

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> list[bytes]:
        return _frames("unsubscribe", self._active.remove({one: self._topic(one) for one in subscriptions}))

    def ping(self) -> bytes:
        """Nothing: the venue's heartbeats keep the connection."""
        return b""

    def _topic(self, subscription: Subscription) -> str:
        channel = self.channels.get(subscription.channel)
        if channel is None or (subscription.channel == "bar" and subscription.seconds != BAR_SECONDS):
            wanted = f"{subscription.channel} {subscription.seconds or ''}".strip()
            raise UnsupportedChannel(f"{self.name} has no stream for {wanted}")
        listing = self._by_id.get(subscription.instrument)
        if listing is None:
            raise UnknownInstrument(subscription.instrument)
        return f"{channel} {listing.symbol}"

    # --- what comes in -------------------------------------------------------------------------------------------

    def feed(self, data: bytes) -> Sequence[Event]:
        channel = data[len(PREFIX) : data.find(b'"', len(PREFIX), CHANNEL_MAX)] if data.startswith(PREFIX) else b""
        try:
            handler = self._handlers.get(channel)
            return handler(data) if handler is not None else self._feed_slowly(data)
        except DECODE_ERRORS as error:
            self._sequence = LOST
            raise MalformedFrame(str(error)) from None
        except MalformedFrame:
            self._sequence = LOST
            raise

    def snapshot(self, instrument: str, data: bytes) -> Sequence[Event]:
        """A picture of the book for those without the stream; the stream's own book is not touched."""
        listing = self._by_id.get(instrument)
        if listing is None:
            raise UnknownInstrument(instrument)
        try:
            book = _product_book(data).pricebook
            bids = levels([(one.price, one.size) for one in book.bids], listing.price, listing.quantity)
            asks = levels([(one.price, one.size) for one in book.asks], listing.price, listing.quantity)
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None
        except Unrepresentable as error:
            return (Resync(listing.id, "unrepresentable", str(error)),)
        return (BookSnapshot(instrument, bids, asks, 0, _milliseconds(book.time)),)

    def reset(self) -> None:
        self._active.clear()
        self._books.clear()
        self._sequence = -1

    def _feed_slowly(self, data: bytes) -> Sequence[Event]:
        envelope = _envelope(data)
        handler = self._handlers.get(envelope.channel.encode())
        if handler is not None:
            return handler(data)
        if envelope.type == "error":
            return (Declined("", "", envelope.message),)
        if not envelope.channel or envelope.sequence_num is None:
            raise MalformedFrame("neither a channel's message nor an error")
        lost = self._advance(envelope.sequence_num)
        answers: dict[str, Event] = {"subscriptions": Acknowledged(""), "heartbeats": Heartbeat()}
        return (*lost, answers.get(envelope.channel, Ignored(envelope.channel)))

    def _advance(self, number: int) -> list[Event]:
        """Count a message; where numbers are missing, every book on the connection is lost."""
        expected, self._sequence = self._sequence + 1, number
        if number == expected:
            return []
        detail = f"expected message {expected}, got {number}"
        return [book.lose("gap", detail) for book in self._books.values()]

    def _listing(self, product: str) -> Listing:
        listing = self._by_symbol.get(product)
        if listing is None:
            raise UnknownInstrument(product)
        return listing

    def _book_of(self, listing: Listing) -> BookSequence:
        book = self._books.get(listing.symbol)
        if book is None:

            def resync(cause: Cause, detail: str) -> Resync:
                topic = [f"level2 {listing.symbol}"]
                frames = (*_frames("unsubscribe", topic), *_frames("subscribe", topic))
                return Resync(listing.id, cause, detail, "", frames)

            book = self._books[listing.symbol] = BookSequence(resync, buffer_max=0)
        return book

    def _convert(self, product: str, convert: Callable[..., Sequence[Event]], *arguments: object) -> Sequence[Event]:
        """Call `convert(listing, ...)`. A value beyond the scale costs the instrument its book, nothing else."""
        listing = self._listing(product)
        try:
            return convert(listing, *arguments)
        except Unrepresentable as error:
            return (self._book_of(listing).lose("unrepresentable", str(error)),)

    def _handle_book(self, data: bytes) -> Sequence[Event]:
        message = _books(data)
        events = self._advance(message.sequence_num)
        time_ms = _milliseconds(message.timestamp)
        for body in message.events:
            events += self._convert(body.product_id, self._apply, body, message.sequence_num, time_ms)
        return events

    def _apply(self, listing: Listing, body: _Book, number: int, time_ms: int) -> Sequence[Event]:
        bid_pairs = [(one.price_level, one.new_quantity) for one in body.updates if one.side == "bid"]
        ask_pairs = [(one.price_level, one.new_quantity) for one in body.updates if one.side == "offer"]
        bids = levels(bid_pairs, listing.price, listing.quantity)
        asks = levels(ask_pairs, listing.price, listing.quantity)
        book = self._book_of(listing)
        if body.type == "snapshot":
            bids.sort(reverse=True)
            asks.sort()
            return book.restart(BookSnapshot(listing.id, bids, asks, number, time_ms))
        # the connection's numbers are unbroken, so this follows the product's previous message
        delta = BookDelta(listing.id, bids, asks, number, number, max(book.applied, 0), time_ms)
        return (delta,) if book.applied == number else book.delta(delta)  # a message may hold two updates

    def _handle_trades(self, data: bytes) -> Sequence[Event]:
        """Also the trades of the snapshot, which are older than the subscription; ids tell what is known already."""
        message = _trades(data)
        events = self._advance(message.sequence_num)
        for body in (one for event in message.events for one in reversed(event.trades)):
            events += self._convert(body.product_id, _trade, body)
        return events

    def _handle_tickers(self, data: bytes) -> Sequence[Event]:
        message = _tickers(data)
        events = self._advance(message.sequence_num)
        time_ms = _milliseconds(message.timestamp)
        for body in (one for event in message.events for one in event.tickers):
            events += self._convert(body.product_id, _ticker, body, message.sequence_num, time_ms)
        return events

    def _handle_candles(self, data: bytes) -> Sequence[Event]:
        message = _candles(data)
        events = self._advance(message.sequence_num)
        time_ms = _milliseconds(message.timestamp)
        for body in (one for event in message.events for one in event.candles):
            events += self._convert(body.product_id, _bar, body, time_ms)
        return events

    # --- definitions ---------------------------------------------------------------------------------------------

    @classmethod
    def decode_instruments(cls, data: bytes) -> list[Instrument]:
        try:
            return [cls._instrument(product) for product in _products(data).products if product.product_type == "SPOT"]
        except DECODE_ERRORS as error:
            raise MalformedFrame(str(error)) from None
        except InvalidValue as error:
            raise MalformedFrame(f"products, {error}") from None

    @classmethod
    def _instrument(cls, product: _Product) -> Instrument:
        tick = decimal_of(product.price_increment or product.quote_increment, "price_increment")
        step = decimal_of(product.base_increment, "base_increment")
        return Instrument(
            id=f"{cls.venue}:{product.base_currency_id}/{product.quote_currency_id}",
            native_symbol=product.product_id,
            base=product.base_currency_id,
            quote=product.quote_currency_id,
            settle=product.quote_currency_id,
            kind="spot",
            tick_size=tick,
            lot_size=step,
            # orders from before an increment grew keep their finer numbers
            price_decimals=decimals(tick, decimals(decimal_of(product.quote_increment, "quote_increment"))),
            quantity_decimals=decimals(step, QUANTITY_DECIMALS),
            minimum_quantity=decimal_of(product.base_min_size, "base_min_size"),
            maximum_quantity=decimal_of(product.base_max_size, "base_max_size"),
            minimum_notional=decimal_of(product.quote_min_size, "quote_min_size"),
            maker_fee=cls.fees[0],
            taker_fee=cls.fees[1],
            trading=product.status == "online" and not product.trading_disabled,
        )


def _frames(operation: str, topics: Sequence[str]) -> list[bytes]:
    """One frame per channel, with all its products."""
    products: dict[str, list[str]] = {}
    for topic in topics:
        channel, _, product = topic.partition(" ")
        products.setdefault(channel, []).append(product)
    return [
        msgspec.json.encode({"type": operation, "product_ids": ids, "channel": channel})
        for channel, ids in products.items()
    ]


def _trade(listing: Listing, body: _Trade) -> Sequence[Event]:
    price, size = listing.price[body.price], listing.quantity[body.size]
    return (Trade(listing.id, price, size, body.side == "BUY", body.trade_id, _milliseconds(body.time)),)


def _ticker(listing: Listing, body: _Ticker, number: int, time_ms: int) -> Sequence[Event]:
    """Best quotes and statistics. The opening price is not told (0)."""
    price, quantity = listing.price, listing.quantity
    bid, ask = price[body.best_bid], price[body.best_ask]
    bid_quantity, ask_quantity = quantity[body.best_bid_quantity], quantity[body.best_ask_quantity]
    last, high, low = price.nearest(body.price), price.nearest(body.high_24_h), price.nearest(body.low_24_h)
    return (
        Quote(listing.id, bid, bid_quantity, ask, ask_quantity, number, time_ms),
        Ticker(listing.id, last, 0, high, low, quantity.nearest(body.volume_24_h), time_ms),
    )


def _bar(listing: Listing, body: _Candle, time_ms: int) -> Sequence[Event]:
    """Closed when the venue's clock has passed its end; the number of trades is not told (0)."""
    if not (body.start.isascii() and body.start.isdigit() and len(body.start) <= START_DIGITS_MAX):
        raise MalformedFrame(f"{body.start[:40]!r} is no time in seconds")
    open_ms = int(body.start) * 1000
    closed = open_ms + BAR_SECONDS * 1000 <= time_ms
    first, high, low, last = (listing.price[text] for text in (body.open, body.high, body.low, body.close))
    volume = listing.quantity.nearest(body.volume)
    return (Bar(listing.id, BAR_SECONDS, open_ms, first, high, low, last, volume, 0, closed),)


def _milliseconds(time: datetime) -> int:
    return (time - EPOCH) // MILLISECOND


CODECS = (CoinbaseSpot,)
