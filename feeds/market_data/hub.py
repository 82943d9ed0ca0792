"""All instruments of this process. Rule: `on_market` is synchronous and never waits; `collect` takes what is due.

The hub listens to the `ticks` port, so it works alike on live sockets, on the in-process venue and on a replay. One
task flushes it each 100 ms of the runtime's clock: that is what conflates prices.

Staleness is counted per instrument, to the precision of the flush: an instrument that nothing was heard of for
`staleness_seconds` keeps its last price, which says so.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from feeds.market_data.market import HANDLERS, InstrumentMarket, Top
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Bar, Level, Market, Trade

BOOK_SECONDS = 0.25
BOOK_DEPTH = 20
REFRESH_SECONDS = 10.0
"""A price that does not change is told again this often, or it would run out in the state store."""
LATENESS_MS = 1_000
"""A bar stays open this long after its end for trades that are on their way."""


@dataclass(frozen=True, slots=True)
class Price:
    """A conflated price, in units of `instrument`. `mark` is 0 where there is none."""

    instrument: Instrument
    top: Top
    last: int
    mark: int
    as_of: datetime
    stale: bool


@dataclass(frozen=True, slots=True)
class BookImage:
    """The best levels as of now. Without `in_sync` they are empty: a book that is not true is not shown."""

    instrument: Instrument
    bids: Sequence[Level]
    asks: Sequence[Level]
    sequence: int
    as_of: datetime
    in_sync: bool
    stale: bool


@dataclass(slots=True)
class Due:
    """What one flush has to tell."""

    prices: list[Price] = field(default_factory=list)
    books: list[BookImage] = field(default_factory=list)
    trades: list[tuple[Instrument, list[Trade]]] = field(default_factory=list)
    bars: list[tuple[Instrument, list[Bar]]] = field(default_factory=list)
    became_stale: list[str] = field(default_factory=list)
    to_resync: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Tracked:
    """One instrument: its market, its definition, and when the flush last did what."""

    market: InstrumentMarket
    instrument: Instrument | None
    seen_at: float
    as_of: datetime
    price_told_at: float = float("-inf")
    book_told_at: float = float("-inf")
    stale: bool = False


class MarketHub:
    """Turns normalised messages into outputs."""

    def __init__(self, staleness_seconds: float) -> None:
        self._staleness_seconds = staleness_seconds
        self._markets: dict[str, InstrumentMarket] = {}
        self._tracked: dict[str, _Tracked] = {}
        self._definitions: dict[str, Instrument] = {}
        self._forgotten: set[str] = set()

    # --- what comes in ---
    def on_market(self, message: Market) -> None:
        """Take one message; cheap, called for every tick."""
        market = self._markets.get(message.instrument)
        if market is None:
            if message.instrument in self._forgotten:
                return
            market = self._markets[message.instrument] = InstrumentMarket(message.instrument)
        HANDLERS[type(message)](market, message)

    def define(self, instrument: Instrument) -> None:
        """Learn a definition, or its next version. Another scale starts the instrument's market anew."""
        self._forgotten.discard(instrument.id)
        known = self._definitions.get(instrument.id)
        self._definitions[instrument.id] = instrument
        tracked = self._tracked.get(instrument.id)
        if tracked is not None:
            tracked.instrument = instrument
        if known is not None and scale(known) != scale(instrument) and instrument.id in self._markets:
            self._markets[instrument.id].restart()

    def lose_book(self, instrument_id: str) -> None:
        """The book is not to be trusted until its next snapshot."""
        market = self._markets.get(instrument_id)
        if market is not None:
            market.lose_book()

    def forget(self, instrument_id: str) -> None:
        """Nobody wants this instrument any more; what is still on its way is passed over until `define`."""
        self._forgotten.add(instrument_id)
        self._markets.pop(instrument_id, None)
        self._tracked.pop(instrument_id, None)

    # --- what goes out ---
    def collect(self, now: datetime, monotonic: float) -> Due:
        """Everything that is due at this moment; what is handed out is not handed out again."""
        due = Due()
        now_ms = int(now.timestamp() * 1000)
        for identifier, market in self._markets.items():
            tracked = self._track(identifier, market, now, monotonic)
            market.advance(now_ms - LATENESS_MS)
            self._watch(tracked, now, monotonic, due)
            if tracked.instrument is not None:
                _collect_price(tracked, tracked.instrument, monotonic, due)
                _collect_book(tracked, tracked.instrument, monotonic, due)
                _collect_trades(tracked.market, tracked.instrument, due)
            if market.wants_resync:
                market.wants_resync = False
                due.to_resync.append(identifier)
        return due

    def _track(self, identifier: str, market: InstrumentMarket, now: datetime, monotonic: float) -> _Tracked:
        tracked = self._tracked.get(identifier)
        if tracked is None:
            tracked = _Tracked(market, self._definitions.get(identifier), monotonic, now)
            self._tracked[identifier] = tracked
        return tracked

    def _watch(self, tracked: _Tracked, now: datetime, monotonic: float, due: Due) -> None:
        """Count silence; its beginning and its end are told."""
        market = tracked.market
        if market.seen:
            market.seen = False
            tracked.seen_at, tracked.as_of = monotonic, now
        stale = monotonic - tracked.seen_at >= self._staleness_seconds
        if stale != tracked.stale:
            tracked.stale = stale
            market.price_changed = market.book_changed = True
            if stale:
                due.became_stale.append(market.instrument_id)

    # --- what others ask ---
    def undefined(self) -> list[str]:
        """Instruments that send data and have no definition yet."""
        return [identifier for identifier in self._markets if identifier not in self._definitions]

    def instrument(self, instrument_id: str) -> Instrument | None:
        return self._definitions.get(instrument_id)

    def book(self, instrument_id: str, depth: int) -> BookImage | None:
        """The book as of now, or None where nothing is known of the instrument."""
        tracked = self._tracked.get(instrument_id)
        if tracked is None or tracked.instrument is None:
            return None
        return _image(tracked, tracked.instrument, depth)

    def bars(self, instrument_id: str, seconds: int, limit: int) -> list[Bar]:
        """The newest bars, oldest first; the last one may still grow."""
        market = self._markets.get(instrument_id)
        if market is None:
            return []
        growing = market.growing(seconds)
        bars = [*market.bars.get(seconds, ()), *([growing] if growing else [])]
        return bars[-limit:]

    def silence_seconds(self, instrument_id: str, monotonic: float) -> float | None:
        """Since when nothing was heard; None for an unknown instrument."""
        tracked = self._tracked.get(instrument_id)
        return None if tracked is None else monotonic - tracked.seen_at

    def is_stale(self, instrument_id: str) -> bool:
        tracked = self._tracked.get(instrument_id)
        return tracked is None or tracked.stale

    def __iter__(self) -> Iterator[InstrumentMarket]:
        return iter(self._markets.values())


def _collect_price(tracked: _Tracked, instrument: Instrument, monotonic: float, due: Due) -> None:
    market = tracked.market
    if not market.price_changed and monotonic - tracked.price_told_at < REFRESH_SECONDS:
        return
    top = market.top()
    last = market.last or market.mark or top.bid or top.ask
    if not last:
        return
    bid, ask = top.bid or (0 if top.ask else last), top.ask or (0 if top.bid else last)
    market.price_changed = False
    tracked.price_told_at = monotonic
    due.prices.append(Price(instrument, Top(bid, ask), last, market.mark, tracked.as_of, tracked.stale))


def _collect_book(tracked: _Tracked, instrument: Instrument, monotonic: float, due: Due) -> None:
    if tracked.market.book_changed and monotonic - tracked.book_told_at >= BOOK_SECONDS:
        tracked.market.book_changed = False
        tracked.book_told_at = monotonic
        due.books.append(_image(tracked, instrument, BOOK_DEPTH))


def _collect_trades(market: InstrumentMarket, instrument: Instrument, due: Due) -> None:
    if market.trades:
        due.trades.append((instrument, list(market.trades)))
        market.trades.clear()
    if market.closed_bars:
        due.bars.append((instrument, list(market.closed_bars)))
        market.closed_bars.clear()


def _image(tracked: _Tracked, instrument: Instrument, depth: int) -> BookImage:
    market = tracked.market
    market.top()  # finds out about a crossed book, which is then not shown
    bids, asks = market.book.top(depth) if market.in_sync else ([], [])
    return BookImage(
        instrument, bids, asks, market.book.sequence, tracked.as_of, market.in_sync, tracked.stale or not market.in_sync
    )


def scale(instrument: Instrument) -> tuple[int, int]:
    """What the integers of its messages mean."""
    return instrument.price_decimals, instrument.quantity_decimals
