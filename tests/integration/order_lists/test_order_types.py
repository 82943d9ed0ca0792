"""Every order type over the built-in venue: native where the venue has it, else held by the platform, and told."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.integration.order_lists.market import market
from tests.support.host import SPOT

pytestmark = pytest.mark.requirement("P9")


async def test_native_stop_rests_at_the_venue_and_fires_there():
    async with market() as m:
        order = await m.order("sell", "1", order_type="stop", stop_price="59000")
        assert order["emulated"] == []
        assert len(m.venue_orders()) == 1
        await m.move("58990")
        assert (await m.show(order))["status"] == "filled"
        assert "triggered" not in await m.types(order)


async def test_native_trailing_stop_follows_and_fires_at_the_venue_alone():
    async with market() as m:
        await m.order("buy", "1")
        trailing = {"rule": "percent", "distance": "1.5"}
        order = await m.order("sell", "1", order_type="trailing_stop", trailing=trailing, reduce_only=True)
        assert order["emulated"] == []
        assert (await m.show(order))["status"] == "accepted"
        assert len(m.venue_orders()) == 1
        assert not len(m.host.runtime.local["triggers"].watch), "nobody else watches it"
        for price in ("61000", "62000", "61500", "61071"):
            await m.move(price)
        assert (await m.show(order))["status"] == "accepted"
        await m.move("61070")
        assert await m.types(order) == ["created", "routed", "submit_started", "accepted", "filled"]
        assert await m.position() == "0"


async def test_native_trailing_stop_waits_for_its_activation_price_and_is_cancelled_at_the_venue():
    async with market() as m:
        before = await m.balance()
        trailing = {"rule": "percent", "distance": "1", "activation_price": "61000"}
        order = await m.order("sell", "1", order_type="trailing_stop", trailing=trailing)
        await m.move("60900")
        await m.move("60200")
        assert (await m.show(order))["status"] == "accepted"
        await m.user.json("DELETE", f"/orders/{order['order_id']}")
        await m.settle()
        assert (await m.show(order))["status"] == "cancelled"
        assert await m.balance() == before
        await m.move("61000")
        await m.move("58000")
        assert (await m.types(order))[-1] == "cancelled"


async def test_native_trailing_stop_whose_activation_is_passed_is_refused_with_the_venues_word():
    async with market() as m:
        trailing = {"rule": "percent", "distance": "1", "activation_price": "59000"}
        order = await m.order("sell", "1", order_type="trailing_stop", trailing=trailing)
        shown = await m.show(order)
        assert (shown["status"], (await m.balance())["reserved"]) == ("rejected", 0)
        assert not m.venue_orders()


@pytest.mark.parametrize(
    ("trailing", "moves", "stop"),
    [
        ({"rule": "percent", "distance": "1.55"}, ("61000", "62000", "61500"), "61039"),
        ({"rule": "offset", "distance": "500"}, ("61000", "61000.1", "60600"), "60500.1"),
        ({"rule": "step", "distance": "500", "step": "250"}, ("61100", "60700"), "60500"),
        ({"rule": "break_even", "distance": "1000", "entry_price": "60000"}, ("61000", "60500"), "60000"),
        ({"rule": "80/80/50", "entry_price": "30000"}, ("54000.1", "54000.1"), "54000"),
        ({"rule": "80/80/50", "entry_price": "40000"}, ("60000.1", "61000"), "60000"),
    ],
)
async def test_trailing_stop_of_a_long_position(trailing: dict[str, str], moves: tuple[str, ...], stop: str):
    async with market() as m:
        await m.order("buy", "1")
        order = await m.order("sell", "1", order_type="trailing_stop", trailing=trailing, reduce_only=True)
        assert order["emulated"] == ["trigger"]
        assert not m.venue_orders()
        for price in moves:
            await m.move(price)
        assert (await m.show(order))["waits_for"] == "trigger"
        await m.move(stop)
        shown = await m.show(order)
        assert (shown["status"], shown["stop_price"]) == ("filled", stop)
        assert await m.position() == "0"
        kinds = await m.types(order)
        assert kinds.count("triggered") == 1
        assert kinds.index("triggered") < kinds.index("routed") < kinds.index("submit_started")


async def test_trailing_stop_of_a_short_position_is_mirrored():
    async with market() as m:
        await m.order("sell", "1")
        trailing = {"rule": "80/80/50", "entry_price": "130000"}
        order = await m.order("buy", "1", order_type="trailing_stop", trailing=trailing, reduce_only=True)
        await m.move("64999.9")
        await m.move("60000")
        assert (await m.show(order))["status"] == "pending"
        await m.move("65000")
        assert (await m.show(order))["status"] == "filled"
        assert await m.position() == "0"


async def test_trailing_stop_waits_for_its_activation_price():
    async with market() as m:
        trailing = {"rule": "offset", "distance": "100", "activation_price": "61000"}
        order = await m.order("sell", "1", order_type="trailing_stop", trailing=trailing)
        await m.move("60500")
        await m.move("60300")
        assert (await m.show(order))["status"] == "pending"
        await m.move("61000")
        await m.move("60900")
        assert (await m.show(order))["status"] == "filled"


async def test_a_held_order_is_cancelled_without_the_venue_and_gives_back_what_it_held():
    async with market() as m:
        before = await m.balance()
        order = await m.order("sell", "1", order_type="trailing_stop", trailing={"rule": "offset", "distance": "600"})
        assert (await m.balance())["reserved"] > before["reserved"]
        await m.user.json("DELETE", f"/orders/{order['order_id']}")
        await m.settle()
        assert (await m.show(order))["status"] == "cancelled"
        assert await m.balance() == before
        await m.move("58000")
        assert "triggered" not in await m.types(order)


async def test_iceberg_goes_out_in_slices_one_after_the_other():
    async with market() as m:
        order = await m.order("buy", "0.7", price="60000", display_quantity="0.3")
        assert order["emulated"] == ["iceberg"]
        for quantity in ("0.3", "0.3", "0.1"):
            assert [str(one.quantity) for one in m.venue_orders()] == [f"{quantity}00"]
            await m.sell_to_the_best_bid(quantity)
        listed = await m.user.json("GET", f"/orders?list_id={order['list_id']}")
        assert sorted((one["quantity"], one["status"]) for one in listed["orders"]) == [
            ("0.1", "filled"),
            ("0.3", "filled"),
            ("0.3", "filled"),
        ]
        assert await m.position() == "0.7"
        assert (await m.balance())["reserved"] == 0


async def test_iceberg_asked_for_again_under_its_key_is_answered_alike():
    async with market() as m:
        body = m.body("buy", "0.7", price="60000", display_quantity="0.3")
        first = await m.user.json("POST", "/orders", body, 201, idempotency_key="once")
        assert await m.user.json("POST", "/orders", body, 201, idempotency_key="once") == first


async def test_native_iceberg_is_one_order_of_which_the_public_sees_a_part():
    async with market() as m:
        wish = {"price": "60000", "display_quantity": "0.3", "instrument": SPOT.id}  # alone at the best bid
        order = await m.order("buy", "0.7", **wish)
        assert (order["emulated"], order["list_id"]) == ([], None)
        assert SPOT.quantity_of(m.hall().quote(SPOT.id).bid_quantity) == Decimal("0.3")
        await m.sell_to_the_best_bid("0.4", SPOT)
        assert SPOT.quantity_of(m.hall().quote(SPOT.id).bid_quantity) == Decimal("0.2")
        shown = await m.show(order)
        assert (shown["status"], shown["filled_quantity"]) == ("partially_filled", "0.4")
        kinds = await m.types(order)
        assert kinds[:4] == ["created", "routed", "submit_started", "accepted"]
        assert kinds.count("submit_started") == 1
        await m.user.json("DELETE", f"/orders/{order['order_id']}")
        await m.settle()
        assert ((await m.show(order))["status"], (await m.balance())["reserved"]) == ("cancelled", 0)
        assert not m.venue_orders()


async def test_good_till_date_on_spot_is_kept_by_the_platform():
    async with market() as m:
        when = (m.host.runtime.clock.now() + timedelta(seconds=1)).isoformat()
        body = {"price": "59000", "time_in_force": "GTD", "expire_at": when, "instrument": SPOT.id}
        order = await m.order("buy", "0.1", **body)
        assert order["emulated"] == ["expiry"]
        assert len(m.venue_orders()) == 1
        await m.until(lambda: not m.venue_orders())
        await m.settle()
        shown = await m.show(order)
        assert (shown["status"], shown["reason"]) == ("cancelled", "good till its date")
