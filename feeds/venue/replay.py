"""Market data drives the books: a recording at any speed, or a live public feed. Rule: the same events, the same fills.

Both come as `patriot.protocols.market` types and go through `Replay.apply`; how they meet our orders is told in
`feeds.venue.external`. A recording also moves the clock, so that orders, expiries and funding happen in its time:

    clock = ReplayClock()
    exchange = Exchange("BINANCE", instruments, clock)
    replay = Replay(exchange, clock)
    for event in events: replay.apply(event)             # as fast as it goes, or
    await replay.play(events, speed=10, sleep=asyncio.sleep)

Depth is checked for continuity: deltas that a snapshot already contains are skipped; after a gap the external levels
are dropped (`gaps` counts), and the book grows again from what comes. Quotes count only where there is no depth.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from feeds.venue.exchange import Exchange
from patriot.protocols.market import BookDelta, BookSnapshot, Market, MarkPrice, Quote, Trade
from patriot.protocols.sequence import before

_BREATH = 256  # events between two pauses for other tasks, where no time passes


class ReplayClock:
    """Milliseconds of the recording. It never runs backwards."""

    def __init__(self, now_ms: int = 0) -> None:
        self.now_ms = now_ms

    def __call__(self) -> int:
        return self.now_ms

    def move_to(self, time_ms: int) -> None:
        self.now_ms = max(self.now_ms, time_ms)


class Replay:
    """Applies market data to an exchange. Without a clock of its own (live) the exchange keeps its time.

    Instruments that the exchange does not list are ignored.
    """

    def __init__(self, exchange: Exchange, clock: ReplayClock | None = None) -> None:
        self.applied = 0
        self.gaps = 0
        self._exchange = exchange
        self._clock = clock
        self._listed = {instrument.id for instrument in exchange.instruments}
        self._sequences: dict[str, int] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            BookSnapshot: self._snapshot,
            BookDelta: self._delta,
            Quote: self._quote,
            Trade: exchange.external_trade,
            MarkPrice: exchange.set_mark,
        }

    def apply(self, event: Market) -> None:
        """Apply one event; tickers and bars say nothing new and are passed over."""
        if event.instrument not in self._listed:
            return
        self.applied += 1
        if self._clock is not None and not isinstance(event, BookSnapshot):
            self._clock.move_to(_time_of(event))
        handler = self._handlers.get(type(event))
        if handler is not None:
            handler(event)

    def _snapshot(self, snapshot: BookSnapshot) -> None:
        self._sequences[snapshot.instrument] = snapshot.sequence
        self._exchange.external_book(snapshot)

    def _quote(self, quote: Quote) -> None:
        if quote.instrument not in self._sequences:
            self._exchange.external_quote(quote)

    def _delta(self, delta: BookDelta) -> None:
        last = self._sequences.get(delta.instrument)
        if last is not None and delta.last <= last:
            return
        if last is not None and before(delta) > last:
            self.gaps += 1
            self._exchange.external_book(BookSnapshot(delta.instrument, [], [], 0, delta.time_ms))
        self._sequences[delta.instrument] = delta.last
        self._exchange.external_book(delta)

    async def play(
        self, events: Iterable[Market], *, sleep: Callable[[float], Awaitable[None]], speed: float = 0
    ) -> None:
        """Apply all events, `speed` times as fast as they were recorded; 0 is as fast as it goes."""
        previous_ms = 0
        for count, event in enumerate(events):
            time_ms = _time_of(event)
            if speed and previous_ms and time_ms > previous_ms:
                await sleep((time_ms - previous_ms) / 1000 / speed)
            elif count % _BREATH == 0:
                await sleep(0)
            previous_ms = max(previous_ms, time_ms)
            self.apply(event)


def _time_of(event: Market) -> int:
    time_ms = getattr(event, "time_ms", None)
    return time_ms if isinstance(time_ms, int) else getattr(event, "open_ms", 0)
