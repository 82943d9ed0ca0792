"""An order book on integers. Rule: dictionaries hold the levels; only the prices near the top are kept in order.

A side is price -> quantity. What is asked for stands near the top: there a sorted list holds the prices, and a level
behind them costs one dictionary write, also when it is new. A price whose level is gone stays in the list until it
comes to the top. A list that has grown long forgets its far end; one that has run out is made again from all levels.
"""

from bisect import insort
from heapq import nlargest, nsmallest
from math import inf

from patriot.protocols.market import BookDelta, BookSnapshot, Level

NEAR = 64  # prices in order after a look at all levels
NEAR_MAX = 256  # with those that came since, and those that are gone


class OrderBook:
    """One instrument's book. Sequence and staleness are the feed's duty; the book applies what it is given."""

    __slots__ = ("_near_asks", "_near_bids", "asks", "bids", "instrument", "sequence", "time_ms")

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.clear()

    def clear(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._near_bids: list[int] = []  # every bid from the first entry on; the best is the last
        self._near_asks: list[int] = []  # the same, negated
        self.sequence = 0
        self.time_ms = 0

    def apply(self, message: BookSnapshot | BookDelta) -> None:
        """Take over a snapshot, or change the levels of a diff."""
        if isinstance(message, BookSnapshot):
            self._apply_snapshot(message)
        else:
            self._apply_delta(message)

    def best_bid(self) -> Level | None:
        """Highest bid, or None."""
        levels, near = self.bids, self._near_bids
        while near:
            price = near[-1]
            quantity = levels.get(price)
            if quantity is not None:
                return price, quantity
            near.pop()
        if not levels:
            return None
        self._look_at_all_bids()
        return self.best_bid()

    def best_ask(self) -> Level | None:
        """Lowest ask, or None."""
        levels, near = self.asks, self._near_asks
        while near:
            price = -near[-1]
            quantity = levels.get(price)
            if quantity is not None:
                return price, quantity
            near.pop()
        if not levels:
            return None
        self._look_at_all_asks()
        return self.best_ask()

    def top(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best `depth` levels of each side, best first."""
        bids, asks = _best(self._near_bids, self.bids, 1, depth), _best(self._near_asks, self.asks, -1, depth)
        if len(bids) < min(depth, len(self.bids)):
            self._look_at_all_bids(depth)
            bids = _best(self._near_bids, self.bids, 1, depth)
        if len(asks) < min(depth, len(self.asks)):
            self._look_at_all_asks(depth)
            asks = _best(self._near_asks, self.asks, -1, depth)
        return bids, asks

    @property
    def crossed(self) -> bool:
        """Whether the best bid reaches the best ask: then something was lost, and the book must not be shown."""
        bid, ask = self.best_bid(), self.best_ask()
        return bid is not None and ask is not None and bid[0] >= ask[0]

    def _apply_snapshot(self, snapshot: BookSnapshot) -> None:
        self.bids = {price: quantity for price, quantity in dict(snapshot.bids).items() if quantity}
        self.asks = {price: quantity for price, quantity in dict(snapshot.asks).items() if quantity}
        self._look_at_all_bids()
        self._look_at_all_asks()
        self.sequence = snapshot.sequence
        self.time_ms = snapshot.time_ms

    def _apply_delta(self, delta: BookDelta) -> None:
        """The loop that market data lives in: written out for both sides, because a call per level costs more."""
        levels, near = self.bids, self._near_bids
        last = near[0] if near else -inf
        for price, quantity in delta.bids:
            if not quantity:
                levels.pop(price, None)
            elif price < last or price in levels:
                levels[price] = quantity
            else:
                levels[price] = quantity
                insort(near, price)
        if len(near) > NEAR_MAX:
            del near[: -NEAR_MAX // 2]
        levels, near = self.asks, self._near_asks
        last = -near[0] if near else inf
        for price, quantity in delta.asks:
            if not quantity:
                levels.pop(price, None)
            elif price > last or price in levels:
                levels[price] = quantity
            else:
                levels[price] = quantity
                insort(near, -price)
        if len(near) > NEAR_MAX:
            del near[: -NEAR_MAX // 2]
        self.sequence = delta.last
        self.time_ms = delta.time_ms

    def _look_at_all_bids(self, depth: int = 0) -> None:
        self._near_bids = nlargest(max(depth, NEAR), self.bids)[::-1]

    def _look_at_all_asks(self, depth: int = 0) -> None:
        self._near_asks = [-price for price in reversed(nsmallest(max(depth, NEAR), self.asks))]


def _best(near: list[int], levels: dict[int, int], sign: int, depth: int) -> list[Level]:
    """The best levels among the prices near the top, `depth` at most."""
    best: list[Level] = []
    previous = None
    for key in reversed(near):
        if len(best) == depth:
            break
        price = sign * key
        if key != previous and price in levels:
            best.append((price, levels[price]))
        previous = key
    return best
