"""Two processes on one PostgreSQL: each sees at once what the other has written, however much it has cached."""

import asyncio
from typing import Any
from uuid import UUID

import pytest

from patriot.runtime.aggregates import ORDER
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.store.connections import urls_of
from patriot.store.postgres import PostgresStore
from tests.support.host import PASSWORD, PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

pytestmark = pytest.mark.postgres


async def version(host: Host, order_id: UUID) -> int:
    return (await system_context(host.runtime, "test", TENANT).load(ORDER, order_id)).version


@pytest.mark.requirement("P2", "P7")
async def test_what_one_process_writes_the_other_decides_on(database: str) -> None:
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(2)]
    settings: dict[str, Any] = {"database_url": database, "feeds": ()}
    async with running_host(stores[0], **settings) as first, running_host(stores[1], **settings) as second:
        venue = RestingVenue()
        for host in (first, second):
            host.runtime.venues["paper"] = venue
            await define(host.runtime.store, PERPETUAL)
            await set_price(host, PERPETUAL.id, "60000", "60000.1")
        here = await Client(first).register("ada")
        token = await Client(second).json("POST", "/auth/token", {"username": "ada", "password": PASSWORD})
        there = Client(second, token["access_token"])
        account = await here.paper_account(USDT="10000")
        body = {"account_id": account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01", "price": "59000"}
        order_id = UUID((await here.json("POST", "/orders", body, 201))["order_id"])
        await until_idle(first)
        for number in range(1, 6):  # turn about: what each has cached is old
            client, host = ((there, second), (here, first))[number % 2]
            await client.json("PATCH", f"/orders/{order_id}", {"price": str(59000 + number)})
            await until_idle(host)
            assert await version(first, order_id) == await version(second, order_id)
        shown = [await client.json("GET", f"/orders/{order_id}") for client in (here, there)]
        assert [order["price"] for order in shown] == ["59005"] * 2
        answers = await asyncio.gather(
            *(client.call("DELETE", f"/orders/{order_id}") for client in (here, there, here, there))
        )
        assert {answer.status for answer in answers} <= {200, 409}
        await until_idle(first)
        await until_idle(second)
        loaded = await system_context(first.runtime, "test", TENANT).load(ORDER, order_id)
        assert loaded.state is not None
        assert loaded.state.status == "cancelled"
    for store in stores:
        await store.close()
