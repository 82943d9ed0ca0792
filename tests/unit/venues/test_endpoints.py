"""A paper endpoint cannot leave this machine."""

import time
from uuid import UUID

import aiohttp
import pytest

from patriot.venues.ccxt_adapter import DIALECTS
from patriot.venues.connections import Connections, Login
from patriot.venues.endpoints import UnsafeEndpoint, VenueEndpoints, addresses, is_loopback

PORT = 9
KINDS = [(venue, kind) for venue, dialect in DIALECTS.items() for kind in dialect.kinds]

pytestmark = pytest.mark.requirement("P7")


async def login(_: UUID) -> Login:
    raise AssertionError("nobody logs in here")


def connections(port: int | None) -> Connections:
    return Connections(DIALECTS, login, VenueEndpoints(port), time.monotonic)


@pytest.mark.parametrize(("venue", "kind"), KINDS)
async def test_every_address_of_a_paper_exchange_is_this_machine(venue: str, kind: str):
    opened = connections(PORT)
    exchange = opened._make(DIALECTS[venue], kind, {})
    found = dict(addresses(exchange.urls))
    assert len(found) > 5
    assert {url.split("/")[2] for url in found.values()} == {f"127.0.0.1:{PORT}"}
    assert not exchange.proxies
    await exchange.close()
    await opened.close()


async def test_bybits_own_trade_address_is_moved_too():
    """Ccxt has it in full, so `hostname` alone would send orders to the exchange."""
    live, paper = connections(None), connections(PORT)
    exchanges = [opened._make(DIALECTS["BYBIT"], "linear", {}) for opened in (live, paper)]
    told = [dict(addresses(exchange.urls))[".api.ws.private.trade"] for exchange in exchanges]
    assert told == ["wss://stream.bybit.com/v5/trade", f"ws://127.0.0.1:{PORT}/v5/trade"]
    for exchange, opened in zip(exchanges, (live, paper), strict=True):
        await exchange.close()
        await opened.close()


async def test_live_endpoints_stay_what_they_are():
    opened = connections(None)
    exchange = opened._make(DIALECTS["BINANCE"], "spot", {})
    assert exchange.urls["api"]["private"] == "https://api.binance.com/api/v3"
    await exchange.close()
    await opened.close()


@pytest.mark.parametrize("mode", [None, PORT], ids=["live", "paper"])
async def test_session_never_repeats_a_request_by_itself(mode: int | None):
    session = VenueEndpoints(mode).session()
    assert session._retry_connection is False
    await session.close()


@pytest.mark.parametrize(
    "url",
    [
        "https://api.binance.com/api/v3/time",
        "http://localhost:9/",
        "http://192.0.2.1:9/",
        "http://[2001:db8::1]:9/",
        "http://0.0.0.0:9/",
        "ws://stream.bybit.com/v5/trade",
    ],
)
async def test_paper_session_dials_loopback_addresses_only(url: str):
    async with VenueEndpoints(PORT).session() as session:
        with pytest.raises(UnsafeEndpoint):
            await session.get(url.replace("ws:", "http:"))


async def test_paper_session_resolves_no_names():
    session = VenueEndpoints(PORT).session()
    assert isinstance(session.connector, aiohttp.TCPConnector)
    with pytest.raises(UnsafeEndpoint):
        await session.connector._resolver.resolve("api.binance.com", 443)
    await session.close()


class Foreign:
    """An exchange object that keeps one address."""

    id = "foreign"

    def __init__(self) -> None:
        self.urls = {"api": {"rest": "https://api.example/v1"}}

    def deep_extend(self, first: dict[str, object], second: dict[str, object]) -> dict[str, object]:
        return first | second


def test_address_that_stays_foreign_is_refused():
    with pytest.raises(UnsafeEndpoint):
        VenueEndpoints(PORT).apply(Foreign(), {"ws": "wss://stream.example/ws"})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:9/x", True),
        ("http://127.0.0.1.example/x", False),
        ("http://127.0.0.1@api.example/x", False),
        ("https://api.example/127.0.0.1", False),
        ("127.0.0.1", False),
    ],
)
def test_loopback_is_told_from_what_looks_like_it(url: str, *, expected: bool):
    assert is_loopback(url) is expected


class Names:
    """What a name server would tell."""

    def __init__(self, *addresses: str) -> None:
        self._addresses = addresses

    async def resolve(self, *_: object) -> list[dict[str, str]]:
        return [{"host": address} for address in self._addresses]

    async def close(self) -> None:
        """Nothing is held."""


def session_beside(address: str) -> aiohttp.ClientSession:
    """Of a paper endpoint whose venue is in another pod, behind the name `venue`."""
    session = VenueEndpoints(PORT, "venue").session()
    assert isinstance(session.connector, aiohttp.TCPConnector)
    session.connector._resolver._names = Names(address)  # type: ignore[attr-defined]
    return session


@pytest.mark.parametrize("name", ["api.binance.com", "venue.example.com", "stream.bybit.com"])
async def test_venue_elsewhere_is_the_only_name_that_is_known(name: str):
    async with session_beside("10.1.2.3") as session:
        assert isinstance(session.connector, aiohttp.TCPConnector)
        with pytest.raises(UnsafeEndpoint):
            await session.connector._resolver.resolve(name, PORT)
        with pytest.raises(UnsafeEndpoint):
            await session.get(f"http://{name}:{PORT}/")
        [found] = await session.connector._resolver.resolve("venue", PORT)
        assert found["host"] == "10.1.2.3"


async def test_venue_elsewhere_must_lie_in_a_private_network():
    async with session_beside("52.84.150.36") as session:
        with pytest.raises(UnsafeEndpoint):
            await session.get(f"http://venue:{PORT}/api/v3/time")


@pytest.mark.parametrize(("venue", "kind"), KINDS)
async def test_every_address_of_a_paper_exchange_is_the_venues_host(venue: str, kind: str):
    opened = Connections(DIALECTS, login, VenueEndpoints(PORT, "venue"), time.monotonic)
    exchange = opened._make(DIALECTS[venue], kind, {})
    assert {url.split("/")[2] for url in dict(addresses(exchange.urls)).values()} == {f"venue:{PORT}"}
    await exchange.close()
    await opened.close()
