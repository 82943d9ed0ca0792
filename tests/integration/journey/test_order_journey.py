from decimal import Decimal

import pytest

from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected
from schemas.reports import Execution
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle


class FillingVenue:
    """Fills every order at once, at its price."""

    def __init__(self):
        self.created = []

    async def create(self, order):
        self.created.append(order)
        execution = Execution(
            trade_id=f"t{len(self.created)}",
            price=order.price,
            quantity=order.quantity,
            fee=Decimal("0.05"),
            fee_asset="USDT",
            liquidity="taker",
        )
        state = OrderState(
            ref=OrderRef(order.account_id, order.instrument, order.client_order_id, "v1"),
            status="filled",
            side=order.side,
            quantity=order.quantity,
            filled_quantity=order.quantity,
            executions=(execution,),
        )
        return Accepted("v1", state)

    async def cancel(self, ref):
        return Rejected("unknown", "no such order")

    async def query(self, ref):
        return NotFound()

    async def close(self):
        pass


@pytest.mark.requirement("P8", "B7")
async def test_order_from_http_to_portfolio():
    async with running_host() as host:
        venue = host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="10000")
        order = {
            "account_id": account,
            "instrument": PERPETUAL.id,
            "side": "buy",
            "order_type": "limit",
            "quantity": "0.01",
            "price": "60000",
        }
        receipt = await user.json("POST", "/orders", order, 201)
        await until_idle(host)
        shown = await user.json("GET", f"/orders/{receipt['order_id']}")
        assert shown["status"] == "filled"
        listed = await user.json("GET", "/orders")
        assert listed["orders"][0] == shown
        portfolio = await user.json("GET", "/portfolio")
        assert portfolio["positions"][0]["quantity"] == "0.01"
        events = await user.json("GET", f"/events/{receipt['order_id']}")
        assert [event["type"] for event in events["events"]] == [
            "order.created",
            "order.routed",
            "order.submit_started",
            "order.accepted",
            "order.filled",
        ]
        assert len(venue.created) == 1
