"""Reference data: read once a minute, bounded, apart by tenant, and an absence is never kept."""

import asyncio
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from patriot.runtime import reference
from patriot.runtime.reference import KEPT_SECONDS, Kept, References, instrument_row
from patriot.store.api import Commit, Origin, Row
from patriot.store.memory import MemoryStore
from tests.support.host import PERPETUAL

NOW = datetime(2024, 8, 8, tzinfo=UTC)
TENANT, OTHER, ACCOUNT = UUID(int=1), UUID(int=2), UUID(int=3)


class Time:
    now = 0.0

    def __call__(self) -> float:
        return self.now


async def write(store: MemoryStore, row: Row, tenant: UUID = TENANT) -> None:
    await store.commit(Commit(Origin(tenant, "service:test", "req_1_0123abcd"), NOW, rows=[row]))


def account_row(**changes: Any) -> Row:
    fields = {"id": ACCOUNT, "user_id": UUID(int=9), "name": "main", "is_active": True, "stream_version": 1}
    return Row("user_accounts", fields | changes)


async def test_account_is_kept_for_a_while():
    store, time = MemoryStore(), Time()
    references = References(store, time)
    assert await references.account(TENANT, ACCOUNT) is None
    await write(store, account_row())
    assert (await references.account(TENANT, ACCOUNT) or {})["name"] == "main"
    await write(store, account_row(name="renamed", stream_version=2))
    assert (await references.account(TENANT, ACCOUNT) or {})["name"] == "main"
    time.now = KEPT_SECONDS
    assert (await references.account(TENANT, ACCOUNT) or {})["name"] == "renamed"


async def test_forgotten_account_is_read_again():
    store = MemoryStore()
    references = References(store, Time())
    await write(store, account_row())
    await references.account(TENANT, ACCOUNT)
    await write(store, account_row(is_active=False, stream_version=2))
    references.forget_account(TENANT, ACCOUNT)
    assert (await references.account(TENANT, ACCOUNT) or {})["is_active"] is False


async def test_what_was_being_read_when_it_was_dropped_is_not_kept():
    kept: Kept[str] = Kept(Time())
    begun, answers = asyncio.Event(), asyncio.Queue[str]()

    async def load() -> str:
        begun.set()
        return await answers.get()

    reading = asyncio.create_task(kept.get("key", load))
    await begun.wait()
    kept.drop("key")
    for answer in ("old", "new"):
        answers.put_nowait(answer)
    assert (await reading, await kept.get("key", load)) == ("old", "new")


@pytest.mark.requirement("A4")
async def test_kept_account_is_not_shown_to_another_tenant():
    store = MemoryStore()
    references = References(store, Time())
    await write(store, account_row())
    assert await references.account(TENANT, ACCOUNT) is not None
    assert await references.account(OTHER, ACCOUNT) is None


async def test_instrument_comes_back_as_it_was_written():
    store = MemoryStore()
    references = References(store, Time())
    assert await references.instrument(PERPETUAL.id) is None
    await write(store, instrument_row(PERPETUAL))
    assert await references.instrument(PERPETUAL.id) == PERPETUAL


async def test_cache_never_grows_beyond_its_limit(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(reference, "ENTRIES_MAX", 10)
    kept: Kept[int] = Kept(Time())

    async def load() -> int:
        return 1

    for key in range(100):
        assert await kept.get(key, load) == 1
        assert len(kept._entries) <= 10
