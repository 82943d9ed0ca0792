"""The demo: a user, a funded account, a strategy and a first order; a second start finds them."""

import pytest

from patriot.runtime.demo import FUNDS, INSTRUMENT, USERNAME, Demo
from patriot.runtime.embedded import Host
from patriot.store.api import Query
from patriot.store.memory import MemoryStore
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue


async def open_market(host: Host) -> None:
    host.runtime.venues["paper"] = FillingVenue()
    await define(host.runtime.store, PERPETUAL)
    await set_price(host, INSTRUMENT, "60000", "60000.1")


@pytest.mark.requirement("T3")
async def test_demo_ends_with_a_filled_order_and_a_running_strategy():
    async with running_host() as host:
        await open_market(host)
        demo = Demo(host)
        await demo.prepare()
        await demo.first_order()
        await until_idle(host)
        token = await Client(host).json("POST", "/auth/token", {"username": USERNAME, "password": demo.password})
        user = Client(host, token["access_token"])
        portfolio = await user.json("GET", "/portfolio")
        assert {row["asset"] for row in portfolio["balances"]} == set(FUNDS)
        (order,) = (await user.json("GET", "/orders"))["orders"]
        assert order["status"] == "filled"
        (strategy,) = await host.runtime.store.find(Query("strategies", None))
        assert (strategy["status"], str(strategy["account_id"])) == ("running", demo.account_id)


async def test_second_start_finds_everything():
    store = MemoryStore()
    async with running_host(store) as host:
        await open_market(host)
        first = Demo(host)
        await first.prepare()
        await first.first_order()
        await until_idle(host)
    async with running_host(store) as host:
        await open_market(host)
        again = Demo(host, first.username, first.password)
        await again.prepare()
        await again.first_order()
        assert again.account_id == first.account_id
        assert len(await store.find(Query("orders", None))) == 1


async def test_start_that_was_cut_off_is_finished_by_the_next():
    store = MemoryStore()
    async with running_host(store) as host:
        await open_market(host)
        first = Demo(host)
        await first.prepare()
        again = Demo(host, first.username, first.password)
        await again.prepare()
        await again.first_order()
        assert len(await store.find(Query("user_accounts", None))) == 1
        assert len((await again.get("/orders"))["orders"]) <= 1
        await until_idle(host)
        assert len((await again.get("/orders"))["orders"]) == 1


async def test_lost_password_starts_afresh_and_leaves_the_old_data_alone():
    store = MemoryStore()
    async with running_host(store) as host:
        await open_market(host)
        first, other = Demo(host), Demo(host)
        await first.prepare()
        await other.prepare()
        assert other.username != first.username
        assert other.account_id not in {"", first.account_id}


async def test_nobody_reads_what_needs_a_user():
    async with running_host() as host:
        assert await Demo(host).get("/portfolio") is None
