"""Sockets and HTTP as the feed needs them. Rule: whatever the network does comes out as `TransportError`."""

from types import TracebackType
from typing import Protocol, Self
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException

CONNECT_SECONDS = 10
REQUEST_SECONDS = 10
PING_SECONDS = 20
FRAME_MAX = 32 * 1024 * 1024  # Coinbase sends a whole book in one frame
QUEUE_MAX = 1024
"""Frames that may wait for decoding; beyond, the socket is not read and the venue sees a slow client."""


LOOPBACK = "127.0.0.1"
"""The built-in venue is never asked through a proxy."""


class TransportError(Exception):
    """The network, or the server behind it, did not do what was asked."""


class Socket(Protocol):
    async def send(self, frame: bytes) -> None: ...

    async def receive(self) -> bytes:
        """The next frame. Raises TransportError once the connection has ended."""
        ...

    async def close(self) -> None: ...


class Transport(Protocol):
    async def connect(self, url: str) -> Socket:
        """Raises TransportError."""
        ...

    async def get(self, url: str) -> bytes:
        """The body of a successful answer, or of one that tells an error in JSON. Raises TransportError."""
        ...


class WebTransport:
    """The real network. Pings of both sides are answered and sent by the library."""

    def __init__(self) -> None:
        self._http = httpx.AsyncClient(
            timeout=REQUEST_SECONDS, headers={"user-agent": "patriot"}, mounts={f"all://{LOOPBACK}": None}
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def connect(self, url: str) -> Socket:
        try:
            return _WebSocket(
                await connect(
                    url,
                    open_timeout=CONNECT_SECONDS,
                    ping_interval=PING_SECONDS,
                    ping_timeout=PING_SECONDS,
                    close_timeout=1,
                    max_size=FRAME_MAX,
                    max_queue=QUEUE_MAX,
                    compression=None,  # costs more time than it saves
                    proxy=None if urlsplit(url).hostname == LOOPBACK else True,
                )
            )
        except (OSError, WebSocketException, TimeoutError) as error:
            raise TransportError(f"{url}: {error or type(error).__name__}") from error

    async def get(self, url: str) -> bytes:
        try:
            answer = await self._http.get(url)
        except httpx.HTTPError as error:
            raise TransportError(f"{url}: {error or type(error).__name__}") from error
        if answer.status_code >= 400:
            raise TransportError(f"{url}: HTTP {answer.status_code} {answer.text[:200]}")
        return answer.content


class _WebSocket:
    """Text frames, as bytes: the codecs read and write bytes."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection

    async def send(self, frame: bytes) -> None:
        try:
            await self._connection.send(frame, text=True)
        except (OSError, WebSocketException) as error:
            raise TransportError(str(error)) from error

    async def receive(self) -> bytes:
        try:
            return await self._connection.recv(decode=False)
        except (OSError, WebSocketException) as error:
            raise TransportError(str(error)) from error

    async def close(self) -> None:
        await self._connection.close()
