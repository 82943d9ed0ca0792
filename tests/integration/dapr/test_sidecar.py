"""What a sidecar and its app ask of each other."""

import asyncio

import aiohttp
import pytest

from patriot.runtime import asgi
from patriot.runtime.dapr.host import DaprHost
from patriot.runtime.dapr.serve import ComponentsMissing, require_components
from patriot.runtime.dapr.sidecar import Address, Sidecar, SidecarError, SidecarUnavailable, connected
from patriot.runtime.function import OTHER_TYPES, Context, Function
from patriot.store.memory import MemoryStore
from schemas.events import UserRegistered
from schemas.topics import USER_EVENTS
from tests.support.servers import components
from tests.support.sidecars import Hosts, beside_sidecars

pytestmark = pytest.mark.dapr


def part() -> Function:
    function = Function("probe")

    @function.on(USER_EVENTS, UserRegistered)
    async def take(event: UserRegistered, context: Context) -> None:
        """Nothing to do."""

    return function


def sidecar_of(host: Hosts) -> Sidecar:
    sidecar = host.hosts[0].publisher._send.__self__
    assert isinstance(sidecar, Sidecar)
    return sidecar


@pytest.fixture
async def host():
    folder, environment = components("redis")
    async with beside_sidecars(environment, MemoryStore(), part(), resources=[folder]) as hosts:
        yield hosts


@pytest.mark.requirement("P14")
async def test_events_come_from_our_own_sidecar_or_not_at_all(host):
    app = host.hosts[0].app
    for path in (OTHER_TYPES, f"/events/{USER_EVENTS.name}/{UserRegistered.TYPE}"):
        for token in ("", "guessed"):
            answer = await asgi.request(app, "POST", path, {"dapr-api-token": token}, b"{}")
            assert answer.status == 401
    app_without_token = DaprHost([part()], sidecar_of(host), host.ground).app
    assert (await asgi.request(app_without_token, "POST", OTHER_TYPES, {"dapr-api-token": ""}, b"{}")).status == 401
    answer = await asgi.request(app, "POST", OTHER_TYPES, {"dapr-api-token": host.tokens.app}, b"{}")
    assert (answer.status, answer.body) == (200, b'{"status":"SUCCESS"}')


@pytest.mark.requirement("P14")
async def test_sidecar_refuses_an_app_without_its_token(host):
    url = sidecar_of(host)._url
    port = int(url.rpartition(":")[2])
    async with aiohttp.ClientSession() as client, client.get(url + "/v1.0/metadata") as answer:
        assert answer.status == 401
    async with connected(Address(port, 1)) as stranger:
        answer = await stranger.invoke("probe", "GET", "/healthz", {}, b"")
        assert answer.status == 401


async def test_missing_component_is_named(host, monkeypatch):
    sidecar = sidecar_of(host)
    await require_components(sidecar)
    with pytest.raises(SidecarError, match="nowhere"):
        await sidecar.get_state("nowhere", "key")

    async def nothing() -> dict[str, list[str]]:
        return {"components": []}

    monkeypatch.setattr(sidecar, "metadata", nothing)
    with pytest.raises(ComponentsMissing, match="events, internal, market"):
        await require_components(sidecar)


async def test_sidecar_that_is_not_there_is_unavailable():
    async with connected(Address(1, 1)) as sidecar:
        with pytest.raises(SidecarUnavailable):
            await sidecar.invoke("probe", "GET", "/healthz", {}, b"")
        with pytest.raises(SidecarUnavailable):
            await asyncio.wait_for(sidecar.get_state("state", "key"), 20)


@pytest.mark.requirement("B12")
async def test_sidecar_that_was_killed_serves_again_on_the_same_ports(host):
    process, state = host.sidecars[0], host.runtime.state
    await state.set("k", b"1")
    process.kill()
    async with asyncio.timeout(20):
        while True:
            try:
                entry = await state.get("k")
                break
            except SidecarError:
                await asyncio.sleep(0.05)
    assert entry is not None
    assert process.starts == 2
