"""The facts that an order is judged on: never less than the truth, limits never looser than the platform's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from patriot.domain.risk.context import Limits
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import user_context
from patriot.runtime.embedded import Host
from patriot.runtime.problem import ProblemError
from patriot.runtime.risk import Risk, judge
from patriot.store.api import Row
from schemas.commands import CreateOrder
from tests.support.host import PERPETUAL, SPOT, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue, RestingVenue


@dataclass
class Desk:
    """One user with an account, and what orders of it are judged on."""

    host: Host
    user: Client
    account: UUID
    context: RequestContext

    def order(self, **changes: Any) -> CreateOrder:
        fields = {
            "account_id": self.account,
            "instrument": PERPETUAL.id,
            "side": "buy",
            "quantity": "0.01",
            "price": "60000",
        }
        return CreateOrder.model_validate(fields | changes)

    async def place(self, **changes: Any) -> None:
        await self.user.json("POST", "/orders", self.order(**changes).model_dump(mode="json"), 201)

    async def facts(self, **changes: Any) -> Any:
        facts, _ = await Risk.of(self.context.runtime).facts(self.context, self.order(**changes))
        return facts

    def recount(self) -> None:
        """Let the half second pass after which open orders are counted anew."""
        Risk.of(self.host.runtime)._activity.clear()


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_host() as host:
        host.runtime.venues["paper"] = RestingVenue()
        await define(host.runtime.store, PERPETUAL, SPOT)
        for instrument in (PERPETUAL, SPOT):
            await set_price(host, instrument.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = UUID(await user.paper_account(USDT="100000", BTC="1"))
        owner = UUID((await user.json("GET", "/users/me"))["user_id"])
        yield Desk(host, user, account, user_context(host.runtime, "order-commands", TENANT, owner))


@pytest.mark.requirement("P11")
async def test_open_orders_are_counted_with_those_just_let_through(desk: Desk):
    await desk.place()
    await desk.place(side="sell")
    at_once = await desk.facts()
    await until_idle(desk.host)
    desk.recount()
    counted = await desk.facts()
    for facts in (at_once, counted):
        assert facts.open_orders == 2
        assert facts.open_notional == 600
    assert at_once.orders_last_second == 2


async def test_rate_forgets_after_a_second(desk: Desk):
    activity = Risk.of(desk.host.runtime)._activity
    await desk.facts()
    activity[desk.account].created_at.extend([1.0, 1.5, 2.5])
    assert activity[desk.account].rate(2.4) == 2
    assert activity[desk.account].rate(100) == 0


@pytest.mark.requirement("P11")
async def test_position_and_price_are_the_newest(desk: Desk):
    desk.host.runtime.venues["paper"] = FillingVenue()
    await desk.place()
    await until_idle(desk.host)
    await set_price(desk.host, PERPETUAL.id, "59000", "59001")
    facts = await desk.facts()
    assert facts.position_quantity == Decimal("0.01")
    assert facts.known_price.fair == Decimal("59000.5")
    assert facts.instrument == PERPETUAL


async def test_missing_price_denies(desk: Desk):
    await desk.host.runtime.state.delete(f"price:{PERPETUAL.id}")
    with pytest.raises(ProblemError) as refusal:
        judge(await desk.facts())
    assert (refusal.value.status, refusal.value.code) == (422, "stale_price")


async def platform_limits(desk: Desk, **limits: str) -> None:
    row = {"scope": "platform", "limits": limits, "updated_at": desk.context.now(), "stream_version": 1}
    await desk.context.write([Row("risk_limits", row)])
    Risk.of(desk.host.runtime).forget_limits(desk.account)


@pytest.mark.requirement("P11")
async def test_own_limits_tighten_and_never_loosen_the_platforms(desk: Desk):
    assert (await desk.facts()).limits == Limits()
    await platform_limits(desk, maximum_order_notional="5000")
    assert (await desk.facts()).limits.maximum_order_notional == 5000
    path = f"/risk/limits/{desk.account}"
    await desk.user.json("POST", path, {"maximum_order_notional": "9000", "maximum_open_orders": 3})
    limits = (await desk.facts()).limits
    assert (limits.maximum_order_notional, limits.maximum_open_orders) == (5000, 3)
    await desk.user.json("POST", path, {"maximum_order_notional": "1000"})
    assert (await desk.facts()).limits.maximum_order_notional == 1000


@pytest.mark.requirement("P11")
async def test_order_judged_on_old_limits_fails_in_its_commit(desk: Desk):
    await desk.place()
    scope = f"account:{desk.account}"
    await desk.host.runtime.store.set_guard(desk.context.origin, scope)  # as another process would
    refused = await desk.user.call("POST", "/orders", desk.order().model_dump(mode="json"))
    assert (refused.status, b"limits_changed" in refused.body) == (409, True)
    await desk.place()


@pytest.mark.requirement("P11")
async def test_kill_switch_stops_orders_and_lets_cancels_through(desk: Desk):
    receipt = await desk.user.json("POST", "/orders", desk.order().model_dump(mode="json"), 201)
    await until_idle(desk.host)
    await desk.host.runtime.store.set_guard(desk.context.origin, "platform", halted=True)
    for _ in range(2):
        refused = await desk.user.call("POST", "/orders", desk.order().model_dump(mode="json"))
        assert (refused.status, b"trading_halted" in refused.body) == (409, True)
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    preview = await desk.user.json("POST", "/risk/checks", desk.order().model_dump(mode="json"))
    assert (preview["approved"], preview["code"]) == (False, "kill_switch")


async def test_preview_and_command_agree(desk: Desk):
    for changes in ({}, {"quantity": "0.0101"}, {"price": "90000"}, {"quantity": "50"}, {"instrument": SPOT.id}):
        order = desk.order(**changes).model_dump(mode="json")
        preview = await desk.user.json("POST", "/risk/checks", order)
        answer = await desk.user.call("POST", "/orders", order)
        assert preview["approved"] == (answer.status == 201), (changes, preview, answer.body)
