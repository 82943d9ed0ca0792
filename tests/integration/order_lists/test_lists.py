"""Brackets, oco and oto on a market that moves: sizes follow fills, one cancels the other exactly once."""

from typing import Any

import pytest

from tests.integration.order_lists.market import Market, market
from tests.support.host import SPOT

pytestmark = pytest.mark.requirement("P9", "B11")


async def bracket(m: Market, instrument: str | None = None, **entry: Any) -> list[Any]:
    where = {"instrument": instrument} if instrument else {}
    exits = {} if instrument else {"reduce_only": True}
    listed = await m.create_list(
        "bracket",
        m.body("buy", "1", **{"price": "59990", **entry}, **where),
        m.body("sell", "1", order_type="stop", stop_price="59000", **exits, **where),
        m.body("sell", "1", price="61000", **exits, **where),
    )
    return list(listed["orders"])


@pytest.mark.parametrize("instrument", [None, SPOT.id])
async def test_exits_wait_for_the_entry(instrument: str | None):
    async with market() as m:
        entry, stop, profit = await bracket(m, instrument)
        assert len(m.venue_orders()) == 1
        assert [(await m.show(one))["waits_for"] for one in (entry, stop, profit)] == ["", "parent", "parent"]
        await m.user.json("DELETE", f"/orders/{entry['order_id']}")
        await m.settle()
        assert [(await m.show(one))["status"] for one in (entry, stop, profit)] == ["cancelled"] * 3
        assert not m.venue_orders()
        assert (await m.balance())["reserved"] == 0


async def test_take_profit_fills_and_the_stop_is_cancelled_once():
    async with market() as m:
        entry, stop, profit = await bracket(m)
        await m.move("59980")
        assert (await m.show(entry))["status"] == "filled"
        assert (await m.show(stop))["waits_for"] == "trigger"
        assert (await m.show(profit))["status"] == "accepted"
        await m.move("61010")
        assert [(await m.show(one))["status"] for one in (stop, profit)] == ["cancelled", "filled"]
        assert (await m.types(stop)).count("cancelled") == 1
        assert await m.position() == "0"
        await m.move("58000")
        assert await m.position() == "0"


async def test_stop_fires_and_the_take_profit_is_cancelled_once():
    async with market() as m:
        _, stop, profit = await bracket(m)
        await m.move("59980")
        await m.move("58990")
        assert [(await m.show(one))["status"] for one in (stop, profit)] == ["filled", "cancelled"]
        assert (await m.types(profit)).count("cancel_requested") == 1
        assert (await m.types(stop)).count("triggered") == 1
        assert await m.position() == "0"
        assert (await m.balance())["reserved"] == 0


async def test_spot_stop_waits_until_the_take_profit_has_freed_the_coins():
    async with market(price="60000") as m:
        entry, stop, profit = await bracket(m, SPOT.id)
        await m.move("59980", SPOT)
        shown = await m.show(stop)
        assert (await m.show(entry))["status"] == "filled"
        assert shown["quantity"] == "0.999", "the fee was taken in coins"
        assert (await m.show(profit))["quantity"] == "0.999"
        await m.move("58990", SPOT)
        kinds = await m.types(stop)
        assert kinds[-1] == "filled"
        assert kinds.index("triggered") < kinds.index("released") < kinds.index("submit_started")
        assert (await m.show(profit))["status"] == "cancelled"


async def test_partial_fills_of_the_entry_size_the_exits():
    async with market() as m:
        entry, stop, profit = await bracket(m, price="60000")  # the best bid
        await m.sell_to_the_best_bid("0.4")
        assert (await m.show(entry))["status"] == "partially_filled"
        shown = await m.show(stop)
        assert (shown["quantity"], shown["waits_for"]) == ("0.4", "trigger")
        assert (await m.show(profit))["waits_for"] == "parent"
        await m.move("58990")
        # the entry, hit by the fall, has filled whole before its stop fired: the exit took it all
        assert await m.position() == "0"
        assert (await m.show(entry))["status"] in {"filled", "cancelled"}


async def test_oco_one_fills_the_other_is_cancelled():
    async with market() as m:
        listed = await m.create_list(
            "oco",
            m.body("buy", "1", price="59000"),
            m.body("buy", "1", order_type="stop", stop_price="61000"),
        )
        limit, stop = listed["orders"]
        assert (await m.show(stop))["emulated"] == ["trigger"]
        await m.move("61000")
        assert [(await m.show(one))["status"] for one in (limit, stop)] == ["cancelled", "filled"]
        assert await m.position() == "1"
        assert not m.venue_orders()
        assert (await m.balance())["reserved"] == 0


async def test_oto_child_goes_out_when_the_parent_is_filled():
    async with market() as m:
        listed = await m.create_list("oto", m.body("buy", "1", price="59900"), m.body("buy", "1", price="59000"))
        first, second = listed["orders"]
        assert (await m.show(second))["waits_for"] == "parent"
        await m.move("59890")
        assert [(await m.show(one))["status"] for one in (first, second)] == ["filled", "accepted"]


async def test_cancelling_a_list_ends_all_of_it():
    async with market() as m:
        entry, stop, profit = await bracket(m)
        await m.move("59980")
        await m.user.json("DELETE", f"/order-lists/{entry['list_id']}")
        await m.settle()
        assert [(await m.show(one))["status"] for one in (entry, stop, profit)] == ["filled", "cancelled", "cancelled"]
        assert await m.position() == "1"


@pytest.mark.requirement("P8")
async def test_cancel_all_and_close():
    async with market() as m:
        await m.order("buy", "1")
        resting = await m.order("buy", "1", price="58000")
        held = await m.order("sell", "1", order_type="trailing_stop", trailing={"rule": "percent", "distance": "1"})
        spot = await m.order("buy", "0.5", instrument=SPOT.id)
        assert (await m.show(spot))["status"] == "filled"
        answer = await m.user.json("POST", "/orders/cancel", {"account_id": m.account_id}, idempotency_key="all")
        assert len(answer["orders"]) == 2
        again = await m.user.json("POST", "/orders/cancel", {"account_id": m.account_id}, idempotency_key="all")
        assert again == answer
        await m.settle()
        assert [(await m.show(one))["status"] for one in (resting, held)] == ["cancelled", "cancelled"]
        closed = await m.user.json("POST", "/positions/close", {"account_id": m.account_id}, idempotency_key="close")
        await m.settle()
        assert [(await m.show(one))["status"] for one in closed["orders"]] == ["filled"] * len(closed["orders"])
        assert await m.position() == "0"
