"""Where a venue is. Rule: a paper endpoint cannot reach an exchange, whatever ccxt thinks its addresses are.

Two walls, each enough by itself: every URL of the exchange object is rewritten to the built-in venue (the path stays),
and its HTTP session resolves no name but that venue's, to private addresses only, and dials nothing else. A live
endpoint goes out as everything on this machine does: through HTTPS_PROXY, trusting SSL_CERT_FILE, where they are set.
"""

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

import aiohttp
import certifi
from aiohttp.abc import AbstractResolver, ResolveResult

Mode = Literal["live", "paper"]

CONNECTIONS_MAX = 100
LOOPBACK = "127.0.0.1"


class UnsafeEndpoint(Exception):
    """A paper endpoint would have left this machine."""


@dataclass(frozen=True, slots=True)
class VenueEndpoints:
    """`port` is that of the built-in venue on `host`; None means the exchanges themselves."""

    port: int | None = None
    host: str = LOOPBACK

    @property
    def mode(self) -> Mode:
        return "live" if self.port is None else "paper"

    @property
    def http(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def websocket(self) -> str:
        return f"ws://{self.host}:{self.port}"

    def session(self) -> aiohttp.ClientSession:
        """The HTTP session for all exchange objects of these endpoints. Close it."""
        session = aiohttp.ClientSession(connector=self._connector())
        # where a kept connection drops, aiohttp sends a PUT or DELETE again: a cancel or a change would go out twice
        session._retry_connection = False  # noqa: SLF001 - it has no public switch
        return session

    def _connector(self) -> aiohttp.TCPConnector:
        if self.mode == "paper":
            return _VenueConnector(self.host)
        context = ssl.create_default_context(cafile=os.environ.get("SSL_CERT_FILE") or certifi.where())
        return aiohttp.TCPConnector(ssl=context, limit=CONNECTIONS_MAX)

    def apply(self, exchange: Any, overrides: Mapping[str, Any]) -> None:
        """Point an exchange object here; `overrides` replace parts of `urls["api"]`. Raises UnsafeEndpoint."""
        if self.mode == "live":
            exchange.https_proxy = exchange.wss_proxy = getproxies().get("https")
            return
        exchange.urls = self._moved(exchange.urls)
        exchange.urls["api"] = exchange.deep_extend(exchange.urls["api"], overrides)
        for path, url in addresses(exchange.urls):
            if not (is_loopback(url) or urlsplit(url).hostname == self.host):
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
    return urlsplit(url).hostname == LOOPBACK


class _OneName(AbstractResolver):
    """Knows the venue's host, where that lies in a private network."""

    def __init__(self, known: str) -> None:
        self._known, self._names = known, aiohttp.ThreadedResolver()

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_INET,
    ) -> list[ResolveResult]:
        found = await self._names.resolve(host, port, family) if host == self._known else []
        if not found or not all(ip_address(one["host"]).is_private for one in found):
            raise UnsafeEndpoint(f"a paper account must not reach {host}:{port}")
        return found

    async def close(self) -> None:
        await self._names.close()


class _VenueConnector(aiohttp.TCPConnector):
    """Dials the venue and loopback addresses only: addresses in figures never come to a resolver."""

    def __init__(self, host: str) -> None:
        super().__init__(resolver=_OneName(host), limit=CONNECTIONS_MAX)
        self._host = host

    async def connect(self, req: Any, traces: Any, timeout: Any) -> Any:  # noqa: ASYNC109 - aiohttp's own signature
        host = req.url.host or ""
        try:
            allowed = host == self._host or ip_address(host).is_loopback
        except ValueError:
            allowed = False
        if not allowed:
            raise UnsafeEndpoint(f"a paper account must not reach {req.url.origin()}")
        return await super().connect(req, traces, timeout)
