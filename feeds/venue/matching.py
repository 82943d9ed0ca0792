"""The raw matching engine: one instrument, integers only. Rule: best price first, then oldest order first.

Both sides share one code path by a signed key: an ask's key is its price, a bid's key is minus its price, so on either
side the smallest key is the best price. A taker's `limit` is the largest key of the other side that it accepts.

A side is a dict key -> queue of tickets plus a heap of the same keys; a key is in both or in neither. What is left of
every resting order stands in one dict ticket -> quantity; a ticket missing there is dead, and its place in a queue is
skipped. So cancelling is one dict operation, nothing is allocated per order, and a ticket must never be used again.
When the dead outnumber the living two to one, all are swept out, so memory follows the living orders.
"""

from collections import deque
from collections.abc import Iterator
from heapq import heapify, heappop, heappush

Match = tuple[int, int, int]
"""Maker's ticket, price, quantity."""

NO_LIMIT = 1 << 62
"""A price beyond every price: what a market order accepts is `NO_LIMIT` (buy) or `-NO_LIMIT` (sell)."""

_DEAD_MIN = 1024


class _Side:
    __slots__ = ("heap", "levels")

    def __init__(self) -> None:
        self.heap: list[int] = []
        self.levels: dict[int, deque[int]] = {}


class MatchingEngine:
    """Price-time priority over tickets: positive integers that the caller gives out, each once."""

    __slots__ = ("_asks", "_bids", "_dead", "_left")

    def __init__(self) -> None:
        self._bids = _Side()
        self._asks = _Side()
        self._left: dict[int, int] = {}
        self._dead = 0

    def __len__(self) -> int:
        return len(self._left)

    def __contains__(self, ticket: int) -> bool:
        return ticket in self._left

    def submit(self, ticket: int, buy: bool, price: int, quantity: int) -> list[Match]:  # noqa: FBT001
        """Match what crosses, rest the remainder; return the matches in the order they happened."""
        if buy:
            own, other, limit = self._bids, self._asks, price
        else:
            own, other, limit = self._asks, self._bids, -price
        matches: list[Match] = []
        if other.heap and other.heap[0] <= limit:
            quantity = self._take(other, limit, quantity, matches)
        if quantity:
            queue = own.levels.get(-limit)
            if queue is None:
                own.levels[-limit] = deque((ticket,))
                heappush(own.heap, -limit)
            else:
                queue.append(ticket)
            self._left[ticket] = quantity
        return matches

    def match(self, buy: bool, price: int, quantity: int) -> list[Match]:  # noqa: FBT001
        """Match what crosses; a remainder vanishes (market, IOC)."""
        matches: list[Match] = []
        if buy:
            self._take(self._asks, price, quantity, matches)
        else:
            self._take(self._bids, -price, quantity, matches)
        return matches

    def cancel(self, ticket: int) -> int:
        """Take an order out; return what was left of it, 0 where it is unknown."""
        left = self._left.pop(ticket, 0)
        if left:
            self._dead += 1
            if self._dead > _DEAD_MIN and self._dead > 2 * len(self._left):
                self._sweep()
        return left

    def reduce(self, ticket: int, quantity: int) -> None:
        """Lower what is left of an order; it keeps its place in the queue. Raises KeyError where it is unknown."""
        assert 0 < quantity <= self._left[ticket], "only a decrease keeps priority"
        self._left[ticket] = quantity

    def resize(self, ticket: int, quantity: int) -> None:
        """Change what is left of an order that stands alone at its price: there is no place in a queue to lose."""
        assert quantity > 0 < self._left[ticket], "only a living order has a size"
        self._left[ticket] = quantity

    def left(self, ticket: int) -> int:
        """Return what is left of an order, 0 where it is unknown."""
        return self._left.get(ticket, 0)

    def best_bid(self) -> int | None:
        key = self._best(self._bids)
        return None if key is None else -key

    def best_ask(self) -> int | None:
        return self._best(self._asks)

    def head(self, buy: bool, price: int) -> Match | None:  # noqa: FBT001
        """Return the resting order that a taker at `price` would meet first."""
        side, limit = (self._asks, price) if buy else (self._bids, -price)
        key = self._best(side)
        if key is None or key > limit:
            return None
        ticket = side.levels[key][0]
        return ticket, abs(key), self._left[ticket]

    def crossing(self, buy: bool, price: int) -> Iterator[Match]:  # noqa: FBT001
        """Yield the resting orders that a taker at `price` would meet, first to last. Change nothing meanwhile."""
        side, limit = (self._asks, price) if buy else (self._bids, -price)
        heap = side.heap.copy()
        while heap and heap[0] <= limit:
            key = heappop(heap)
            for ticket in side.levels[key]:
                if quantity := self._left.get(ticket):
                    yield ticket, abs(key), quantity

    def _take(self, other: _Side, limit: int, quantity: int, matches: list[Match]) -> int:
        """Consume `other` up to `limit`; append the matches; return the quantity left over."""
        heap, levels, left = other.heap, other.levels, self._left
        while quantity and heap and (key := heap[0]) <= limit:
            queue = levels[key]
            price = key if key >= 0 else -key
            while queue and quantity:
                ticket = queue[0]
                available = left.get(ticket)
                if available is None:
                    queue.popleft()
                    self._dead -= 1
                elif available > quantity:
                    left[ticket] = available - quantity
                    matches.append((ticket, price, quantity))
                    return 0
                else:
                    queue.popleft()
                    del left[ticket]
                    quantity -= available
                    matches.append((ticket, price, available))
            if not queue:
                heappop(heap)
                del levels[key]
        return quantity

    def _best(self, side: _Side) -> int | None:
        """Return the best key that has a living order; drop the dead ones met on the way."""
        heap, levels = side.heap, side.levels
        while heap:
            queue = levels[heap[0]]
            while queue:
                if queue[0] in self._left:
                    return heap[0]
                queue.popleft()
                self._dead -= 1
            del levels[heappop(heap)]
        return None

    def _sweep(self) -> None:
        left = self._left
        for side in (self._bids, self._asks):
            living = {key: deque(ticket for ticket in queue if ticket in left) for key, queue in side.levels.items()}
            side.levels = {key: queue for key, queue in living.items() if queue}
            side.heap = list(side.levels)
            heapify(side.heap)
        self._dead = 0
