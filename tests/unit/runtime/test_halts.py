"""What was created before a kill switch was thrown is not sent after it."""

import asyncio
from dataclasses import dataclass
from uuid import UUID

import pytest

from patriot.runtime.context import RequestContext
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.runtime.halts import KNOWN_SECONDS, Halts
from patriot.runtime.risk import hold_of
from patriot.store.api import Commit, GuardChange, StoreUnavailable
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue


@dataclass
class Mine:
    """As much of an order as a kill switch looks at."""

    user_id: UUID = TENANT
    account_id: UUID = TENANT
    strategy_id: str | None = None
    emulated: tuple[str, ...] = ()


def a_context(host: Host) -> RequestContext:
    return system_context(host.runtime, "order-execution", TENANT)


@pytest.mark.requirement("P11")
async def test_unsent_order_ends_when_trading_is_halted_above_it():
    async with running_host() as host:
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="100000")
        host.runtime.venues["paper"] = venue = RestingVenue()
        order = {"account_id": account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.01", "price": "60000"}
        sent = await user.json("POST", "/orders", order, 201)
        await until_idle(host)
        await asyncio.sleep(KNOWN_SECONDS)

        async def halted() -> set[tuple[object, str]]:
            return {(TENANT, f"account:{account}")}

        host.runtime.store.halted = halted  # the order below slips past the commit's question
        receipt = await user.json("POST", "/orders", {**order, "quantity": "0.02"}, 201)
        await until_idle(host)
        view = await user.json("GET", f"/orders/{receipt['order_id']}")
        assert (view["status"], view["reason"]) == ("cancelled", f"trading was halted: account:{account}")
        assert (await user.json("GET", f"/orders/{sent['order_id']}"))["status"] == "accepted"
        assert len(venue.created) == 1


async def test_nothing_is_known_without_the_store():
    async with running_host() as host:

        async def gone() -> None:
            raise StoreUnavailable("gone")

        host.runtime.store.halted = gone
        with pytest.raises(StoreUnavailable):
            await Halts.of(host.runtime).above(Mine(), a_context(host))


async def test_halts_are_read_again_after_a_tenth_of_a_second():
    async with running_host() as host:
        store, reads = host.runtime.store, 0
        real = store.halted

        async def counted() -> object:
            nonlocal reads
            reads += 1
            return await real()

        store.halted = counted
        halts, context = Halts.of(host.runtime), a_context(host)
        for _ in range(50):
            assert await halts.above(Mine(), context) is None
        assert reads == 1
        await store.commit(Commit(context.origin, context.now(), raises=[GuardChange("tenant", halted=True)]))
        await asyncio.sleep(KNOWN_SECONDS)
        assert await halts.above(Mine(), context) == "tenant"


@pytest.mark.requirement("P12", "P11")
async def test_paused_strategy_sends_nothing_and_the_stops_that_the_platform_watches_still_fire():
    async with running_host() as host:
        context, scope = a_context(host), hold_of(TENANT, "trend")
        change = Commit(context.origin, context.now(), raises=[GuardChange(scope, halted=True)])
        await host.runtime.store.commit(change)
        halts = Halts.of(host.runtime)
        assert await halts.above(Mine(strategy_id="trend"), context) == scope
        assert await halts.above(Mine(strategy_id="trend", account_id=UUID(int=9)), context) is None
        assert await halts.above(Mine(strategy_id="another"), context) is None
        assert await halts.above(Mine(strategy_id="trend", emulated=("trigger",)), context) is None
