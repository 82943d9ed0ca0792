"""Market streams: one publisher per stream name. Rule: encoded once, written to many; nobody listens, nothing runs.

A publisher hears the exchange or a timer while it has readers. Depth messages are continuous: a message's `U` (futures:
`pu`) follows on the `u` of the one before, and a snapshot's `lastUpdateId` is on the same count.
"""

import asyncio
from collections.abc import Callable
from typing import ClassVar, Protocol

import orjson

from feeds.venue.events import EVERY, AccountEvent, OrderUpdate
from feeds.venue.wire.binance_linear_shapes import force_order
from feeds.venue.wire.binance_market_shapes import (
    book_ticker,
    depth_update,
    kline,
    mark_price,
    mini_ticker,
    partial_depth,
    ticker,
    trade,
)
from feeds.venue.wire.binance_segment import Segment
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Bar, BookDelta, Market, Quote, Trade


class Reader(Protocol):
    """Somebody who reads streams."""

    def read(self, name: str, text: str, *, is_latest: bool) -> None:
        """Take one message of the stream `name`; of several with `is_latest` only the newest matters."""


class Publisher:
    """One stream. `period_ms` 0 means that it speaks when the exchange does."""

    is_latest: ClassVar[bool] = False

    def __init__(self, segment: Segment, name: str, instruments: list[Instrument], period_ms: int = 0) -> None:
        self.segment = segment
        self.name = name
        self.instruments = instruments
        self._period_ms = period_ms
        self._readers: dict[Reader, None] = {}
        self._stops: list[Callable[[], None]] = []

    @property
    def instrument(self) -> Instrument:
        return self.instruments[0]

    @property
    def is_read(self) -> bool:
        return bool(self._readers)

    def add(self, reader: Reader) -> None:
        self._readers[reader] = None
        if not self._stops:
            self._stops = self.listen()
            if self._period_ms:
                self._stops.append(Timer(self._period_ms / 1000, self.tick).stop)

    def remove(self, reader: Reader) -> None:
        self._readers.pop(reader, None)
        if not self._readers:
            for stop in self._stops:
                stop()
            self._stops.clear()

    def publish(self, shape: object) -> None:
        text = orjson.dumps(shape).decode()
        for reader in list(self._readers):
            reader.read(self.name, text, is_latest=self.is_latest)

    def listen(self) -> list[Callable[[], None]]:
        """Begin to hear the exchange; return what ends it."""
        return [self.segment.exchange.on_market(one.id, self.hear) for one in self.instruments]

    def hear(self, event: Market) -> None:
        """Take an event of an instrument."""

    def tick(self) -> None:
        """A period has passed."""


class Timer:
    """Calls back every period until stopped."""

    def __init__(self, period_s: float, call: Callable[[], None]) -> None:
        self._loop = asyncio.get_running_loop()
        self._period_s = period_s
        self._call = call
        self._handle = self._loop.call_later(period_s, self._fire)

    def stop(self) -> None:
        self._handle.cancel()

    def _fire(self) -> None:
        self._handle = self._loop.call_later(self._period_s, self._fire)
        self._call()


class TradePublisher(Publisher):
    """<symbol>@trade and <symbol>@aggTrade, where every trade is an aggregate of one."""

    def hear(self, event: Market) -> None:
        if isinstance(event, Trade):
            is_aggregate = self.name.endswith("@aggTrade")
            self.publish(trade(event, self.segment.scale(self.instrument), is_aggregate=is_aggregate))


class BookTickerPublisher(Publisher):
    """<symbol>@bookTicker."""

    is_latest = True

    def hear(self, event: Market) -> None:
        if isinstance(event, Quote):
            self.publish(book_ticker(event, self.segment.scale(self.instrument)))


class DepthPublisher(Publisher):
    """<symbol>@depth: what changed in one period, joined into one message."""

    _joined: BookDelta | None = None

    def listen(self) -> list[Callable[[], None]]:
        self._joined = None
        return super().listen()

    def hear(self, event: Market) -> None:
        if isinstance(event, BookDelta):
            self._joined = event if self._joined is None else _join(self._joined, event)

    def tick(self) -> None:
        if self._joined is not None:
            self.publish(depth_update(self._joined, self.segment.scale(self.instrument)))
            self._joined = None


def _join(old: BookDelta, new: BookDelta) -> BookDelta:
    bids, asks = dict(old.bids) | dict(new.bids), dict(old.asks) | dict(new.asks)
    return BookDelta(
        new.instrument, list(bids.items()), list(asks.items()), old.first, new.last, old.previous, new.time_ms
    )


class PartialDepthPublisher(Publisher):
    """<symbol>@depth<levels>: the best levels, where they changed."""

    is_latest = True
    levels = 5
    _last = -1

    def tick(self) -> None:
        book = self.segment.exchange.book(self.instrument.id, self.levels)
        if book.sequence != self._last:
            previous = self._last if self._last >= 0 else book.sequence - 1
            self.publish(partial_depth(book, previous, self.segment.scale(self.instrument)))
            self._last = book.sequence


class TickerPublisher(Publisher):
    """<symbol>@ticker and @miniTicker; !ticker@arr and !miniTicker@arr for all."""

    is_latest = True

    def listen(self) -> list[Callable[[], None]]:
        return []

    def tick(self) -> None:
        shapes = [self._shape(one) for one in self.instruments]
        self.publish(shapes if self.name.startswith("!") else shapes[0])

    def _shape(self, instrument: Instrument) -> object:
        exchange, scale = self.segment.exchange, self.segment.scale(instrument)
        day = exchange.ticker(instrument.id)
        if "miniTicker" in self.name:
            return mini_ticker(day, scale)
        return ticker(day, exchange.recent_trades(instrument.id, 1), exchange.quote(instrument.id), scale)


class KlinePublisher(Publisher):
    """<symbol>@kline_<interval>: the growing bar, and each bar once more when it is closed."""

    seconds = 60
    interval = "1m"
    _last: Bar | None = None

    def listen(self) -> list[Callable[[], None]]:
        self._last = next(iter(self._bars()[:-1]), None)
        return []

    def _bars(self) -> list[Bar]:
        return self.segment.exchange.bars(self.instrument.id, self.seconds, 2)

    def tick(self) -> None:
        for bar in self._bars():
            old = self._last
            if old is None or (bar.open_ms >= old.open_ms and bar != old):
                self._last = bar
                now = self.segment.exchange.now_ms()
                self.publish(kline(bar, self.interval, now, self.segment.scale(self.instrument)))


class MarkPricePublisher(Publisher):
    """<symbol>@markPrice and !markPrice@arr."""

    is_latest = True

    def listen(self) -> list[Callable[[], None]]:
        return []

    def tick(self) -> None:
        marks = [(self.segment.exchange.mark_price(one.id), self.segment.scale(one)) for one in self.instruments]
        shapes = [mark_price(mark, scale) for mark, scale in marks]
        self.publish(shapes if self.name.startswith("!") else shapes[0])


class ForceOrderPublisher(Publisher):
    """<symbol>@forceOrder and !forceOrder@arr: fills of liquidations."""

    def listen(self) -> list[Callable[[], None]]:
        return [self.segment.exchange.on_account(EVERY, self.hear_account)]

    def hear_account(self, event: AccountEvent) -> None:
        if isinstance(event, OrderUpdate) and event.fill is not None and event.order.is_liquidation:
            instrument = event.order.instrument
            if instrument in self.instruments:
                self.publish(force_order(event, self.segment.scale(instrument)))
