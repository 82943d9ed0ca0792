"""A trigger fires once: across a restart, two replicas, and a leader that does not know that it has been overtaken."""

import asyncio
from decimal import Decimal
from uuid import UUID

import orjson
import pytest

from feeds.triggers import app
from feeds.triggers.watch import Shot
from patriot.protocols.market import Trade
from patriot.runtime.edge import system_context
from patriot.store.api import Lease, StreamId
from tests.integration.order_lists.market import Market, market
from tests.store_samples import raise_guard
from tests.support.host import PERPETUAL, TENANT, running_host

pytestmark = pytest.mark.requirement("P9", "A5")

TRAIL = {"order_type": "trailing_stop", "trailing": {"rule": "offset", "distance": "620"}}


async def stale_desk(m: Market, epoch: int) -> app.Desk:
    runtime = m.host.runtime
    lease = Lease(app.LEASE, "somebody who led before", epoch, runtime.clock.now())
    desk = app.Desk(system_context(runtime, "triggers"), lease)
    await desk.look()
    return desk


async def test_overtaken_leader_writes_nothing():
    async with market() as m:
        order = await m.order("sell", "1", **TRAIL)
        desk = await stale_desk(m, epoch=0)
        assert len(desk.watch) == 1
        led = m.host.runtime.local.pop("triggers")
        assert isinstance(led, app.Desk)
        led.close()  # the true leader does not see these ticks: only the stale one does
        await m.move("61000")
        await m.move("60000")
        assert (await m.show(order))["waits_for"] == "trigger"
        desk.close()


async def test_two_that_fire_at_once_fire_once():
    async with market() as m:
        orders = [await m.order("sell", "0.1", **TRAIL) for _ in range(20)]
        leader = m.host.runtime.local["triggers"]
        assert isinstance(leader, app.Desk)
        desk = await stale_desk(m, leader.lease.epoch)  # as if one process held the lease twice
        await m.move("59000")
        await m.settle()
        for order in orders:
            assert (await m.types(order)).count("triggered") == 1
            assert (await m.types(order)).count("submit_started") == 1
        assert await m.position() == "-2"
        desk.close()


async def test_stop_is_found_again_after_a_restart_where_it_stood(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(app, "LOOK_SECONDS", 0.05)
    async with market() as m:
        order = await m.order("sell", "1", **TRAIL)
        await m.move("62000")
        async with asyncio.timeout(3):
            while (await m.show(order))["stop_price"] != "61380":
                await asyncio.sleep(0.02)
        await m.host.stop()
        async with running_host(m.host.runtime.store, ("triggers",)) as second:
            await m.until(lambda: "triggers" in second.runtime.local)
            desk = second.runtime.local["triggers"]
            assert isinstance(desk, app.Desk)
            assert len(desk.watch) == 1
            for price in ("61500", "61380.1", "61380", "61380"):
                units = PERPETUAL.price_units(Decimal(price))
                second.runtime.ticks.publish(Trade(PERPETUAL.id, units, 1, True, "t", 0))
            await asyncio.sleep(0.1)
            stream = StreamId(TENANT, "order", UUID(order["order_id"]))
            fired = [one for one in await second.runtime.store.load(stream) if one.type == "order.triggered"]
            assert [orjson.loads(one.data)["price"] for one in fired] == ["61380"]


async def test_halted_account_does_not_send_what_fires():
    async with market() as m:
        order = await m.order("sell", "1", **TRAIL)
        closing = await m.order("buy", "1")
        exit_ = await m.order("sell", "1", reduce_only=True, **TRAIL)
        origin = system_context(m.host.runtime, "test").origin
        await raise_guard(m.host.runtime.store, origin, "platform", halted=True)
        await m.move("59000")
        shown = await m.show(order)
        assert (shown["status"], shown["reason"]) == ("cancelled", "it fired while trading is halted")
        assert (await m.show(exit_))["status"] == "filled", "what only closes still goes"
        assert (await m.show(closing))["status"] == "filled"


async def test_held_stop_fires_where_its_owner_has_moved_it():
    async with market() as m:
        sell = {"side": "sell", "quantity": "1", "reduce_only": True}
        stop, profit = m.body(**sell, order_type="stop", stop_price="59000"), m.body(**sell, price="63000")
        made = await m.create_list("bracket", m.body("buy", "1"), stop, profit)
        stop = made["orders"][1]
        await m.user.json("PATCH", f"/orders/{stop['order_id']}", {"stop_price": "58000"})
        await m.settle()
        await m.move("58900")
        assert (await m.show(stop))["waits_for"] == "trigger"
        restarted = await stale_desk(m, epoch=0)
        assert len(restarted.watch) == 1
        restarted.close()
        await m.move("58000")
        shown = await m.show(stop)
        assert (shown["status"], shown["stop_price"]) == ("filled", "58000")
        assert (await m.types(stop)).count("triggered") == 1


async def test_shot_at_a_stop_that_was_moved_away_meanwhile_misses():
    async with market() as m:
        sell = {"side": "sell", "quantity": "1", "reduce_only": True}
        stop, profit = m.body(**sell, order_type="stop", stop_price="59000"), m.body(**sell, price="63000")
        made = await m.create_list("bracket", m.body("buy", "1"), stop, profit)
        stop = made["orders"][1]
        leader = m.host.runtime.local["triggers"]
        held = leader.watch._held[UUID(stop["order_id"])]
        await m.user.json("PATCH", f"/orders/{stop['order_id']}", {"stop_price": "58000"})
        leader._shoot(Shot(held, Decimal(58_900), Decimal(59_000)))
        await m.settle()
        assert (await m.show(stop))["waits_for"] == "trigger"
        await m.move("58000")
        assert (await m.types(stop)).count("triggered") == 1
