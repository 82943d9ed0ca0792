"""Serving an app on a port. Rule: signals stay with the caller, and requests under way are finished."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import uvicorn
from starlette.types import ASGIApp

from patriot.runtime.ports import Runtime

GRACE_SECONDS = 5
PORTS = range(12_000, 32_000)  # below the systems' own choice for outgoing connections


class Served(Protocol):
    """A platform as its own process sees it, whichever runtime it has."""

    @property
    def runtime(self) -> Runtime: ...

    @property
    def public(self) -> ASGIApp: ...

    @property
    def can_trade(self) -> bool:
        """Whether orders reach a venue by now."""
        ...


@asynccontextmanager
async def serving(app: ASGIApp, listener: socket.socket) -> AsyncIterator[str]:
    """Serve `app` on the open socket until the block ends, which gets its URL."""
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="off",
        proxy_headers=False,  # nobody here goes by the address that a caller tells
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))  # noqa: SLF001 - `serve` would take the signals
    address, port = listener.getsockname()[:2]
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        yield f"http://{address}:{port}"
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()


def listen(address: str, port: int, variable: str = "PATRIOT_PORT") -> socket.socket:
    """An open socket. Raises OSError that tells what to do where another process has the port."""
    # asyncio turns Nagle's delay off only where the protocol is named: it would cost 40 ms a request
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {address}:{port} ({error.strerror}); set {variable} to a free port"
        ) from None
    return listener


def free_port() -> int:
    """A loopback port that is free now, and that no outgoing connection will be given in a moment."""
    return free_ports(1)


def free_ports(count: int) -> int:
    """The first of so many such ports in a row."""
    return _ports.take(count)


class _Ports:
    """Each process begins elsewhere and goes on from there: what was just told is free, and is not told again."""

    def __init__(self) -> None:
        self._next = PORTS.start + secrets.randbelow(len(PORTS))

    def take(self, count: int) -> int:
        while True:
            first = self._next if self._next + count <= PORTS.stop else PORTS.start
            self._next = first + count
            with contextlib.ExitStack() as probes, contextlib.suppress(OSError):
                for port in range(first, first + count):
                    probes.enter_context(socket.create_server(("127.0.0.1", port)))
                return first


_ports = _Ports()
