"""HTTP and WebSocket on one loopback port for all protocols. Rule: a request belongs to one mount, by host or by path.

    async with serving([binance, bybit], port=0) as port:
        ...                       # http://127.0.0.1:port/api/v3/time, ws://127.0.0.1:port/stream

A request that names an exchange's own host (it came through `feeds.venue.wire.tls`) goes to the mount of that host;
any other goes to the mount with the longest matching path prefix. What a mount does not foresee ends in a 500 or a
close code, never in a dead server.
"""

import asyncio
import contextlib
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from typing import Any, Protocol

import structlog
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request as Upgrade

from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.socket import Disconnected, Message, Socket
from feeds.venue.wire.strikes import Cut, Unanswered

BODY_MAX = 1 << 16
FRAME_MAX = 1 << 16
NOT_FOUND = Response(404, b'{"code":404,"msg":"no such path"}')
TOO_LARGE = Response(413, b'{"code":413,"msg":"the body is too large"}')
BROKEN = Response(500, b'{"code":500,"msg":"internal error"}')

Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

log = structlog.get_logger()


class Mount(Protocol):
    """One exchange's protocol. `prefixes` are path beginnings ("/api/"), `hosts` the exchange's own host names."""

    @property
    def hosts(self) -> Collection[str]: ...

    @property
    def prefixes(self) -> Collection[str]: ...

    async def http(self, request: Request) -> Response:
        """Answer one request."""

    async def websocket(self, socket: Socket) -> None:
        """Serve one client; returning closes it normally. `Disconnected` may pass through."""


class Wire:
    """The ASGI application: dispatches to mounts."""

    def __init__(self, mounts: Sequence[Mount]) -> None:
        self._hosts = {host: mount for mount in mounts for host in mount.hosts}
        prefixes = [(prefix, mount) for mount in mounts for prefix in mount.prefixes]
        self._prefixes = sorted(prefixes, key=lambda pair: -len(pair[0]))

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        request = _request_of(scope)
        mount = self._mount_of(request)
        if scope["type"] == "websocket":
            await _websocket(mount, Socket(request, receive, send, scope["extensions"]["abort"]["call"]))
        else:
            await _http(mount, request, receive, send, scope["extensions"]["abort"]["call"])

    def _mount_of(self, request: Request) -> Mount | None:
        by_host = self._hosts.get(request.host)
        if by_host is not None:
            return by_host
        return next((mount for prefix, mount in self._prefixes if request.path.startswith(prefix)), None)


def _request_of(scope: dict[str, Any], body: bytes = b"") -> Request:
    return Request(
        scope.get("method", "GET"),
        scope["path"],
        scope["query_string"].decode("latin-1"),
        {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]},
        body,
        (scope["client"] or ("", 0))[0],
    )


async def _http(mount: Mount | None, request: Request, receive: Receive, send: Send, abort: Callable[[], None]) -> None:
    body = await _body(receive)
    response = NOT_FOUND if mount is None else TOO_LARGE
    if body is not None and mount is not None:
        try:
            response = await _answer(mount, request.with_body(body))
        except Unanswered:
            await _until_gone(receive)
            return
        except Cut:
            abort()
            await _until_gone(receive)
            return
    headers = [(b"content-type", b"application/json;charset=UTF-8"), (b"content-length", b"%d" % len(response.body))]
    headers += [(name.encode(), value.encode()) for name, value in response.headers.items()]
    await send({"type": "http.response.start", "status": response.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body})


async def _answer(mount: Mount, request: Request) -> Response:
    try:
        return await mount.http(request)
    except (Unanswered, Cut):
        raise
    except Exception:  # one request that we got wrong must not end the others of its connection
        log.exception("venue request failed", method=request.method, path=request.path)
        return BROKEN


async def _body(receive: Receive) -> bytes | None:
    """Return the whole body, None where it is too large (it is then read to its end and forgotten)."""
    body, is_complete, size = bytearray(), False, 0
    while not is_complete:
        message = await receive()
        chunk = message.get("body", b"")
        size += len(chunk)
        if size <= BODY_MAX:
            body += chunk
        is_complete = not message.get("more_body", False)
    return bytes(body) if size <= BODY_MAX else None


async def _until_gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _websocket(mount: Mount | None, socket: Socket) -> None:
    await socket.accept(is_known=mount is not None)
    if mount is None:
        return
    writer = asyncio.create_task(socket.write())
    try:
        await _serve_client(mount, socket)
    finally:
        writer.cancel()
        with contextlib.suppress(asyncio.CancelledError, ClientDisconnected):
            await writer


async def _serve_client(mount: Mount, socket: Socket) -> None:
    try:
        await mount.websocket(socket)
        await socket.close()
    except (Disconnected, ClientDisconnected):
        socket.is_open = False
    except Cut:
        socket.cut()
    except Exception:  # one client that we got wrong must not end the server
        log.exception("venue socket failed", path=socket.request.path)
        await socket.close(1011, "internal error")


class _Http(HttpToolsProtocol):
    """Lets the application cut a connection: `scope["extensions"]["abort"]["call"]`."""

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["extensions"] = {"abort": {"call": self.transport.abort}}


class _WebSockets(WebSocketsSansIOProtocol):
    """Lets the application cut a connection: `scope["extensions"]["abort"]["call"]`."""

    def handle_connect(self, event: Upgrade) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"] = {"abort": {"call": self.transport.abort}}


class _Server(uvicorn.Server):
    """Leaves the process's signals to the process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(host: str, port: int) -> sockets.socket:
    """Bind and listen. The protocol is named, because asyncio turns Nagle's delay off (40 ms) only where it is."""
    listener = sockets.socket(sockets.AF_INET, sockets.SOCK_STREAM, sockets.IPPROTO_TCP)
    listener.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
    listener.setblocking(False)
    try:
        listener.bind((host, port))
        listener.listen(1024)
    except OSError:
        listener.close()
        raise
    return listener


@contextlib.asynccontextmanager
async def serving(
    mounts: Sequence[Mount],
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    ping_seconds: float = 20.0,
    pong_seconds: float = 60.0,
) -> AsyncIterator[int]:
    """Serve while the context lasts; gives the port. Open WebSockets end with 1012 (service restart)."""
    listener = _listen(host, port)
    config = uvicorn.Config(
        Wire(mounts),
        http=_Http,
        ws=_WebSockets,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        ws_max_size=FRAME_MAX,
        ws_ping_interval=ping_seconds,
        ws_ping_timeout=pong_seconds,
        ws_per_message_deflate=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve([listener]), name="venue-wire")
    try:
        yield listener.getsockname()[1]
    finally:
        server.should_exit = True
        await task


async def serve(mounts: Sequence[Mount], *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until cancelled."""
    async with serving(mounts, host=host, port=port):
        await asyncio.Event().wait()
