"""Which order book diffs apply, in one rule for all venues.

Every diff covers the updates (before, last] and carries absolute quantities. With `applied` as the newest update in
the book, a diff is
    old   if last <= applied      drop it,
    next  if before <= applied    apply it (an overlap is harmless, quantities are absolute),
    early if before > applied     updates are missing: wait for a new snapshot.
That is Binance spot ("U <= lastUpdateId + 1 <= u", before = U - 1), Binance futures ("pu == u of the previous",
before = pu), Bybit (u grows by one, before = u - 1) and Coinbase (before = the product's previous message on an
unbroken connection). Where the snapshot comes by REST, diffs wait for it in a bounded buffer.
"""

from collections.abc import Callable, Sequence

from patriot.protocols.events import Cause, Event, Resync
from patriot.protocols.market import BookDelta, BookSnapshot

BUFFER_MAX = 1_000  # 100 s of diffs at 100 ms: a snapshot that takes longer is asked for again
NO_BOOK = -1


class BookSequence:
    """The sequence of one instrument's book. `resync` makes the venue's own `Resync` event from cause and detail."""

    __slots__ = ("_asked", "_buffer_max", "_pending", "_resync", "applied", "dropped")

    def __init__(self, resync: Callable[[Cause, str], Resync], buffer_max: int = BUFFER_MAX) -> None:
        self._resync = resync
        self._buffer_max = buffer_max  # 0 where snapshots come in the stream itself
        self._pending: list[BookDelta] = []
        self._asked = False
        self.applied = NO_BOOK
        self.dropped = 0

    def delta(self, delta: BookDelta) -> Sequence[Event]:
        """Return what the book must apply now."""
        applied = self.applied
        if applied < 0:
            return self._wait(delta)
        if delta.last <= applied:
            self.dropped += 1
            return ()
        if (delta.first - 1 if delta.previous < 0 else delta.previous) > applied:  # `before`, written out
            return self._gap(delta)
        self.applied = delta.last
        return (delta,)

    def snapshot(self, snapshot: BookSnapshot) -> Sequence[Event]:
        """Start the book from a REST snapshot and whatever was buffered; a snapshot behind a live book is ignored."""
        if self.applied >= snapshot.sequence:
            return ()
        waiting = [delta for delta in self._pending if delta.last > snapshot.sequence]
        self.dropped += len(self._pending) - len(waiting)
        self._pending = waiting
        if waiting and before(waiting[0]) > snapshot.sequence:
            return (self._resync("snapshot_too_old", f"{snapshot.sequence} < {before(waiting[0])}"),)
        return self.restart(snapshot)

    def restart(self, snapshot: BookSnapshot) -> Sequence[Event]:
        """Start the book from a snapshot that is true by definition, also when its sequence is lower than before."""
        waiting, self._pending = self._pending, []
        self._asked = False
        self.applied = snapshot.sequence
        return (snapshot, *(event for delta in waiting for event in self.delta(delta)))

    def lose(self, cause: Cause, detail: str) -> Resync:
        """Distrust the book and ask for a new snapshot."""
        self.forget()
        self._asked = True
        return self._resync(cause, detail)

    def forget(self) -> None:
        """Back to the state before the first message (a new connection)."""
        self.applied = NO_BOOK
        self._pending = []
        self._asked = False

    def _gap(self, delta: BookDelta) -> Sequence[Event]:
        event = self.lose("gap", f"applied {self.applied}, the next diff starts after {before(delta)}")
        return (event, *self._wait(delta))

    def _wait(self, delta: BookDelta) -> Sequence[Event]:
        if len(self._pending) >= self._buffer_max > 0:
            event = self.lose("overflow", f"no snapshot within {self._buffer_max} diffs")
            return (event, *self._wait(delta))
        if self._buffer_max:
            self._pending.append(delta)
        else:
            self.dropped += 1
        if self._asked:
            return ()
        self._asked = True
        return (self._resync("no_snapshot", f"first diff {delta.first}"),)


def before(delta: BookDelta) -> int:
    """The update that must be in the book before this diff."""
    return delta.previous if delta.previous >= 0 else delta.first - 1
