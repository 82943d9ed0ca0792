"""An order book on integers. Rule: dictionaries hold the levels, a heap per side finds the best, lazily.

A side is price -> quantity. The heap holds every price that was ever new, plus stale ones of levels that are gone; they
are thrown away when they reach the top, and the heap is rebuilt when most of it is stale. So a changed quantity costs
one dictionary write, a new price one heap push, and the best price is read at the top.
"""

from heapq import heapify, heappop, heappush

from patriot.protocols.market import BookDelta, BookSnapshot, Level

STALE_MAX = 1024  # a heap may hold this many stale prices beyond the number of levels


class OrderBook:
    """One instrument's book. Sequence and staleness are the feed's duty; the book applies what it is given."""

    __slots__ = ("_ask_heap", "_bid_heap", "asks", "bids", "instrument", "sequence", "time_ms")

    def __init__(self, instrument: str) -> None:
        self.instrument = instrument
        self.clear()

    def clear(self) -> None:
        self.bids: dict[int, int] = {}
        self.asks: dict[int, int] = {}
        self._bid_heap: list[int] = []  # negated, because heapq keeps the smallest on top
        self._ask_heap: list[int] = []
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
        heap, levels = self._bid_heap, self.bids
        while heap:
            price = -heap[0]
            quantity = levels.get(price)
            if quantity is not None:
                return price, quantity
            heappop(heap)
        return None

    def best_ask(self) -> Level | None:
        """Lowest ask, or None."""
        heap, levels = self._ask_heap, self.asks
        while heap:
            price = heap[0]
            quantity = levels.get(price)
            if quantity is not None:
                return price, quantity
            heappop(heap)
        return None

    def top(self, depth: int) -> tuple[list[Level], list[Level]]:
        """The best `depth` levels of each side, best first."""
        bids = [(-key, self.bids[-key]) for key in _best(self._bid_heap, self.bids, -1, depth)]
        asks = [(key, self.asks[key]) for key in _best(self._ask_heap, self.asks, 1, depth)]
        return bids, asks

    @property
    def crossed(self) -> bool:
        """Whether the best bid reaches the best ask: then something was lost, and the book must not be shown."""
        bid, ask = self.best_bid(), self.best_ask()
        return bid is not None and ask is not None and bid[0] >= ask[0]

    def _apply_snapshot(self, snapshot: BookSnapshot) -> None:
        self.bids = {price: quantity for price, quantity in dict(snapshot.bids).items() if quantity}
        self.asks = {price: quantity for price, quantity in dict(snapshot.asks).items() if quantity}
        self._rebuild_bids()
        self._rebuild_asks()
        self.sequence = snapshot.sequence
        self.time_ms = snapshot.time_ms

    def _apply_delta(self, delta: BookDelta) -> None:
        """The loop that market data lives in: written out for both sides, because a call per level costs more."""
        levels, heap = self.bids, self._bid_heap
        for price, quantity in delta.bids:
            if not quantity:
                levels.pop(price, None)
            elif price in levels:
                levels[price] = quantity
            else:
                levels[price] = quantity
                heappush(heap, -price)
        if len(heap) > 2 * len(levels) + STALE_MAX:
            self._rebuild_bids()
        levels, heap = self.asks, self._ask_heap
        for price, quantity in delta.asks:
            if not quantity:
                levels.pop(price, None)
            elif price in levels:
                levels[price] = quantity
            else:
                levels[price] = quantity
                heappush(heap, price)
        if len(heap) > 2 * len(levels) + STALE_MAX:
            self._rebuild_asks()
        self.sequence = delta.last
        self.time_ms = delta.time_ms

    def _rebuild_bids(self) -> None:
        self._bid_heap = [-price for price in self.bids]
        heapify(self._bid_heap)

    def _rebuild_asks(self) -> None:
        self._ask_heap = list(self.asks)
        heapify(self._ask_heap)


def _best(heap: list[int], levels: dict[int, int], sign: int, depth: int) -> list[int]:
    """The best `depth` keys (sign * price). They are taken out and put back; stale ones in their way are gone then."""
    best: list[int] = []
    while heap and len(best) < depth:
        key = heappop(heap)
        if sign * key in levels and key not in best[-1:]:
            best.append(key)
    for key in best:
        heappush(heap, key)
    return best
