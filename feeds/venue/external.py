"""Liquidity from outside: a recording or live feed as the other side of our orders. Rule: it fills no more than it has.

- A marketable order of ours consumes external levels; they stay consumed until the next news names them again.
- A resting order of ours fills when a trade prints through its price, or at its price once the queue ahead of it
  (see the queue model in `feeds.venue.book`) is used up; all fills by one trade never exceed its quantity. It also
  fills where a level of the other side appears at or through its price, up to that level's quantity.
- External levels in the way of newer news are stale and are dropped.
- News that no order and no listener needs yet wait (`feeds.venue.waiting`) until somebody looks at the book.
- Known limit: where a recording shows the level's decrease before the trade that caused it, that trade counts twice
  against the queue. Exchanges send trades at once and depth in batches, so this is rare.
"""

from collections.abc import Iterable
from functools import partial

from feeds.venue.clearing import Clearing, Match
from feeds.venue.execution import Execution
from feeds.venue.market import MarketState
from feeds.venue.waiting import Waiting
from patriot.protocols.market import BookDelta, BookSnapshot, Quote, Trade


class External:
    """Applies news to a book. All money goes between our accounts and the `house`."""

    def __init__(self, clearing: Clearing, execution: Execution) -> None:
        self._clearing = clearing
        self._execution = execution
        for market in clearing.markets.values():
            self.take(market)

    def take(self, market: MarketState) -> None:
        """Apply what waits for this market when somebody looks."""
        market.catch_up = partial(self._catch_up, market)

    def book(self, market: MarketState, news: BookSnapshot | BookDelta) -> None:
        """Set levels to their new quantities; a snapshot also removes the levels that it does not name."""
        for buy, levels in ((True, news.bids), (False, news.asks)):
            if isinstance(news, BookSnapshot):
                self._remove_others(market, {price for price, _ in levels}, buy=buy)
            self._remove(market, [price for price, quantity in levels if not quantity], buy=buy)
        for buy, levels in ((True, news.bids), (False, news.asks)):
            self._set_levels(market, [level for level in levels if level[1]], buy=buy)

    def quote(self, market: MarketState, quote: Quote) -> None:
        """Make the quote the whole external book; a side without quantity is empty."""
        book = market.book
        bids, asks = ([(quote.bid, quote.bid_quantity)], [(quote.ask, quote.ask_quantity)])
        for buy, price in ((True, quote.bid), (False, quote.ask)):
            if book.external_prices(buy) != [price]:
                self._remove_others(market, {price}, buy=buy)
        self._set_levels(market, bids, buy=True)
        self._set_levels(market, asks, buy=False)

    def trade(self, market: MarketState, trade: Trade) -> None:
        """Let a trade that happened elsewhere pass through the book."""
        buy = not trade.buyer_is_maker
        better = trade.price - 1 if buy else trade.price + 1
        left = self._flow(market, better, trade.quantity, buy=buy, sweep=True)
        self._flow(market, trade.price, left, buy=buy, sweep=False)

    def _catch_up(self, market: MarketState, waiting: Waiting) -> None:
        """Apply what waited. Nothing of ours rested meanwhile, so nothing fills."""
        if isinstance(waiting.whole, Quote):
            self.quote(market, waiting.whole)
        elif waiting.whole is not None:
            self.book(market, waiting.whole)
        self.book(market, BookDelta(market.instrument.id, *waiting.levels, 0, 0, 0, 0))
        for trade in waiting.trades:
            self.trade(market, trade)

    def _remove_others(self, market: MarketState, named: set[int], *, buy: bool) -> None:
        self._remove(market, [price for price in market.book.external_prices(buy) if price not in named], buy=buy)

    def _remove(self, market: MarketState, prices: Iterable[int], *, buy: bool) -> None:
        for price in prices:
            market.book.set_external(buy, price, 0)

    def _set_levels(self, market: MarketState, levels: Iterable[tuple[int, int]], *, buy: bool) -> None:
        book, reach = market.book, market.book.reach(buy)
        for price, quantity in levels:
            left = quantity
            if reach is not None and (price >= reach if buy else price <= reach):
                left = self._flow(market, price, quantity, buy=buy, sweep=True)
                reach = book.reach(buy)
            book.set_external(buy, price, left)

    def _flow(self, market: MarketState, limit: int, quantity: int, *, buy: bool, sweep: bool) -> int:
        """Let anonymous flow meet the book up to `limit`; return what is left of it.

        `sweep` True drops the external levels in the way, False consumes them.
        """
        while quantity and (head := market.book.head(buy, limit)):
            maker, price, size = head
            if maker is None and sweep:
                market.book.set_external(not buy, price, 0)
            elif maker is None:
                taken = min(quantity, size)
                market.book.take(buy, price, taken)
                quantity -= taken
            elif self._execution.trim(maker):
                take = min(quantity, market.book.shown(maker))
                market.book.take(buy, price, take)
                quantity -= take
                match = Match(price, take, market.next_trade_id(), self._execution.now_ms)
                self._clearing.settle_external(self._clearing.house, market, price, take if buy else -take)
                self._execution.fill(market, maker, match, is_maker=True)
        return quantity
