"""One instrument's book: the engine plus who owns what and how much stands at each price.

Rule: whatever changes the engine passes through here, so level totals and the sequence of deltas are complete.

A book holds orders of accounts and, where a recording or a live feed drives it, external levels: anonymous quantity
that belongs to nobody. **Queue model** of external levels: quantity that appears at a price stands behind everything
that already rests there; quantity that disappears goes from the back first. So an order of ours at a price has ahead
of it at most the external quantity that stood there when it came, and moves up only by trades and shrinking levels.

An iceberg stands here with the part that it shows, which is all that the public sees. Once that part is used up, the
next one takes its place behind everything at its price. Whoever meets icebergs goes maker by maker.
"""

from collections.abc import Iterator
from heapq import nlargest, nsmallest

from feeds.venue.matching import MatchingEngine
from feeds.venue.orders import Order
from patriot.protocols.market import BookDelta, BookSnapshot, Quote

Taken = tuple[Order | None, int, int]
"""Maker (None: an external level), price, quantity."""


class Book:
    """Price-time priority over orders and external levels. It enters itself into `dirty` when a level changes."""

    def __init__(self, instrument_id: str, dirty: dict[str, "Book"]) -> None:
        self.instrument_id = instrument_id
        self.sequence = 0
        self.reduce_only = {True: 0, False: 0}
        """How many reduce-only orders rest on the buy (True) and sell side."""
        self.icebergs = {True: 0, False: 0}
        """How many icebergs rest on the buy (True) and sell side."""
        self._engine = MatchingEngine()
        self.owners: dict[int, Order] = {}
        """The orders of accounts that rest, by their tickets."""
        self._totals: dict[bool, dict[int, int]] = {True: {}, False: {}}
        self._external: dict[bool, dict[int, list[int]]] = {True: {}, False: {}}
        self._changed: dict[bool, set[int]] = {True: set(), False: set()}
        self._last_ticket = 0
        self._dirty = dirty

    # orders of accounts

    def rest(self, order: Order) -> None:
        """Put what is left of an order behind all others at its price. It must not cross."""
        self._stand(order, order.left_units)
        self.reduce_only[order.is_buy] += order.reduce_only
        self.icebergs[order.is_buy] += bool(order.display_units)

    def remove(self, order: Order, price: int = 0) -> None:
        """Take a resting order out (of `price`, where its own was changed); one that does not rest is left alone."""
        if order.ticket:
            self._change(order.is_buy, price or order.price_units, -self._engine.cancel(order.ticket))
            self._disown(order)

    def shown(self, order: Order) -> int:
        """Return how much of a resting order stands in the book: all that is left, but of an iceberg."""
        return self._engine.left(order.ticket)

    def shrink(self, order: Order, left_units: int) -> None:
        """Lower what is left of a resting order, what is hidden first; it keeps its place."""
        shown = self.shown(order)
        self._change(order.is_buy, order.price_units, min(shown, left_units) - shown)
        self._engine.reduce(order.ticket, min(shown, left_units))

    def take(self, buy: bool, limit: int, quantity: int) -> list[Taken]:  # noqa: FBT001
        """Match a taker; makers that are used up are out of the book, their fields are the caller's to update."""
        taken: list[Taken] = []
        for ticket, price, size in self._engine.match(buy, limit, quantity):
            self._change(not buy, price, -size)
            maker = self.owners.get(ticket)
            if maker is not None and ticket not in self._engine:
                self._used_up(maker, maker.left_units - size)
            taken.append((maker, price, size))
        return taken

    def head(self, buy: bool, limit: int) -> Taken | None:  # noqa: FBT001
        """Return what a taker would meet first."""
        found = self._engine.head(buy, limit)
        return None if found is None else (self.owners.get(found[0]), found[1], found[2])

    def reach(self, buy: bool) -> int | None:  # noqa: FBT001
        """Return the price that a taker must accept to meet anything, None where nothing stands on the other side."""
        return self._engine.best_ask() if buy else self._engine.best_bid()

    def crossing(self, buy: bool, limit: int) -> Iterator[Taken]:  # noqa: FBT001
        """Yield what a taker would meet, with what is hidden; best prices first."""
        for ticket, price, size in self._engine.crossing(buy, limit):
            owner = self.owners.get(ticket)
            yield owner, price, owner.left_units if owner is not None and owner.display_units else size

    # external levels

    def set_external(self, buy: bool, price: int, quantity: int) -> None:  # noqa: FBT001
        """Make `quantity` the external quantity at a price. The price must not cross the other side."""
        tickets = self._external[buy].get(price)
        if tickets is None:
            if quantity:
                self._external[buy][price] = [self._enter(buy, price, quantity)]
        elif len(tickets) == 1 and (standing := self._engine.left(tickets[0])) == self._totals[buy].get(price):
            if quantity != standing:
                self._set_lone(buy, price, tickets[0], quantity)
        else:
            self._set_shared(buy, price, quantity)

    def _set_lone(self, buy: bool, price: int, ticket: int, quantity: int) -> None:  # noqa: FBT001
        """Nothing else stands at this price, so there is no queue to mind: nearly all levels, nearly always."""
        if quantity:
            self._engine.resize(ticket, quantity)
            self._totals[buy][price] = quantity
        else:
            self._engine.cancel(ticket)
            del self._external[buy][price], self._totals[buy][price]
        self._changed[buy].add(price)
        self._dirty[self.instrument_id] = self

    def _set_shared(self, buy: bool, price: int, quantity: int) -> None:  # noqa: FBT001
        """What is new goes to the back; what disappears goes from the back."""
        tickets = [ticket for ticket in self._external[buy].pop(price) if ticket in self._engine]
        missing = quantity - sum(map(self._engine.left, tickets))
        if missing > 0:
            tickets.append(self._enter(buy, price, missing))
        while missing < 0:
            missing += self._cut(buy, price, tickets, -missing)
        if tickets:
            self._external[buy][price] = tickets

    def external_prices(self, buy: bool) -> list[int]:  # noqa: FBT001
        return list(self._external[buy])

    def _cut(self, buy: bool, price: int, tickets: list[int], excess: int) -> int:  # noqa: FBT001
        """Take up to `excess` from the last ticket; return how much went."""
        left = self._engine.left(tickets[-1])
        cut = min(left, excess)
        if cut == left:
            self._engine.cancel(tickets.pop())
        else:
            self._engine.reduce(tickets[-1], left - cut)
        self._change(buy, price, -cut)
        return cut

    # what the public sees

    @property
    def best_bid(self) -> int | None:
        return self._engine.best_bid()

    @property
    def best_ask(self) -> int | None:
        return self._engine.best_ask()

    def snapshot(self, limit: int, time_ms: int) -> BookSnapshot:
        bids = nlargest(limit, self._totals[True].items())
        asks = nsmallest(limit, self._totals[False].items())
        return BookSnapshot(self.instrument_id, bids, asks, self.sequence, time_ms)

    def quote(self, time_ms: int) -> Quote:
        """Best prices; 0 with quantity 0 where a side is empty."""
        bid, ask = self.best_bid or 0, self.best_ask or 0
        bids, asks = self._totals[True].get(bid, 0), self._totals[False].get(ask, 0)
        return Quote(self.instrument_id, bid, bids, ask, asks, self.sequence, time_ms)

    def skip_delta(self) -> None:
        """Nobody listens: count the delta without making it."""
        if self._changed[True] or self._changed[False]:
            self.sequence += 1
            self._changed = {True: set(), False: set()}

    def take_delta(self, time_ms: int) -> BookDelta | None:
        """Return the levels changed since the last call as the next delta, None where there are none."""
        bids, asks = self._changed[True], self._changed[False]
        if not bids and not asks:
            return None
        self.sequence += 1
        delta = BookDelta(
            self.instrument_id,
            [(price, self._totals[True].get(price, 0)) for price in sorted(bids, reverse=True)],
            [(price, self._totals[False].get(price, 0)) for price in sorted(asks)],
            self.sequence,
            self.sequence,
            self.sequence - 1,
            time_ms,
        )
        bids.clear()
        asks.clear()
        return delta

    # bookkeeping

    def _enter(self, buy: bool, price: int, quantity: int) -> int:  # noqa: FBT001
        self._last_ticket += 1
        matches = self._engine.submit(self._last_ticket, buy, price, quantity)
        assert not matches, "only what does not cross may rest"
        self._change(buy, price, quantity)
        return self._last_ticket

    def _stand(self, order: Order, left_units: int) -> None:
        shown = min(order.display_units or left_units, left_units)
        order.ticket = self._enter(order.is_buy, order.price_units, shown)
        self.owners[order.ticket] = order

    def _used_up(self, maker: Order, left_units: int) -> None:
        """What stood of it is gone: an iceberg shows its next part."""
        if maker.display_units and left_units:
            del self.owners[maker.ticket]
            self._stand(maker, left_units)
        else:
            self._disown(maker)

    def _disown(self, order: Order) -> None:
        del self.owners[order.ticket]
        self.reduce_only[order.is_buy] -= order.reduce_only
        self.icebergs[order.is_buy] -= bool(order.display_units)
        order.ticket = 0

    def _change(self, buy: bool, price: int, difference: int) -> None:  # noqa: FBT001
        totals = self._totals[buy]
        total = totals.get(price, 0) + difference
        if total:
            totals[price] = total
        else:
            totals.pop(price, None)
        self._changed[buy].add(price)
        self._dirty[self.instrument_id] = self
