"""The newest state of one instrument. Rule: a message costs a few assignments; everything else waits for the flush.

The top of the book comes from the book or from the best-quote stream, whichever is newer; both may be there, and the
book stays out while it is being resynchronised. What was seen last remains the price until it is called stale.
"""

from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple

from patriot.domain.bars import BarBuilder
from patriot.domain.book import OrderBook
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from patriot.protocols.sequence import before

BAR_SECONDS = (1, 60, 300, 900, 3600, 86_400)
HISTORY_MAX = 500
"""Closed bars kept per length."""
TRADES_MAX = 10_000
"""Trades that may wait for a flush; beyond it the oldest are dropped and counted."""


class Top(NamedTuple):
    """Best bid and ask, in units; 0 where a side is empty or not known."""

    bid: int
    ask: int


NOTHING = Top(0, 0)


class InstrumentMarket:
    """Book, prices, bars and what has changed since the last flush."""

    __slots__ = (
        "_builder",
        "_top",
        "bars",
        "book",
        "book_changed",
        "closed_bars",
        "dropped_trades",
        "in_sync",
        "instrument_id",
        "last",
        "mark",
        "price_changed",
        "quote",
        "seen",
        "trades",
        "wants_resync",
    )

    def __init__(self, instrument_id: str) -> None:
        self.instrument_id = instrument_id
        self.restart()

    def restart(self) -> None:
        """Forget everything: the definition's scale has changed, so no integer means what it did."""
        self.book = OrderBook(self.instrument_id)
        self.in_sync = False
        self.quote: Quote | None = None
        self.last = self.mark = 0
        self.seen = self.price_changed = self.book_changed = self.wants_resync = False
        self.trades: deque[Trade] = deque(maxlen=TRADES_MAX)
        self.closed_bars: deque[Bar] = deque(maxlen=TRADES_MAX)
        self.bars: dict[int, deque[Bar]] = {seconds: deque(maxlen=HISTORY_MAX) for seconds in BAR_SECONDS}
        self.dropped_trades = 0
        self._builder = BarBuilder(self.instrument_id, BAR_SECONDS)
        self._top = NOTHING

    # --- what comes in ---
    def on_trade(self, trade: Trade) -> None:
        self.last = trade.price
        if len(self.trades) == TRADES_MAX:
            self.dropped_trades += 1
        self.trades.append(trade)
        if closed := self._builder.add(trade):
            self._keep(closed)
        self.seen = self.price_changed = True

    def on_quote(self, quote: Quote) -> None:
        self.quote = quote
        self.seen = self.price_changed = True

    def on_snapshot(self, snapshot: BookSnapshot) -> None:
        self.book.apply(snapshot)
        self.in_sync = self.seen = self.price_changed = self.book_changed = True

    def on_delta(self, delta: BookDelta) -> None:
        """Apply a diff that follows the book. A book without a snapshot begins with its very first update only."""
        if not self.in_sync and delta.last > 1:
            return
        if before(delta) > self.book.sequence:
            self._distrust()
            return
        self.book.apply(delta)
        self.in_sync = self.seen = self.price_changed = self.book_changed = True

    def on_mark_price(self, message: MarkPrice) -> None:
        self.mark = message.mark
        self.seen = self.price_changed = True

    def on_ticker(self, ticker: Ticker) -> None:
        """Its last price counts until there is a trade."""
        self.last = self.last or ticker.last
        self.seen = True

    def on_bar(self, _: Bar) -> None:
        """The venue's own bars tell that it lives; ours are made from trades."""
        self.seen = True

    # --- what is known ---
    def top(self) -> Top:
        """The newest best bid and ask that can be trusted; what was seen last where there are none."""
        if self.in_sync and self.book.crossed:
            self._distrust()
        newest = self._newest_top()
        if newest != NOTHING and (newest.bid < newest.ask or not newest.ask):
            self._top = newest
        return self._top

    def _newest_top(self) -> Top:
        quote = self.quote
        if quote is not None and (not self.in_sync or self._is_newer(quote)):
            return Top(quote.bid, quote.ask)
        bid, ask = self.book.best_bid(), self.book.best_ask()
        return Top(bid[0] if bid else 0, ask[0] if ask else 0)

    def _is_newer(self, quote: Quote) -> bool:
        """By the venue's time; by its sequence where quotes have no time (Binance spot)."""
        return quote.time_ms >= self.book.time_ms if quote.time_ms else quote.sequence >= self.book.sequence

    def lose_book(self) -> None:
        """The book is wrong until the next snapshot."""
        if self.in_sync and not self.book.crossed:
            self.top()  # remembered
        if self.quote is not None and not self._is_newer(self.quote):
            self.quote = None
        self.in_sync = False
        self.book.clear()
        self.book_changed = True

    def _distrust(self) -> None:
        """What came cannot be true: ask for a new snapshot."""
        self.lose_book()
        self.wants_resync = True

    def advance(self, now_ms: int) -> None:
        """Close the bars that have ended, also without a trade."""
        self._keep(self._builder.advance(now_ms))

    def growing(self, seconds: int) -> Bar | None:
        """The open bar of this length."""
        return next((bar for bar in self._builder.growing() if bar.seconds == seconds), None)

    def _keep(self, closed: list[Bar]) -> None:
        for bar in closed:
            self.bars[bar.seconds].append(bar)
            self.closed_bars.append(bar)


HANDLERS: dict[type, Callable[[InstrumentMarket, Any], None]] = {
    Trade: InstrumentMarket.on_trade,
    Quote: InstrumentMarket.on_quote,
    BookSnapshot: InstrumentMarket.on_snapshot,
    BookDelta: InstrumentMarket.on_delta,
    MarkPrice: InstrumentMarket.on_mark_price,
    Ticker: InstrumentMarket.on_ticker,
    Bar: InstrumentMarket.on_bar,
}
