"""A venue takes a trade back: the books are as if it had never been, and nothing is deleted."""

from decimal import Decimal
from typing import Any

import pytest

from patriot.runtime.edge import system_context
from patriot.runtime.users import first_admin
from tests.integration.order_lists.market import Market, market
from tests.support.host import Client

pytestmark = pytest.mark.requirement("B3", "P2", "P22")

REASON = "notice 4711 of the venue"


async def administrator(m: Market) -> Client:
    made = await first_admin(system_context(m.host.runtime, "user-commands"))
    assert made is not None
    username, password = made
    token = await Client(m.host).json("POST", "/auth/token", {"username": username, "password": password})
    return Client(m.host, token["access_token"])


async def trades(m: Market, order: Any) -> list[Any]:
    told = await m.user.json("GET", "/trades")
    return [one for one in told["trades"] if one["order_id"] == order["order_id"]]


async def test_trade_is_taken_out_of_the_books_once():
    async with market() as m:
        admin = await administrator(m)
        before = await m.balance()
        order = await m.order("buy", "1")
        ((trade,), path) = (await trades(m, order), f"/orders/{order['order_id']}/busts")
        body = {"trade_id": trade["trade_id"], "reason": REASON}
        await m.user.json("POST", path, body, 403)
        for _ in range(2):
            await admin.json("POST", path, body, 201)
            await m.settle()
        assert (await m.balance(), await m.position()) == (before, "0")
        shown = await m.show(order)
        assert (shown["status"], shown["filled_quantity"], shown["reason"]) == ("cancelled", "0", REASON)
        assert (await m.types(order))[-2:] == ["filled", "trade_busted"]
        bought, back = sorted(await trades(m, order), key=lambda one: one["side"])
        assert (bought["side"], back["side"], back["trade_id"]) == ("buy", "sell", f"{trade['trade_id']} busted")
        assert Decimal(bought["fee"]) == -Decimal(back["fee"])


async def test_what_comes_after_is_booked_anew():
    async with market() as m:
        admin = await administrator(m)
        first = await m.order("buy", "1")
        await m.move("61000")
        await m.order("buy", "1")
        (trade,) = await trades(m, first)
        body = {"trade_id": trade["trade_id"], "reason": REASON}
        await admin.json("POST", f"/orders/{first['order_id']}/busts", body, 201)
        await m.settle()
        (position,) = (await m.user.json("GET", "/portfolio"))["positions"]
        assert (position["quantity"], position["average_price"]) == ("1", "61000.1")


async def test_trade_that_nobody_booked_cannot_be_taken_back():
    async with market() as m:
        admin = await administrator(m)
        order = await m.order("buy", "1")
        path = f"/orders/{order['order_id']}/busts"
        await admin.json("POST", path, {"trade_id": "nobody's", "reason": REASON}, 404)
        assert "trade_busted" not in await m.types(order)
