"""What a private stream tells becomes reports; an end is never told before the fills that came before it."""

from decimal import Decimal
from uuid import UUID

import pytest

from feeds.account_data.breaker import Breaker
from feeds.account_data.desk import Desk
from patriot.domain.venue import OrderRef, OrderState
from patriot.store.api import Query
from schemas.reports import Execution
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

FILL = Execution(
    trade_id="t1",
    price=Decimal(60_000),
    quantity=Decimal("0.001"),
    fee=Decimal("0.03"),
    fee_asset="USDT",
    liquidity="taker",
)


class Told(RestingVenue):
    """Answers a question with the state that the test gives."""

    state: OrderState | None = None

    async def query(self, ref):
        return self.state or await super().query(ref)


@pytest.fixture
async def desk():
    async with running_host(feeds=("account-data", "relay")) as host:
        venue = host.runtime.venues["paper"] = Told()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="1000")
        body = {"account_id": account, "instrument": PERPETUAL.id, "side": "buy", "quantity": "0.002", "price": "60000"}
        receipt = await user.json("POST", "/orders", body, 201)
        await until_idle(host)
        (row,) = await host.runtime.store.find(Query("user_accounts", None, {"id": UUID(account)}))
        desk = Desk(row, venue, host.runtime, Breaker(host.runtime.clock.monotonic))
        ref = OrderRef(UUID(account), PERPETUAL.id, receipt["client_order_id"], "v1")

        async def order() -> dict:
            await until_idle(host)
            return await user.json("GET", f"/orders/{receipt['order_id']}")

        yield desk, venue, ref, order


def ended(ref: OrderRef, *executions: Execution) -> OrderState:
    terms = {"quantity": Decimal("0.002"), "filled_quantity": Decimal("0.001"), "price": Decimal(60_000)}
    return OrderState(ref, "cancelled", "buy", **terms, executions=executions)


@pytest.mark.requirement("P6", "P9")
async def test_end_that_comes_before_its_fills_is_asked_about(desk):
    desk, venue, ref, order = desk
    venue.state = ended(ref, FILL)
    await desk.state(ended(ref))
    told = await order()
    assert (told["status"], told["filled_quantity"], told["reason"]) == ("cancelled", "0.001", "")


@pytest.mark.requirement("P6", "P9")
async def test_end_with_its_fills_is_told_as_it_is(desk):
    desk, venue, ref, order = desk
    venue.state = OrderState(ref, "open", "buy", Decimal("0.002"), Decimal(0), Decimal(60_000))
    await desk.state(ended(ref, FILL))
    told = await order()
    assert (told["status"], told["filled_quantity"]) == ("cancelled", "0.001")


async def test_order_that_is_not_ours_is_left_alone(desk):
    desk, _, ref, order = desk
    await desk.state(ended(OrderRef(ref.account_id, ref.instrument, "web_abc", "v9")))
    assert (await order())["status"] == "accepted"
