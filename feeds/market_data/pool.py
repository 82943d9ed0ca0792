"""Shared connections. Rule: a stream is subscribed once, however many want it, and left when the last one leaves.

Subscribers are named, so asking twice counts once. Streams of one endpoint and address share a line; a full line is
followed by a new one, as long as the address's budget has a place. A line without subscriptions is closed.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

import structlog

from feeds.market_data.line import Line
from feeds.market_data.source import Source, Surroundings
from patriot.protocols.codec import Subscription
from patriot.protocols.errors import UnknownInstrument

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Stream:
    """One subscription as others see it."""

    channel: str
    subscribers: int
    connected: bool


class SharedConnections:
    """All lines of this process."""

    def __init__(self, sources: Mapping[str, Source], around: Surroundings) -> None:
        self.sources = sources
        self._around = around
        self._subscribers: dict[Subscription, set[str]] = {}
        self._line_of: dict[Subscription, Line] = {}
        self._lines: dict[tuple[str, str], list[Line]] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._without_books: set[Line] = set()

    # --- who wants what ---
    def subscribe(self, subscriber: str, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        """Count `subscriber` in; returns what is new on the wire.

        Raises UnknownInstrument, UnsupportedChannel, BudgetExhausted; then what is named before it is subscribed.
        """
        new = []
        for one in dict.fromkeys(subscriptions):
            if one not in self._subscribers:
                self._connect(one)
                new.append(one)
            self._subscribers.setdefault(one, set()).add(subscriber)
        return new

    def unsubscribe(self, subscriber: str, subscriptions: Iterable[Subscription]) -> list[Subscription]:
        """Count `subscriber` out; returns what was left on the wire. What was never asked for is passed over."""
        gone = []
        for one in dict.fromkeys(subscriptions):
            subscribers = self._subscribers.get(one, set())
            if subscriber in subscribers:
                subscribers.remove(subscriber)
                if not subscribers:
                    del self._subscribers[one]
                    self._leave(one)
                    gone.append(one)
        return gone

    def subscriptions(self) -> Mapping[Subscription, int]:
        """Everything that is subscribed, with the number of its subscribers."""
        return {one: len(subscribers) for one, subscribers in self._subscribers.items()}

    def source_of(self, instrument: str) -> Source:
        """Raises UnknownInstrument."""
        for source in self.sources.values():
            if instrument in source.instruments:
                return source
        raise UnknownInstrument(instrument)

    def _connect(self, subscription: Subscription) -> None:
        source = self.source_of(subscription.instrument)
        instrument = source.instruments[subscription.instrument]
        source.endpoint.codec([instrument]).subscribe([subscription])  # raises what the codec thinks of it
        line = self._line_with_room(source, source.endpoint.url(subscription.channel))
        line.add([subscription])
        self._line_of[subscription] = line

    def _line_with_room(self, source: Source, url: str) -> Line:
        lines = self._lines.setdefault((source.endpoint.name, url), [])
        maximum = source.endpoint.codec.limits.subscriptions_max
        for line in lines:
            if not maximum or len(line.wanted) < maximum:
                return line
        source.budget.take()
        line = Line(source, url, self._around)
        lines.append(line)
        line.start()
        return line

    def _leave(self, subscription: Subscription) -> None:
        line = self._line_of.pop(subscription)
        line.remove([subscription])
        if not line.wanted:
            self._lines[line.source.endpoint.name, line.url].remove(line)
            task = asyncio.create_task(self._stop(line))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def _stop(self, line: Line) -> None:
        await line.stop()
        line.source.budget.give_back()

    # --- care ---
    @property
    def lines(self) -> Iterator[Line]:
        return (line for lines in self._lines.values() for line in lines)

    def refresh(self, instrument: str) -> None:
        """Replace the connections that carry `instrument`: what they tell of it is wrong, or nothing."""
        for line in self.lines:
            if instrument in line.instruments:
                line.rotate()

    def renew(self, endpoint: str, rescaled: Collection[str]) -> None:
        """Definitions of an endpoint have changed: replace its connections, those of a changed scale at once."""
        for line in self.lines:
            affected = line.instruments.intersection(rescaled)
            if line.source.endpoint.name == endpoint and affected:
                line.drop(affected)
            elif line.source.endpoint.name == endpoint:
                line.rotate()

    def check(self) -> None:
        """A book that was not there at two checks in a row will not come by itself."""
        lacking = {line for line in self.lines if line.lacks_books()}
        for line in lacking & self._without_books:
            log.warning("a book does not come", endpoint=line.source.endpoint.name)
            line.rotate()
        self._without_books = lacking

    def streams(self, instrument: str) -> list[Stream]:
        return [
            Stream(one.channel, len(subscribers), self._line_of[one].active is not None)
            for one, subscribers in self._subscribers.items()
            if one.instrument == instrument
        ]

    def missed_trades(self, instrument: str) -> int:
        """Trades that a venue has printed and nobody could get hold of."""
        return sum(line.missed_trades(instrument) for line in self.lines)

    async def close(self) -> None:
        """End everything, all lines at once: none shall see its exchange go while another is ending."""
        await asyncio.gather(*(self._stop(line) for line in list(self.lines)))
        self._lines.clear()
        await asyncio.gather(*self._closing)
