"""What the serving connection says, on its way to the ticks port. Rule: told once, in order, true when told.

The gate outlives its connections: it knows how far each book has been told, so that what a second connection repeats
is dropped by sequence, and it sends trades through the repair, which drops them by id.
"""

from collections.abc import Callable
from typing import Any

from feeds.market_data.connection import Connection
from feeds.market_data.repair import Repair
from feeds.market_data.shadow import Shadow
from feeds.market_data.source import Source, Surroundings
from patriot.protocols.events import Event, GoingAway, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade

NUMBERED_ALIKE = "BINANCE"
"""The venue whose books have one numbering on all connections."""


class Gate:
    """`connection` is who serves; `on_going_away` is called when the venue will close it."""

    def __init__(self, source: Source, around: Surroundings, repair: Repair, on_going_away: Callable[[], None]) -> None:
        self.connection: Connection | None = None
        self._source, self._around, self._repair = source, around, repair
        self._told: dict[str, int] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            Trade: self._on_trade,
            BookDelta: self._on_delta,
            BookSnapshot: self._on_snapshot,
            Quote: around.publish,
            MarkPrice: around.publish,
            Ticker: around.publish,
            Bar: around.publish,
            Resync: self._on_resync,
            GoingAway: lambda _: on_going_away(),
        }

    # --- who serves ---
    def open(self, connection: Connection) -> None:
        """From here on `connection` serves."""
        self.connection = connection
        connection.hear, connection.on_garbage = self.hear, self.fill_holes
        connection.reader.add_done_callback(lambda _: self._on_end(connection))

    def open_with(self, connection: Connection, shadow: Shadow) -> None:
        """Hand over to a connection that is in sync; synchronous, so that nothing falls between the two."""
        self.open(connection)
        for message in shadow.take():
            if not (isinstance(message, BookSnapshot) and self._is_behind(message)):
                self.hear(message)

    def _is_behind(self, snapshot: BookSnapshot) -> bool:
        """Whether the old connection was further on: then its book stays, and the diffs that it knows are dropped."""
        comparable = self._source.endpoint.venue == NUMBERED_ALIKE
        return comparable and snapshot.sequence <= self._told.get(snapshot.instrument, -1)

    def _on_end(self, connection: Connection) -> None:
        """At once, not when somebody looks: what was served is not true any more, and trades may be missing."""
        if connection is self.connection:
            for instrument in connection.books:
                self._around.lose_book(instrument)
            self._told.clear()
            self._repair.hold_all()

    def forget(self, instrument: str) -> None:
        self._told.pop(instrument, None)
        self._repair.forget(instrument)

    # --- what it says ---
    def hear(self, event: Event) -> None:
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _on_trade(self, trade: Trade) -> None:
        assert self.connection is not None
        self._repair.on_trade(self.connection, trade)

    def _on_delta(self, delta: BookDelta) -> None:
        if delta.last >= self._told.get(delta.instrument, -1):
            self._told[delta.instrument] = delta.last
            self._around.publish(delta)

    def _on_snapshot(self, snapshot: BookSnapshot) -> None:
        self._told[snapshot.instrument] = snapshot.sequence
        self._around.publish(snapshot)

    def _on_resync(self, event: Resync) -> None:
        assert self.connection is not None
        self.connection.books.discard(event.instrument)
        self._told.pop(event.instrument, None)
        self._around.lose_book(event.instrument)
        if event.cause == "unrepresentable":
            self._around.outdated(event.instrument)
        self._repair.resync(self.connection, event)

    def fill_holes(self) -> None:
        """Something was lost, and nobody can tell what: ask for the trades of every instrument."""
        if self.connection is not None:
            self._repair.hold_all()
            self._repair.backfill_all(self.connection)
