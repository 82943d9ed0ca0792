"""The facts that an order is judged on: never less than the truth, limits never looser than the platform's."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from patriot.domain.risk.limits import Limits
from patriot.runtime.context import RequestContext
from patriot.runtime.edge import user_context
from patriot.runtime.embedded import Host
from patriot.runtime.problem import ProblemError
from patriot.runtime.risk import Activity, Risk, judge
from patriot.security.roles import Identity, Role
from patriot.store.api import Commit, GuardChange
from schemas.commands import CreateOrder
from schemas.risk_events import RiskDenied, RiskEvent, RiskLimitsChanged
from tests.support.host import PERPETUAL, SPOT, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue, RestingVenue
from tests.unit.domain.examples import command


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

    def client(self, role: Role, tenant: UUID = TENANT) -> Client:
        """A manager or administrator."""
        identity = Identity.of(UUID(int=99), tenant, role, "test")
        runtime = self.host.runtime
        return Client(self.host, runtime.access._users.issue(identity, runtime.clock.now()))

    async def refused(self, **changes: Any) -> tuple[int, str]:
        answer = await self.user.call("POST", "/orders", self.order(**changes).model_dump(mode="json"))
        return answer.status, orjson.loads(answer.body)["code"]

    async def events(self, kind: type[RiskEvent]) -> list[Any]:
        found = [event async for event in self.host.runtime.store.read(kinds=["risk"]) if event.type == kind.TYPE]
        return [kind.model_validate_json(event.data) for event in found]


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
async def test_orders_and_cancels_of_the_last_second_are_counted(desk: Desk):
    await desk.place()
    receipt = await desk.user.json("POST", "/orders", desk.order(quantity="0.02").model_dump(mode="json"), 201)
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    facts = await desk.facts()
    assert (facts.orders_last_second, facts.cancels_last_second) == (2, 1)


@pytest.mark.requirement("P11", "P20")
async def test_one_of_several_processes_lets_its_share_of_the_rates_through(desk: Desk):
    desk.host.runtime.settings = desk.host.runtime.settings.model_copy(update={"replicas": 4})
    wanted = {"maximum_orders_per_second": 9, "maximum_cancels_per_second": 2}
    await desk.user.json("POST", f"/risk/limits/{desk.account}", wanted)
    limits = (await desk.facts()).limits
    assert (limits.maximum_orders_per_second, limits.maximum_cancels_per_second) == (3, 1)


async def test_activity_forgets_after_a_second():
    activity, order = Activity(), command()
    for at in (1.0, 1.5, 2.5):
        activity.add(order, at, 10)
        activity.cancels.append(at)
    assert (activity.orders_last_second(2.4), activity.cancels_last_second(2.4)) == (2, 2)
    assert activity.since_same(order, 3.0) == 0.5
    assert activity.since_same(command(quantity="11"), 3.0) is None
    assert (activity.orders_last_second(100), activity.cancels_last_second(100)) == (0, 0)


@pytest.mark.requirement("P11")
async def test_position_and_price_are_the_newest(desk: Desk):
    desk.host.runtime.venues["paper"] = FillingVenue()
    await desk.place()
    await until_idle(desk.host)
    await set_price(desk.host, PERPETUAL.id, "59000", "59001")
    facts = await desk.facts(side="sell", reduce_only=True)
    assert facts.position_quantity == Decimal("0.01")
    assert facts.known_price.fair == Decimal("59000.5")
    assert facts.instrument == PERPETUAL


async def test_missing_price_denies(desk: Desk):
    await desk.host.runtime.state.delete(f"price:{PERPETUAL.id}")
    with pytest.raises(ProblemError) as refusal:
        judge(await desk.facts())
    assert (refusal.value.status, refusal.value.code) == (503, "stale_price")


@pytest.mark.requirement("P11")
async def test_five_levels_bind_together_and_the_most_restrictive_wins(desk: Desk):
    assert (await desk.facts()).limits == Limits()
    manager, admin, limit = desk.client(Role.FUND_MANAGER), desk.client(Role.ADMIN), "maximum_order_notional"
    owner = desk.context.user.user_id
    await admin.json("POST", "/risk/platform-limits", {limit: "9000"})
    await manager.json("POST", "/risk/tenant-limits/tenant", {limit: "8000"})
    await manager.json("POST", f"/risk/tenant-limits/user:{owner}", {limit: "7000"})
    await manager.json("POST", f"/risk/tenant-limits/account:{desk.account}", {limit: "6000"})
    await manager.json("POST", "/risk/tenant-limits/strategy:ema", {limit: "5000"})
    assert (await desk.facts()).limits.maximum_order_notional == 6000
    assert (await desk.facts(strategy_id="ema")).limits.maximum_order_notional == 5000
    for scope in (str(desk.account), f"account:{desk.account}", "user", "strategy:ema"):  # the owner cannot loosen
        await desk.user.json("POST", f"/risk/limits/{scope}", {limit: "1000000", "maximum_open_orders": 3})
    limits = (await desk.facts()).limits
    assert (limits.maximum_order_notional, limits.maximum_open_orders) == (6000, 3)
    assert len(await desk.events(RiskLimitsChanged)) == 8


@pytest.mark.requirement("P11", "P14")
async def test_nobody_changes_a_level_above_their_own(desk: Desk):
    stranger, other_admin = desk.client(Role.FUND_MANAGER, UUID(int=5)), desk.client(Role.ADMIN, UUID(int=5))
    account, body = f"account:{desk.account}", {"maximum_open_orders": 1}
    assert (await desk.user.call("POST", "/risk/platform-limits", body)).status == 403
    assert (await desk.user.call("POST", f"/risk/tenant-limits/{account}", body)).status == 403
    assert (await stranger.call("POST", f"/risk/tenant-limits/{account}", body)).status == 404
    assert (await stranger.call("POST", f"/risk/tenant-halts/user:{UUID(int=3)}", {"reason": "x"})).status == 404
    assert (await other_admin.call("POST", "/risk/platform-halt", {"reason": "x"})).status == 403
    assert (await desk.user.call("POST", "/risk/limits/platform", body)).status == 422
    assert not await desk.events(RiskLimitsChanged)
    assert not await desk.host.runtime.store.halted()


@pytest.mark.requirement("P11")
async def test_changed_limit_binds_the_next_order_though_it_was_judged_before(desk: Desk):
    """Another process changes the limits; this one still has the old ones in its cache."""
    await desk.place()
    scope = f"account:{desk.account}"
    change = GuardChange(scope, limits={"manager": {"maximum_order_notional": "1"}})
    await desk.host.runtime.store.commit(Commit(desk.context.origin, desk.context.now(), raises=[change]))
    assert await desk.refused() == (422, "order_notional")
    await desk.host.runtime.store.commit(Commit(desk.context.origin, desk.context.now(), raises=[GuardChange(scope)]))
    assert await desk.refused() == (422, "order_notional")


@pytest.mark.requirement("P11")
@pytest.mark.parametrize("scope", ["account", "user", "strategy", "tenant", "platform"])
async def test_kill_switch_stops_orders_and_lets_cancels_through(desk: Desk, scope: str):
    receipt = await desk.user.json("POST", "/orders", desk.order(strategy_id="s").model_dump(mode="json"), 201)
    await until_idle(desk.host)
    who, path = {
        "account": (desk.user, f"/risk/halts/{desk.account}"),
        "user": (desk.user, "/risk/halts/user"),
        "strategy": (desk.user, "/risk/halts/strategy:s"),
        "tenant": (desk.client(Role.FUND_MANAGER), "/risk/tenant-halts/tenant"),
        "platform": (desk.client(Role.ADMIN), "/risk/platform-halt"),
    }[scope]
    level = await who.json("POST", path, {"reason": "test"})
    assert level["halted"]
    for _ in range(2):
        assert await desk.refused(strategy_id="s") == (409, "trading_halted")
    if scope == "strategy":
        await desk.place(strategy_id="another")
    preview = await desk.user.json("POST", "/risk/checks", desk.order(strategy_id="s").model_dump(mode="json"))
    assert (preview["approved"], preview["code"]) == (False, "kill_switch")
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    await who.json("DELETE", path + "?reason=over")
    await desk.place(strategy_id="s")
    assert [event.code for event in await desk.events(RiskDenied)] == ["kill_switch", "kill_switch"]


@pytest.mark.requirement("P11")
async def test_what_a_manager_halts_the_owner_does_not_resume(desk: Desk):
    path = f"account:{desk.account}"
    await desk.client(Role.FUND_MANAGER).json("POST", f"/risk/tenant-halts/{path}", {"reason": "odd orders"})
    refused = await desk.user.call("DELETE", f"/risk/halts/{path}")
    assert (refused.status, b"odd orders" in refused.body) == (409, True)
    assert await desk.refused() == (409, "trading_halted")


@pytest.mark.requirement("P11")
async def test_open_orders_and_position_are_bounded_by_the_commit_and_given_back(desk: Desk):
    limits = {"maximum_open_orders": 2, "maximum_position_notional": "1550"}
    await desk.user.json("POST", f"/risk/limits/{desk.account}", limits)
    receipt = await desk.user.json("POST", "/orders", desk.order().model_dump(mode="json"), 201)
    await desk.place(quantity="0.015")
    assert await desk.refused(quantity="0.001") == (422, "open_orders")
    await until_idle(desk.host)
    await desk.user.json("DELETE", f"/orders/{receipt['order_id']}")
    await until_idle(desk.host)
    assert await desk.refused(quantity="0.011") == (422, "position_notional")
    await desk.place(quantity="0.009")
    reasons = [event.reason for event in await desk.events(RiskDenied)]
    assert reasons[0] == "has 2 open orders, the limit is 2"
    assert reasons[1].startswith("the position could come to 1560.0013 USDT, the limit is 1550")


@pytest.mark.requirement("P11", "P22")
async def test_every_refusal_leaves_an_event_that_says_why(desk: Desk):
    for changes in ({"price": "60000.01"}, {"quantity": "5"}, {"price": "90000"}, {"reduce_only": True}):
        await desk.refused(**changes)
    denied = await desk.events(RiskDenied)
    assert [event.code for event in denied] == ["price_tick", "buying_power", "price_collar", "reduce_only"]
    assert {event.account_id for event in denied} == {desk.account}
    assert denied[1].reason.startswith("needs 300150 USDT, 100000 is available")


@pytest.mark.requirement("A5")
async def test_repeated_refusal_is_one_event(desk: Desk):
    order = desk.order(price="90000").model_dump(mode="json")
    answers = [await desk.user.call("POST", "/orders", order, Idempotency_Key="k1") for _ in range(3)]
    assert {answer.status for answer in answers} == {422}
    assert len(await desk.events(RiskDenied)) == 1


@pytest.mark.requirement("P11")
async def test_optional_rules_are_asked_where_a_level_says_so(desk: Desk):
    path = f"/risk/limits/{desk.account}"
    await desk.place(price="59000")
    await until_idle(desk.host)
    for limits, order, code in (
        ({"duplicate_seconds": 60}, {"price": "59000"}, "duplicate_order"),
        ({"prevent_self_trade": True}, {"side": "sell", "price": "59000", "quantity": "0.02"}, "self_trade"),
        ({"reduce_only": True}, {}, "only_reducing"),
        ({"blocked_instruments": [PERPETUAL.id]}, {}, "instrument_allowed"),
    ):
        await desk.user.json("POST", path, limits)
        assert await desk.refused(**order) == (422, code)
    await desk.user.json("POST", path, {"reduce_only": True})
    await desk.place(instrument=SPOT.id, side="sell")


async def test_preview_and_command_agree(desk: Desk):
    for changes in ({}, {"quantity": "0.0101"}, {"price": "90000"}, {"quantity": "50"}, {"instrument": SPOT.id}):
        order = desk.order(**changes).model_dump(mode="json")
        preview = await desk.user.json("POST", "/risk/checks", order)
        answer = await desk.user.call("POST", "/orders", order)
        assert preview["approved"] == (answer.status == 201), (changes, preview, answer.body)
