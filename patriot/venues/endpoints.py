"""Where a venue is. Rule: a paper endpoint cannot reach an exchange, whatever ccxt thinks its addresses are.

Two walls, each enough by itself: every URL of the exchange object is rewritten to the loopback port (the path stays),
and its HTTP session resolves no host name at all and dials loopback addresses only.
"""

import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

Mode = Literal["live", "paper"]

CONNECTIONS_MAX = 100


class UnsafeEndpoint(Exception):
    """A paper endpoint would have left this machine."""


@dataclass(frozen=True, slots=True)
class VenueEndpoints:
    """`port` is the loopback port of the built-in venue; None means the exchanges themselves."""

    port: int | None = None

    @property
    def mode(self) -> Mode:
        return "live" if self.port is None else "paper"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def websocket(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session for all exchange objects of these endpoints. Close it."""
        session = aiohttp.ClientSession(connector=self._connector())
        # where a kept connection drops, aiohttp sends a PUT or DELETE again: a cancel or a change would go out twice
        session._retry_connection = False  # noqa: SLF001 - it has no public switch
        return session

    def _connector(self) -> aiohttp.TCPConnector:
        if self.mode == "paper":
            return _LoopbackConnector(resolver=_NoNames(), limit=CONNECTIONS_MAX)
        context = ssl.create_default_context(cafile=certifi.where())
        return aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS_MAX)

    def apply(self, exchange: Any, overrides: Mapping[str, Any]) -> None:
        """Point an exchange object here; `overrides` replace parts of `urls["api"]`. Raises UnsafeEndpoint."""
        if self.mode == "live":
            return
        exchange.urls = self._moved(exchange.urls)
        exchange.urls["api"] = exchange.deep_extend(exchange.urls["api"], overrides)
        for path, url in addresses(exchange.urls):
            if not is_loopback(url):
                raise UnsafeEndpoint(f"{exchange.id}: urls{path} is {url}")

    def _moved(self, urls: Any) -> Any:
        if isinstance(urls, Mapping):
            return {name: self._moved(value) for name, value in urls.items()}
        if isinstance(urls, (list, tuple)):
            return [self._moved(value) for value in urls]
        return self._here(urls) if isinstance(urls, str) else urls

    def _here(self, url: str) -> str:
        scheme, _, rest = url.partition("://")
        path = rest.partition("/")[2]
        base = self.websocket if scheme.startswith("ws") else self.http
        return f"{base}/{path}".rstrip("/")


def addresses(urls: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Every address in a tree of URLs, with its place."""
    if isinstance(urls, str):
        yield path, urls
    elif isinstance(urls, Mapping):
        for name, value in urls.items():
            yield from addresses(value, f"{path}.{name}")
    elif isinstance(urls, (list, tuple)):
        for index, value in enumerate(urls):
            yield from addresses(value, f"{path}[{index}]")


def is_loopback(url: str) -> bool:
    return urlsplit(url).hostname == "127.0.0.1"


class _NoNames(AbstractResolver):
    """Knows no host."""

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,  # noqa: ARG002 - aiohttp's own signature
    ) -> list[ResolveResult]:
        raise UnsafeEndpoint(f"a paper account must not reach {host}:{port}")

    async def close(self) -> None:
        """Nothing is held."""


class _LoopbackConnector(aiohttp.TCPConnector):
    """Dials loopback addresses only: addresses in figures never come to a resolver."""

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        host = req.url.host or ""
        try:
            allowed = ip_address(host).is_loopback
        except ValueError:
            allowed = False
        if not allowed:
            raise UnsafeEndpoint(f"a paper account must not reach {req.url.origin()}")
        return await super().connect(req, traces, timeout)
