"""One WebSocket client. Rule: nobody waits for a slow client; it is conflated, then dropped."""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from typing import Any

from feeds.venue.wire.message import Request

PENDING_MAX = 4096
"""Messages that may wait for one client. More means that it does not keep up: it is cut off."""

Message = MutableMapping[str, Any]


class Disconnected(Exception):
    """The client is gone, or was cut off."""


class Socket:
    """The server's end of one WebSocket. `request` is the upgrade request."""

    def __init__(
        self,
        request: Request,
        receive: Callable[[], Awaitable[Message]],
        send: Callable[[Message], Awaitable[None]],
        abort: Callable[[], None],
    ) -> None:
        self.request = request
        self.is_open = True
        self._receive = receive
        self._send = send
        self._abort = abort
        self._pending: OrderedDict[str | int, str] = OrderedDict()
        self._sent = 0
        self._wake = asyncio.Event()

    async def accept(self, *, is_known: bool) -> None:
        """Finish the upgrade; a path that nobody serves is refused with 403."""
        await self._receive()
        await self._send({"type": "websocket.accept" if is_known else "websocket.close"})

    def send(self, text: str, key: str = "") -> None:
        """Queue a text message. Never blocks.

        A `key` makes it conflatable: it takes the place of an unsent message of the same key (quotes, tickers).
        """
        if not self.is_open:
            return
        if len(self._pending) >= PENDING_MAX:
            self.cut()
            return
        self._sent += 1
        self._pending[key or self._sent] = text
        self._wake.set()

    async def receive(self) -> str | bytes:
        """Return the next message of the client. Raises Disconnected."""
        message = await self._receive()
        if message["type"] == "websocket.disconnect" or not self.is_open:
            self.is_open = False
            raise Disconnected
        text = message.get("text")
        return message["bytes"] if text is None else str(text)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        """Yield the client's messages until it disconnects."""
        while True:
            try:
                yield await self.receive()
            except Disconnected:
                return

    async def close(self, code: int = 1000, reason: str = "") -> None:
        """Send what is queued, then the close frame."""
        if self.is_open:
            self.is_open = False
            await self._flush()
            await self._send({"type": "websocket.close", "code": code, "reason": reason})

    def cut(self) -> None:
        """Drop the connection without a close frame, with everything that is queued."""
        self.is_open = False
        self._pending.clear()
        self._abort()

    async def write(self) -> None:
        """Write what is queued, for as long as the connection lives. Run by the server as a task."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._flush()

    async def _flush(self) -> None:
        while self._pending:
            _, text = self._pending.popitem(last=False)
            await self._send({"type": "websocket.send", "text": text})
