"""One desk for each account over all processes, and a new one where its credentials change."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

import pytest

from feeds.account_data import app
from feeds.account_data.app import Desks
from patriot.runtime.clock import SystemClock
from patriot.runtime.credentials import open_credentials
from patriot.runtime.embedded import Host
from patriot.store.api import Query, StoreUnavailable
from patriot.store.memory import MemoryStore
from tests.support.host import Client, running_host
from tests.support.venues import RestingVenue

SHARED: dict[str, Any] = {"database_url": "postgresql://shared", "feeds": ("account-data",)}
KEYS = {"api_key": "the first key", "api_secret": "the first secret"}


class Forgetful(RestingVenue):
    def __init__(self) -> None:
        super().__init__()
        self.forgotten: list[UUID] = []

    async def forget(self, account_id: UUID) -> None:
        self.forgotten.append(account_id)


def desks(host: Host) -> Any:
    found = host.runtime.local.get("account-data")
    return found._desks if isinstance(found, Desks) else {}


async def until(reached: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not reached():
            await asyncio.sleep(0.005)


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "LEASE_SECONDS", 0.3)


async def test_account_has_one_desk_over_all_processes_and_the_next_takes_it_over() -> None:
    store = MemoryStore(SystemClock().now)
    async with running_host(store, **SHARED) as first:
        first.runtime.venues["paper"] = RestingVenue()
        account = UUID(await (await Client(first).register("ada")).paper_account(USDT="1000"))
        await until(lambda: account in desks(first))
        async with running_host(store, **SHARED) as second:
            second.runtime.venues["paper"] = RestingVenue()
            await until(lambda: "account-data" in second.runtime.local)
            for _ in range(5):
                await asyncio.sleep(0.1)
                assert (account in desks(first), account in desks(second)) == (True, False)
            await first.runtime.local["account-data"].close_all()  # type: ignore[attr-defined]
            await until(lambda: account in desks(second))


async def test_desk_closes_when_the_store_is_gone_for_longer_than_the_lease() -> None:
    async with running_host(**SHARED) as host:
        host.runtime.venues["paper"] = RestingVenue()
        account = UUID(await (await Client(host).register("ada")).paper_account(USDT="1000"))
        await until(lambda: account in desks(host))

        async def gone(*_: object) -> None:
            raise StoreUnavailable("gone")

        acquire, host.runtime.leases.acquire = host.runtime.leases.acquire, gone  # type: ignore[method-assign]
        await until(lambda: account not in desks(host))
        host.runtime.leases.acquire = acquire  # type: ignore[method-assign]
        await until(lambda: account in desks(host))


async def test_rotated_credentials_lie_in_the_vault_and_open_a_new_connection() -> None:
    async with running_host(feeds=("account-data", "relay")) as host:
        venue = host.runtime.venues["live"] = Forgetful()
        user = await Client(host).register("ada")
        linked = await user.json("POST", "/accounts", {"exchange": "BINANCE", "mode": "live", **KEYS}, 201)
        account = UUID(linked["account_id"])
        await until(lambda: account in desks(host))
        before = desks(host)[account]
        path = f"/accounts/{account}/credentials"
        await user.json("POST", path, {"api_key": "another key", "api_secret": "another secret"})
        await until(lambda: desks(host).get(account) not in {None, before})
        assert venue.forgotten == [account]
        (row,) = await host.runtime.store.find(Query("user_accounts", None, {"id": account}))
        secrets = open_credentials(host.runtime.access.vault, row)
        assert [one.reveal() for one in secrets] == ["another key", "another secret"]
        told = [event async for event in host.runtime.store.read(kinds=("account",))]
        assert [event.type for event in told] == ["account.linked", "account.credentials_rotated"]
        assert b"another" not in told[-1].data


async def test_credentials_of_paper_and_foreign_accounts_are_not_rotated() -> None:
    async with running_host() as host:
        ada = await Client(host).register("ada")
        account = await ada.paper_account(USDT="1000")
        path = f"/accounts/{account}/credentials"
        assert (await ada.call("POST", path, KEYS)).status == 409
        assert (await (await Client(host).register("eve")).call("POST", path, KEYS)).status == 404
