"""Case 23, revocation: what one process withdraws, every process refuses, those that start later too."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.runtime.users import first_admin
from patriot.security.keys import KeyRing
from patriot.store.connections import urls_of
from patriot.store.postgres import PostgresStore
from tests.support.host import PASSWORD, Client, running_host

REVOKED_SECONDS_MAX = 1.0
CHANGES = {"role": {"role": "fund_manager"}, "status": {"status": "deactivated", "reason": "left"}}

pytestmark = [pytest.mark.postgres, pytest.mark.alone, pytest.mark.requirement("P14", "P20")]


async def administrator(host: Host) -> Client:
    made = await first_admin(system_context(host.runtime, "user-commands"))
    assert made is not None
    token = await Client(host).json("POST", "/auth/token", {"username": made.username, "password": made.password})
    return Client(host, token["access_token"])


async def status(client: Client) -> int:
    return (await client.call("GET", "/portfolio")).status


@asynccontextmanager
async def two_processes(database: str) -> AsyncIterator[tuple[Host, Host]]:
    """Two hosts of one installation."""
    async with AsyncExitStack() as stack:
        ring = KeyRing.generate()
        hosts = []
        for _ in range(2):
            store = await PostgresStore.open(urls_of(database))
            stack.push_async_callback(store.close)
            hosts.append(await stack.enter_async_context(running_host(store, (), ring, database_url=database)))
        yield hosts[0], hosts[1]


async def refused(client: Client) -> None:
    """Wait until the client's token is refused."""
    began = time.monotonic()
    while await status(client) != 401:
        assert time.monotonic() - began < REVOKED_SECONDS_MAX
        await asyncio.sleep(0.01)


async def test_logout_ends_every_token_in_every_process(database: str) -> None:
    async with two_processes(database) as (first, second):
        here = await Client(first).register("ada")
        login = {"username": "ada", "password": PASSWORD}
        there = Client(second, (await Client(second).json("POST", "/auth/token", login))["access_token"])
        assert await status(there) == 200
        await here.json("POST", "/auth/logout")
        assert await status(here) == 401
        await refused(there)
        for host in (first, second):
            token = await Client(host).json("POST", "/auth/token", login)
            assert await status(Client(host, token["access_token"])) == 200


async def test_new_password_ends_every_token_but_the_one_that_it_answers(database: str) -> None:
    new = "another horse battery"
    async with two_processes(database) as (first, second):
        here = await Client(first).register("ada")
        there = Client(second, here._token)
        assert await status(there) == 200
        change = {"old_password": PASSWORD, "new_password": new}
        fresh = (await here.json("POST", "/auth/password", change))["access_token"]
        assert await status(here) == 401
        await refused(there)
        assert [await status(Client(host, fresh)) for host in (first, second)] == [200, 200]
        for password, expected in ((PASSWORD, 401), (new, 200)):
            await Client(second).json("POST", "/auth/token", {"username": "ada", "password": password}, expected)


async def test_token_withdrawn_in_one_process_ends_in_all(database: str) -> None:
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(2)]
    shared: dict[str, Any] = {"ring": KeyRing.generate(), "database_url": database, "feeds": ()}
    async with running_host(stores[0], **shared) as first, running_host(stores[1], **shared) as second:
        admin = await administrator(first)
        for name, change in CHANGES.items():
            here = await Client(first).register(name)
            bystander = Client(second, (await Client(first).register(f"{name}2"))._token)
            there = Client(second, here._token)
            assert await status(there) == 200  # and is remembered there as proven
            users = (await admin.json("GET", "/tenant-users"))["users"]
            user_id = next(user["user_id"] for user in users if user["username"] == name)
            await admin.json("PATCH", f"/tenant-users/{user_id}", change)
            changed_at = time.monotonic()
            assert await status(here) == 401
            while await status(there) != 401:
                assert time.monotonic() - changed_at < REVOKED_SECONDS_MAX
                await asyncio.sleep(0.01)
            print(f"{name}: refused elsewhere after {time.monotonic() - changed_at:.2f} s")
            assert await status(bystander) == 200
        async with running_host(stores[1], **shared) as later:
            assert await status(Client(later, here._token)) == 401
    for store in stores:
        await store.close()
