"""Binance, spot and USDⓈ-M futures, as a mount of the wire server. Rule: host or path says which market is meant.

    async with serving([Binance(exchange)]) as port:
        client = ccxt.pro.binance({"urls": ccxt_urls(port), ...})

On loopback the paths of both markets share one port. `/ws` and `/stream` mean spot; futures are what begins with
`/public`, `/market`, `/private` (each before `/ws` or `/stream`) or `/futures`.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import parse_qs

import orjson

from feeds.venue.accounts import Account
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.wire.binance_api_socket import ApiClient
from feeds.venue.wire.binance_linear import linear_segment
from feeds.venue.wire.binance_listen_keys import VALID_MS, ListenKeys
from feeds.venue.wire.binance_segment import Segment
from feeds.venue.wire.binance_spot import spot_segment
from feeds.venue.wire.binance_streams import StreamClient, Streams
from feeds.venue.wire.binance_topics import Timer
from feeds.venue.wire.binance_user import Shape, push
from feeds.venue.wire.message import Request, Response
from feeds.venue.wire.socket import Socket
from feeds.venue.wire.strikes import Strikes

SPOT_HOSTS = ("api.binance.com", "stream.binance.com", "ws-api.binance.com", "data-stream.binance.com")
LINEAR_HOSTS = ("fapi.binance.com", "fstream.binance.com", "ws-fapi.binance.com", "dapi.binance.com")
REST_PREFIXES = ("/api/", "/sapi/", "/fapi/", "/dapi/")
SOCKET_PREFIXES = ("/ws", "/stream", "/public/", "/market/", "/private/", "/spot/", "/futures/")
LINEAR_PREFIXES = ("/fapi/", "/ws-fapi/", "/public/", "/market/", "/private/", "/futures/")
INVERSE_MARKETS = ("GET", "/dapi/v1/exchangeInfo")
LISTEN_KEY = re.compile(r"[A-Za-z0-9]{64}")
EXPIRY_CHECK_S = 1.0


@dataclass(frozen=True, slots=True)
class Settings:
    """`lifetime_s` is how long a WebSocket may last; its end is announced `notice_s` before."""

    is_limited: bool = True
    lifetime_s: float = 24 * 3600.0
    notice_s: float = 600.0
    listen_key_ms: int = VALID_MS


def ccxt_urls(port: int) -> dict[str, object]:
    """Return ccxt's `urls`: a client with them talks to the venue (ccxt knows spot by `/stream` in the URL)."""
    http, socket = f"http://127.0.0.1:{port}", f"ws://127.0.0.1:{port}"
    rest = {"public": "/api/v3", "private": "/api/v3", "sapi": "/sapi/v1", "dapiPublic": "/dapi/v1"}
    for version, suffix in (("v1", ""), ("v2", "V2"), ("v3", "V3")):
        rest |= {f"fapiPublic{suffix}": f"/fapi/{version}", f"fapiPrivate{suffix}": f"/fapi/{version}"}
    api: dict[str, object] = {name: http + path for name, path in rest.items()}
    commands = {"spot": f"{socket}/ws-api/v3", "linear": f"{socket}/ws-fapi/v1"}
    return {"api": api | {"ws": {"spot": f"{socket}/stream", "linear": f"{socket}/futures/ws", "ws-api": commands}}}


class Binance:
    """The mount."""

    hosts = (*SPOT_HOSTS, *LINEAR_HOSTS)
    prefixes = (*REST_PREFIXES, *SOCKET_PREFIXES)

    def __init__(self, exchange: Exchange, settings: Settings | None = None, plan: FaultPlan | None = None) -> None:
        self._settings = settings or Settings()
        self._strikes = Strikes(plan)
        is_limited = self._settings.is_limited
        self._keys = {kind: ListenKeys(exchange.now_ms, self._settings.listen_key_ms) for kind in ("spot", "linear")}
        self._spot = spot_segment(exchange, self._strikes, self._keys["spot"], is_limited=is_limited)
        self._linear = linear_segment(exchange, self._strikes, self._keys["linear"], is_limited=is_limited)
        self._streams = {"spot": Streams(self._spot), "linear": Streams(self._linear)}

    async def http(self, request: Request) -> Response:
        if (request.method, request.path) == INVERSE_MARKETS:
            return Response(200, b'{"timezone":"UTC","rateLimits":[],"exchangeFilters":[],"symbols":[]}')
        return self._segment_of(request).answer(request)

    async def websocket(self, socket: Socket) -> None:
        segment = self._segment_of(socket.request)
        path = socket.request.path.removeprefix("/futures").removeprefix("/spot")
        if path.startswith(("/ws-api/", "/ws-fapi/")):
            self._strikes.connect()
            client = ApiClient(socket, segment)
            await self._live(socket, client.serve, client.tell, [client.end])
        else:
            await self._stream(socket, segment, path)

    async def _stream(self, socket: Socket, segment: Segment, path: str) -> None:
        names, key = _names_of(path, socket.request.query)
        account = self._keys[segment.kind].account(key) if key else None
        if key and account is None:
            await socket.close(1008, "This listenKey does not exist.")
            return
        self._strikes.connect(account.name if account else "")
        is_combined = "/stream" in path
        client = StreamClient(socket, self._streams[segment.kind], is_combined=is_combined)
        stops = [client.end]
        if account is not None:
            stops += self._private(socket, segment, account, key, is_combined=is_combined)
        client.begin(names)
        await self._live(socket, client.serve, lambda shape: socket.send(orjson.dumps(shape).decode()), stops)

    def _private(
        self, socket: Socket, segment: Segment, account: Account, key: str, *, is_combined: bool
    ) -> list[Callable[[], None]]:
        """Push an account's events until its listen key dies, and then say so."""

        def wrap(shape: Shape) -> Shape:
            return {"stream": key, "data": shape} if is_combined else shape

        def check() -> None:
            if not self._keys[segment.kind].is_alive(key):
                now = segment.clock_ms()
                expired: Shape = {"e": "listenKeyExpired", "E": now, "T": now, "listenKey": key}
                socket.send(orjson.dumps(wrap(expired)).decode())
                timer.stop()
                stop()

        timer = Timer(EXPIRY_CHECK_S, check)
        stop = push(segment, account, socket, wrap)
        return [timer.stop, stop]

    async def _live(
        self,
        socket: Socket,
        serve: Callable[[], Awaitable[None]],
        tell: Callable[[Shape], None],
        stops: list[Callable[[], None]],
    ) -> None:
        """Serve a client until it leaves or its time is up."""
        settings = self._settings
        try:
            if await _ends_within(settings.lifetime_s - settings.notice_s, serve):
                return
            tell({"e": "serverShutdown", "E": self._spot.clock_ms()})
            if not await _ends_within(min(settings.notice_s, settings.lifetime_s), serve):
                await socket.close(1001, "the connection has reached its age limit")
        finally:
            for stop in stops:
                stop()

    def _segment_of(self, request: Request) -> Segment:
        if request.host in LINEAR_HOSTS or request.path.startswith(LINEAR_PREFIXES):
            return self._linear
        return self._spot


async def _ends_within(seconds: float, serve: Callable[[], Awaitable[None]]) -> bool:
    try:
        async with asyncio.timeout(max(0.0, seconds)):
            await serve()
    except TimeoutError:
        return False
    return True


def _names_of(path: str, query: str) -> tuple[list[str], str]:
    """Return the streams and the listen key that a path and query name."""
    parameters = parse_qs(query)
    names = [name for text in parameters.get("streams", []) for name in text.split("/")]
    names += path.split("/")[2:]
    keys = parameters.get("listenKey", []) + [name for name in names if LISTEN_KEY.fullmatch(name)]
    return [name for name in names if "@" in name or name.startswith("!")], next(iter(keys), "")
