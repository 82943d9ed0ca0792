"""News from outside that nobody needs yet. Rule: the newest word on a level wins, and no news is lost to who looks.

Where no order of ours rests and nobody listens, all that book news change is what the next order will meet. So they
wait here, at the cost of a dictionary write a level, until somebody looks at the book (`MarketState.book`).
"""

from patriot.protocols.market import BookDelta, BookSnapshot, Quote, Trade

WAITING_MAX = 20_000
"""Levels, or trades, that may wait; beyond it the book is brought up to date."""


class Waiting:
    """The waiting news of one book, to be applied in this order: `whole`, levels, trades."""

    __slots__ = ("asks", "bids", "is_full", "trades", "whole")

    def __init__(self) -> None:
        self.whole: Quote | BookSnapshot | None = None
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self.trades: list[Trade] = []
        self.is_full = False

    def replace(self, whole: Quote | BookSnapshot) -> None:
        """News that are the whole book: everything before is history."""
        self.whole = whole
        if self.trades or self.bids or self.asks:
            self.bids, self.asks, self.trades = {}, {}, []

    def keep(self, news: BookSnapshot | BookDelta) -> None:
        if isinstance(news, BookDelta):
            self.change(news)
        else:
            self.replace(news)

    def change(self, delta: BookDelta) -> None:
        """Levels as of the delta's time: trades up to then are in their quantities."""
        self.bids.update(delta.bids)
        self.asks.update(delta.asks)
        if self.trades:
            self.trades = [trade for trade in self.trades if trade.time_ms > delta.time_ms]
        self.is_full = len(self.bids) + len(self.asks) > WAITING_MAX

    def pass_through(self, trade: Trade) -> None:
        """A trade that will take its quantity from the levels."""
        self.trades.append(trade)
        self.is_full = len(self.trades) > WAITING_MAX

    @property
    def levels(self) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
        return list(self.bids.items()), list(self.asks.items())
