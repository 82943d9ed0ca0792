"""One socket with its codec. Rule: frames become events in order; a frame that cannot be read costs itself only.

A connection decides nothing: it tells every event to `hear`, and its end by finishing `read`. Frames go out through a
queue, no faster than the venue allows.
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence

import structlog

from feeds.market_data.timing import Timing
from feeds.market_data.transport import Socket, TransportError
from patriot.protocols.codec import Codec, Subscription
from patriot.protocols.errors import ProtocolError, UnknownInstrument
from patriot.protocols.events import Acknowledged, Declined, Event
from patriot.protocols.market import BookSnapshot
from patriot.runtime.clock import Clock

log = structlog.get_logger()


class Connection:
    """`books` are the instruments whose book is in sync; `garbage` counts frames that could not be read."""

    def __init__(self, codec: Codec, socket: Socket, clock: Clock, timing: Timing) -> None:
        self.codec = codec
        self.hear: Callable[[Event], None] = lambda _: None
        self.on_garbage: Callable[[], None] = lambda: None
        self.books: set[str] = set()
        self.subscribed = asyncio.Event()
        self.garbage = 0
        self._garbage_run = 0
        self._unanswered = 0
        self._socket, self._clock, self._timing = socket, clock, timing
        self._outgoing: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._write())]
        if codec.limits.ping_interval_seconds:
            self._tasks.append(asyncio.create_task(self._ping(codec.limits.ping_interval_seconds)))
        self.reader: asyncio.Task[str] = asyncio.create_task(self._read())

    # --- what goes out ---
    def subscribe(self, subscriptions: Iterable[Subscription]) -> None:
        """Raises the codec's errors; then nothing is sent."""
        self._request(self.codec.subscribe(subscriptions))

    def unsubscribe(self, subscriptions: Iterable[Subscription]) -> None:
        self._request(self.codec.unsubscribe(subscriptions))

    def _request(self, frames: Sequence[bytes]) -> None:
        if frames:
            self._unanswered += len(frames)
            self.subscribed.clear()
            self.send(frames)

    def send(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self._outgoing.put_nowait(frame)

    async def _write(self) -> None:
        pause = 1 / (self.codec.limits.frames_per_second_max or 1_000)
        while True:
            frame = await self._outgoing.get()
            try:
                await self._socket.send(frame)
            except TransportError:
                return  # the reader hears of it too, and tells
            await self._clock.sleep(pause)

    async def _ping(self, seconds: int) -> None:
        while True:
            await self._clock.sleep(seconds)
            self.send([self.codec.ping()])

    # --- what comes in ---
    async def _read(self) -> str:
        """Read until the connection ends; returns why it did."""
        while self._garbage_run < self._timing.garbage_max:
            try:
                data = await self._socket.receive()
            except TransportError as error:
                return str(error)
            self._feed(data)
        return f"{self._garbage_run} unreadable frames in a row"

    def _feed(self, data: bytes) -> None:
        try:
            events = self.codec.feed(data)
        except UnknownInstrument:
            return  # the venue speaks of what nobody subscribed
        except ProtocolError as error:
            self.garbage += 1
            self._garbage_run += 1
            if self._garbage_run == 1:
                log.warning("unreadable frame", codec=self.codec.name, reason=str(error), frames=self.garbage)
            self.on_garbage()
            return
        self._garbage_run = 0
        for event in events:
            self.note(event)

    def note(self, event: Event) -> None:
        """Take one event of this connection, from the socket or from a REST snapshot."""
        if isinstance(event, BookSnapshot):
            self.books.add(event.instrument)
        elif isinstance(event, (Acknowledged, Declined)):
            self._answered(event)
        self.hear(event)

    def _answered(self, event: Acknowledged | Declined) -> None:
        if isinstance(event, Declined):
            log.warning("request declined", codec=self.codec.name, code=event.code, reason=event.message)
        self._unanswered -= 1
        if self._unanswered <= 0:
            self._unanswered = 0
            self.subscribed.set()

    async def close(self) -> None:
        """End at once; safe to call again."""
        tasks = [*self._tasks, self.reader]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._socket.close()
