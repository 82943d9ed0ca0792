"""Bars from trades. Rule: a closed bar never changes, and a stretch without trades makes no bar.

All lengths are built at once: trades go into the shortest bar only, and each closed bar is folded into the longer ones.
A trade that comes late (its time lies before the open bar) counts into the open bar: no volume is lost, nothing that
was published is taken back. Boundaries are multiples of the length since 1970, as at the exchanges.
"""

from collections.abc import Sequence

from patriot.domain.errors import InvalidValue
from patriot.protocols.market import Bar, Trade

BAR_SECONDS = (1, 60, 300, 900, 3600, 14_400, 86_400)


class _OpenBar:
    """A bar that still grows."""

    __slots__ = ("close", "high", "low", "open", "open_ms", "trades", "volume")

    def __init__(self, open_ms: int, price: int) -> None:
        self.open_ms = open_ms
        self.open = self.high = self.low = self.close = price
        self.volume = 0
        self.trades = 0


class BarBuilder:
    """Bars of one instrument in several lengths (seconds, each a multiple of the shortest).

    Raises:
        InvalidValue: for no length at all, a length below one second, or one that the shortest does not divide.

    """

    def __init__(self, instrument: str, seconds: Sequence[int] = BAR_SECONDS) -> None:
        lengths = sorted(set(seconds))
        if not lengths or lengths[0] < 1:
            raise InvalidValue("seconds", "must name at least one length, each of one second or more")
        if any(length % lengths[0] for length in lengths):
            raise InvalidValue("seconds", f"must be multiples of the shortest, {lengths[0]}")
        self.instrument = instrument
        self._lengths_ms = [length * 1000 for length in lengths]
        self._open: list[_OpenBar | None] = [None] * len(lengths)
        self._shortest_ms = self._lengths_ms[0]
        self._closes_ms = 0  # end of the open shortest bar, or of the time that is closed already

    def add(self, trade: Trade) -> list[Bar]:
        """Count a trade; return the bars that it closed, shortest first."""
        closed = self.advance(trade.time_ms) if trade.time_ms >= self._closes_ms else []
        bar = self._open[0]
        price = trade.price
        if bar is None:
            bar = self._open[0] = self._start(max(trade.time_ms, self._closes_ms), price)
        elif price > bar.high:
            bar.high = price
        elif price < bar.low:
            bar.low = price
        bar.close = price
        bar.volume += trade.quantity
        bar.trades += 1
        return closed

    def advance(self, now_ms: int) -> list[Bar]:
        """Close what ended at or before `now_ms`, also without a trade; return those bars, shortest first."""
        closed: list[Bar] = []
        for index, length_ms in enumerate(self._lengths_ms):
            bar = self._open[index]
            if bar is not None and now_ms >= bar.open_ms + length_ms:
                self._open[index] = None
                closed.append(_bar(self.instrument, length_ms, bar, closed=True))
                if index == 0:
                    self._fold(bar)
        self._closes_ms = max(self._closes_ms, now_ms - now_ms % self._shortest_ms)
        return closed

    def growing(self) -> list[Bar]:
        """The open bars as they stand now, shortest first, the newest trades included."""
        newest = self._open[0]
        bars = []
        for index, length_ms in enumerate(self._lengths_ms):
            bar = _joined(self._open[index], newest, length_ms) if index else newest
            if bar is not None:
                bars.append(_bar(self.instrument, length_ms, bar, closed=False))
        return bars

    def _start(self, time_ms: int, price: int) -> _OpenBar:
        open_ms = time_ms - time_ms % self._shortest_ms
        self._closes_ms = open_ms + self._shortest_ms
        return _OpenBar(open_ms, price)

    def _fold(self, closed: _OpenBar) -> None:
        """A closed shortest bar belongs to one bar of each longer length, which is open or begins with it."""
        for index in range(1, len(self._lengths_ms)):
            self._open[index] = _joined(self._open[index], closed, self._lengths_ms[index])


def _joined(bar: _OpenBar | None, part: _OpenBar | None, length_ms: int) -> _OpenBar | None:
    """`bar` with a later, shorter `part` added; a new bar where there was none. The arguments stay as they are."""
    if part is None:
        return bar
    first = bar or part
    joined = _OpenBar(part.open_ms - part.open_ms % length_ms, first.open)
    joined.high = max(first.high, part.high)
    joined.low = min(first.low, part.low)
    joined.close = part.close
    joined.volume = part.volume + (bar.volume if bar else 0)
    joined.trades = part.trades + (bar.trades if bar else 0)
    return joined


def _bar(instrument: str, length_ms: int, bar: _OpenBar, *, closed: bool) -> Bar:
    numbers = (bar.open, bar.high, bar.low, bar.close, bar.volume, bar.trades)
    return Bar(instrument, length_ms // 1000, bar.open_ms, *numbers, closed)
