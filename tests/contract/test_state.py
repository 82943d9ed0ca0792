"""The contract of the State port: in memory, and behind a sidecar on Redis and on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import yaml

from patriot.runtime.clock import SystemClock
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.documents import read
from patriot.runtime.dapr.ports import STATE, DaprState
from patriot.runtime.embedded import MemoryState
from patriot.runtime.ports import EtagMismatch, State
from patriot.store.memory import MemoryStore
from tests.support.servers import broker
from tests.support.sidecars import LOCAL, SECRETS, beside_sidecars

pytestmark = pytest.mark.requirement("A2", "C3")
REDIS = pytest.param("redis", marks=pytest.mark.dapr)
POSTGRESQL = pytest.param("postgresql", marks=[pytest.mark.dapr, pytest.mark.postgres])


@pytest.fixture(params=["memory", REDIS, POSTGRESQL])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    """What a sidecar needs for a store of its own, whose components lie in the folder; nothing for memory."""
    if request.param == "memory":
        return {}
    components = [one.value for one in read(LOCAL)[0] if one.name != STATE and one.kind == "Component"]
    kind = f"state.{request.param}"
    pattern = next(one.value for one in read(ROOT / "production")[0] if one.value["spec"].get("type") == kind)
    components.append({**pattern, "metadata": {"name": STATE}})
    (tmp_path / "components.yaml").write_text(yaml.safe_dump_all(components))
    found = {**SECRETS, **broker("redis")}
    if request.param == "postgresql":
        found["PATRIOT_DATABASE_URL"] = request.getfixturevalue("empty_database")
    return found


@pytest.fixture
async def state(environment: dict[str, str], tmp_path: Path) -> AsyncIterator[State]:
    if not environment:
        yield MemoryState(SystemClock())
        return
    async with beside_sidecars(environment, MemoryStore(), resources=[tmp_path]) as host:
        yield host.runtime.state


async def test_state_keeps_and_forgets(state: State):
    assert await state.get("kept") is None
    await state.set("kept", b"1")
    entry = await state.get("kept")
    assert entry is not None
    assert entry.value == b"1"
    await state.delete("kept")
    await state.delete("kept")
    assert await state.get("kept") is None


async def test_state_refuses_an_old_etag(state: State):
    await state.set("tagged", b"1")
    old = await state.get("tagged")
    assert old is not None
    await state.set("tagged", b"2", etag=old.etag)
    with pytest.raises(EtagMismatch):
        await state.set("tagged", b"3", etag=old.etag)
    with pytest.raises(EtagMismatch):
        await state.set("never there", b"3", etag=old.etag)
    entry = await state.get("tagged")
    assert entry is not None
    assert entry.value == b"2"


async def test_state_ends_with_its_time_to_live(state: State):
    await state.set("short", b"1", seconds=0.05)  # or a whole second, where that is the smallest
    await state.set("long", b"1", seconds=60)
    old = await state.get("short")
    assert old is not None
    await asyncio.sleep(0.08 if isinstance(state, MemoryState) else 1.1)
    assert await state.get("short") is None
    assert await state.get("long") is not None
    with pytest.raises(EtagMismatch):
        await state.set("short", b"2", etag=old.etag)


async def test_bytes_stay_bytes(state: State):
    every = bytes(range(256))
    await state.set("bytes", every)
    entry = await state.get("bytes")
    assert entry is not None
    assert entry.value == every


@pytest.mark.parametrize("environment", [REDIS, POSTGRESQL], indirect=True)
async def test_states_change_together(state: DaprState):
    change, get = state._sidecar.change_states, state._sidecar.get_state
    await change(STATE, {"a": b"1", "b": b"2"})
    await change(STATE, {"a": None, "b": b"3"})
    assert await get(STATE, "a") is None
    entry = await get(STATE, "b")
    assert entry is not None
    assert entry.value == b"3"
