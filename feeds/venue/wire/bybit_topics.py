"""Public topics: one publisher per topic, however many read it. Rule: encode once, and only when something changed.

A publisher hears its instrument, remembers that something changed, and after its interval writes one message to all
readers. A book's `u` grows by one per message of its topic; a snapshot with `u` 1 says that the service restarted.
Source: bybit-exchange.github.io/docs/v5/websocket/public
"""

from collections.abc import Callable
from typing import Any, ClassVar

import msgspec

from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_market_rows import (
    BAR_SECONDS,
    bar_message,
    levels,
    spot_ticker_message,
    ticker_row,
    trade_message,
)
from feeds.venue.wire.socket import Socket
from patriot.domain.instrument import Instrument
from patriot.protocols.market import BookDelta, BookSnapshot, Market, MarkPrice, Quote, Trade

_encode = msgspec.json.Encoder().encode

BOOK_SECONDS = {1: 0.01, 50: 0.02, 200: 0.1, 1000: 0.2}
"""Depths of a book and how often they are told."""


class Publisher:
    """One topic. Subclasses say what they hear and what they write."""

    interval_seconds: ClassVar[float] = 0.0

    def __init__(self, desk: Desk, instrument: Instrument, topic: str) -> None:
        self.exchange = desk.exchange
        self.instrument = instrument
        self.topic = topic
        self._desk = desk
        self._is_due = False
        self._readers: dict[Socket, None] = {}
        self._stop: Callable[[], None] | None = None

    @property
    def is_read(self) -> bool:
        return bool(self._readers)

    def add(self, reader: Socket) -> None:
        if self._stop is None:
            self._stop = self.listen()
        self.welcome(reader)
        self._readers[reader] = None

    def remove(self, reader: Socket) -> None:
        self._readers.pop(reader, None)
        if not self._readers and self._stop is not None:
            self._stop()
            self._stop = None

    def listen(self) -> Callable[[], None]:
        return self.exchange.on_market(self.instrument.id, self.hear)

    def hear(self, event: Market) -> None:
        """Note what is to be told."""

    def welcome(self, reader: Socket) -> None:
        """Give a new reader its first picture, before it hears of changes."""

    def write(self) -> None:
        """Tell what changed."""

    def restart(self) -> None:
        """Do what the readers see when the service restarts."""

    def touch(self) -> None:
        """Write after the interval, once."""
        if not self._is_due:
            self._is_due = True
            self._desk.schedule(self.interval_seconds, self._fire)

    def send(self, kind: str, data: Any, *, to: Socket | None = None, key: str = "", **fields: int) -> None:
        text = self._text(kind, data, fields)
        for reader in (to,) if to else tuple(self._readers):
            self._desk.strikes.send(reader, text, self.topic, key=key)

    def _text(self, kind: str, data: Any, fields: dict[str, int]) -> str:
        message = {"topic": self.topic, "type": kind, "ts": self.exchange.now_ms(), "data": data, **fields}
        return _encode(message).decode()

    def _fire(self) -> None:
        self._is_due = False
        if self._readers:
            self.write()


class BookPublisher(Publisher):
    """orderbook.{depth}.{symbol}: a snapshot, then the levels that changed, came into the depth or left it.

    Depth 1 is always told whole.
    """

    depth: ClassVar[int] = 50

    def __init__(self, desk: Desk, instrument: Instrument, topic: str) -> None:
        super().__init__(desk, instrument, topic)
        self._update = 0
        self._shown: BookSnapshot | None = None

    def hear(self, event: Market) -> None:
        if isinstance(event, BookDelta):
            self.touch()

    def welcome(self, reader: Socket) -> None:
        """Bring the others up to date first, so that one sequence serves all."""
        self.write()
        book = self._shown if self._shown is not None else self._take()
        self._tell("snapshot", book, book.bids, book.asks, to=reader)

    def write(self) -> None:
        before = self._shown
        if before is None:
            return
        book = self.exchange.book(self.instrument.id, self.depth)
        bids, asks = changes(before.bids, book.bids), changes(before.asks, book.asks)
        if not bids and not asks:
            return
        self._update += 1
        self._shown = book
        if self.depth == 1:
            self._tell("snapshot", book, book.bids, book.asks)
        else:
            self._tell("delta", book, bids, asks)

    def restart(self) -> None:
        self._update = 0
        book = self._take()
        self._tell("snapshot", book, book.bids, book.asks)

    def _take(self) -> BookSnapshot:
        self._update += 1
        self._shown = self.exchange.book(self.instrument.id, self.depth)
        return self._shown

    def _tell(
        self,
        kind: str,
        book: BookSnapshot,
        bids: list[tuple[int, int]],
        asks: list[tuple[int, int]],
        *,
        to: Socket | None = None,
    ) -> None:
        data = {
            "s": self.instrument.native_symbol,
            "b": levels(self.instrument, bids),
            "a": levels(self.instrument, asks),
            "u": self._update,
            "seq": book.sequence,
        }
        self.send(kind, data, to=to, cts=book.time_ms)


def changes(before: list[tuple[int, int]], after: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return the levels that turn one side into the other; quantity 0 takes a level away."""
    known, wanted = dict(before), dict(after)
    gone = [(price, 0) for price in known if price not in wanted]
    return [level for level in after if known.get(level[0]) != level[1]] + gone


class TradePublisher(Publisher):
    """publicTrade.{symbol}: the trades of one moment in one message."""

    def __init__(self, desk: Desk, instrument: Instrument, topic: str) -> None:
        super().__init__(desk, instrument, topic)
        self._rows: list[dict[str, Any]] = []
        self._last = 0
        self._tick = "ZeroPlusTick"

    def hear(self, event: Market) -> None:
        if isinstance(event, Trade):
            self._tick = tick_direction(self._last, event.price, self._tick)
            self._last = event.price
            sequence = self.exchange.quote(self.instrument.id).sequence
            self._rows.append(trade_message(self.instrument, event, self._tick, sequence))
            self.touch()

    def welcome(self, reader: Socket) -> None:  # noqa: ARG002 - trades have no first picture
        if not self.is_read:
            self._rows.clear()

    def write(self) -> None:
        rows, self._rows = self._rows, []
        self.send("snapshot", rows)


def tick_direction(before: int, now: int, last: str) -> str:
    """Name the move from one price to the next; an unmoved price keeps the direction of the last move."""
    if not before or before == now:
        return "ZeroPlusTick" if "Plus" in last else "ZeroMinusTick"
    return "PlusTick" if now > before else "MinusTick"


class LinearTickerPublisher(Publisher):
    """tickers.{symbol} of a contract: a snapshot, then the fields that changed."""

    interval_seconds = 0.1

    def __init__(self, desk: Desk, instrument: Instrument, topic: str) -> None:
        super().__init__(desk, instrument, topic)
        self._shown: dict[str, Any] = {}

    def hear(self, event: Market) -> None:
        if isinstance(event, (Trade, Quote, MarkPrice)):
            self.touch()

    def welcome(self, reader: Socket) -> None:
        self.write()
        self._shown = ticker_row(self.exchange, self.instrument)
        self.send("snapshot", self._shown, to=reader, cs=self._sequence())

    def write(self) -> None:
        row = ticker_row(self.exchange, self.instrument)
        news = {name: value for name, value in row.items() if self._shown.get(name) != value}
        if news and self._shown:
            self.send("delta", {"symbol": self.instrument.native_symbol} | news, cs=self._sequence())
        self._shown = row

    def _sequence(self) -> int:
        return self.exchange.quote(self.instrument.id).sequence


class SpotTickerPublisher(Publisher):
    """tickers.{symbol} of a spot pair: always whole, so a slow reader may miss one."""

    interval_seconds = 0.05

    def hear(self, event: Market) -> None:
        if isinstance(event, Trade):
            self.touch()

    def welcome(self, reader: Socket) -> None:
        self._tell(reader)

    def write(self) -> None:
        self._tell(None)

    def _tell(self, to: Socket | None) -> None:
        sequence = self.exchange.quote(self.instrument.id).sequence
        row = spot_ticker_message(self.exchange, self.instrument)
        self.send("snapshot", row, to=to, key=self.topic, cs=sequence)


class BarPublisher(Publisher):
    """kline.{interval}.{symbol}: the growing bar, and once more with `confirm` when it closes."""

    interval_seconds = 0.5

    def __init__(self, desk: Desk, instrument: Instrument, topic: str) -> None:
        super().__init__(desk, instrument, topic)
        self._interval = topic.split(".")[1]
        self._closed_ms = desk.exchange.now_ms()
        self._waits_for_ms = 0

    def hear(self, event: Market) -> None:
        if isinstance(event, Trade):
            self.touch()

    def welcome(self, reader: Socket) -> None:  # noqa: ARG002 - the first bar comes to all
        self.touch()

    def write(self) -> None:
        now_ms, seconds = self.exchange.now_ms(), BAR_SECONDS[self._interval]
        bars = self.exchange.bars(self.instrument.id, seconds, 2)
        told = [bar for bar in bars if bar.open_ms + seconds * 1000 > self._closed_ms]
        if told:
            self.send("snapshot", [bar_message(self.instrument, bar, self._interval, now_ms) for bar in told])
            self._wake_at_close(told[-1].open_ms + seconds * 1000, now_ms)
        closed = [bar.open_ms + seconds * 1000 for bar in told if bar.closed]
        self._closed_ms = max([self._closed_ms, *closed])

    def _wake_at_close(self, end_ms: int, now_ms: int) -> None:
        if self._waits_for_ms < end_ms > now_ms:
            self._waits_for_ms = end_ms
            self._desk.schedule((end_ms - now_ms) / 1000 + 0.01, self.touch)
