"""No trade is missed, none told twice. Rule: while a hole may be open, trades wait; the hole is filled from REST.

A hole is known where ids are numbered without one (`contiguous`), and supposed after every reconnection. Ids count
together with their time: a venue that starts to number anew is not mistaken for one that repeats itself.
"""

from collections import deque
from collections.abc import Iterable, Sequence

from patriot.protocols.market import Trade

SEEN_MAX = 4096
"""More than any venue tells again: REST answers hold 1,000 trades."""
HELD_MAX = 20_000
"""Trades that may wait for a backfill; beyond, they are told with the hole."""


class TradeLog:
    """The trades of one instrument on their way from one or two connections to the ticks port."""

    __slots__ = ("_contiguous", "_held", "_last_ms", "_order", "_seen", "last_id", "missed")

    def __init__(self, *, contiguous: bool) -> None:
        self._contiguous = contiguous
        self._seen: set[tuple[str, int]] = set()
        self._order: deque[tuple[str, int]] = deque()
        self._held: list[Trade] | None = None
        self._last_ms = 0
        self.last_id = 0
        self.missed = 0

    @property
    def is_held(self) -> bool:
        return self._held is not None

    @property
    def has_begun(self) -> bool:
        return bool(self._order)

    def hold(self) -> None:
        """Let trades wait: the next ones may come after a hole."""
        if self._held is None:
            self._held = []

    def accept(self, trade: Trade) -> Sequence[Trade]:
        """What may be told now. After this `is_held` says whether a backfill is due."""
        if self._held is not None:
            self._held.append(trade)
            return self.release(()) if len(self._held) >= HELD_MAX else ()
        if self._contiguous and self.last_id and int(trade.trade_id) > self.last_id + 1:
            self._held = [trade]
            return ()
        return (trade,) if self._is_new(trade) else ()

    def fill(self, trades: Iterable[Trade]) -> Sequence[Trade]:
        """What of a backfill (oldest first) is new. What it shares with the waiting trades is told now, not then.

        Trades from before the last one that was told are history, not news: the first subscription came after them.
        """
        return [trade for trade in trades if trade.time_ms >= self._last_ms and self._is_new(trade)]

    @property
    def is_closed(self) -> bool:
        """Whether no hole is known before or among the waiting trades."""
        return not self._holes()

    def release(self, trades: Iterable[Trade]) -> Sequence[Trade]:
        """End the waiting: the rest of a backfill, then what waited; what is still not there counts as missed."""
        told = list(self.fill(trades))
        self.missed += self._holes()
        held, self._held = self._held or [], None
        return [*told, *(trade for trade in held if self._is_new(trade))]

    def _holes(self) -> int:
        """Ids that are not there, from the last trade told to the last that waits."""
        if not (self._contiguous and self.last_id):
            return 0
        holes, last = 0, self.last_id
        for trade in self._held or ():
            if (trade.trade_id, trade.time_ms) not in self._seen:
                holes += max(0, int(trade.trade_id) - last - 1)
                last = int(trade.trade_id)
        return holes

    def _is_new(self, trade: Trade) -> bool:
        """Whether it was not told before; then it counts as told."""
        key = (trade.trade_id, trade.time_ms)
        if key in self._seen:
            return False
        self._remember(key)
        return True

    def _remember(self, key: tuple[str, int]) -> None:
        self._seen.add(key)
        self._last_ms = max(self._last_ms, key[1])
        self._order.append(key)
        if len(self._order) > SEEN_MAX:
            self._seen.discard(self._order.popleft())
        if self._contiguous:
            self.last_id = int(key[0])
