"""Kill switches on a real PostgreSQL while orders flow; and a gate that cannot answer. Prints its figures."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson
import pytest
from structlog.testing import capture_logs

from patriot.domain.risk.evaluate import discovered
from patriot.runtime import risk
from patriot.runtime.embedded import Host
from patriot.security.roles import Identity, Role
from patriot.store.api import Store, StoreUnavailable
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

LIMITS = {"maximum_open_orders": 100_000, "maximum_orders_per_second": 100_000}
STOP_SECONDS_MAX = 0.25
DEAD_GATE_ORDERS = 1_000


class Watched(RestingVenue):
    """Notes when an order arrives."""

    def __init__(self) -> None:
        super().__init__()
        self.at: list[float] = []

    async def create(self, order: Any) -> Any:
        self.at.append(time.monotonic())
        return await super().create(order)


@dataclass
class Desk:
    host: Host
    user: Client
    account: str
    venue: Watched
    taken_at: list[float] = field(default_factory=list)
    refused: set[bytes] = field(default_factory=set)

    def order(self) -> dict[str, Any]:
        return {
            "account_id": self.account,
            "instrument": PERPETUAL.id,
            "side": "buy",
            "quantity": "0.001",
            "price": "59000",
            "strategy_id": "s",
        }

    async def trade(self, until: float = float("inf")) -> None:
        """One client that never rests."""
        while time.monotonic() < until:
            answer = await self.user.call("POST", "/orders", self.order())
            if answer.status == 201:
                self.taken_at.append(time.monotonic())
            else:
                self.refused.add(orjson.loads(answer.body)["code"])
                await asyncio.sleep(0.02)

    async def more_taken(self) -> None:
        taken = len(self.taken_at)
        async with asyncio.timeout(10):
            while len(self.taken_at) < taken + 8:
                await asyncio.sleep(0.01)

    def client(self, role: Role) -> Client:
        identity = Identity.of(UUID(int=99), TENANT, role, "test")
        runtime = self.host.runtime
        return Client(self.host, runtime.access._users.issue(identity, runtime.clock.now()))


@asynccontextmanager
async def make_desk(store: Store | None = None) -> AsyncIterator[Desk]:
    async with running_host(store) as host:
        host.runtime.venues["paper"] = venue = Watched()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="100000000")
        await user.json("POST", f"/risk/limits/{account}", LIMITS)
        yield Desk(host, user, account, venue)


@pytest.mark.postgres
@pytest.mark.requirement("P11")
async def test_orders_stop_within_a_quarter_of_a_second_and_cancels_pass(postgres_store: Store):
    """By each level in turn, while four clients trade: nothing is taken after the answer, nothing sent soon after."""
    async with make_desk(postgres_store) as desk:
        switches = {
            "account": (desk.user, f"/risk/halts/{desk.account}"),
            "user": (desk.user, "/risk/halts/user"),
            "strategy": (desk.user, "/risk/halts/strategy:s"),
            "tenant": (desk.client(Role.FUND_MANAGER), "/risk/tenant-halts/tenant"),
            "platform": (desk.client(Role.ADMIN), "/risk/platform-halt"),
        }
        for name, (who, path) in switches.items():
            traders = [asyncio.create_task(desk.trade(time.monotonic() + 1.2)) for _ in range(4)]
            await asyncio.sleep(0.4)
            asked = time.monotonic()
            await who.json("POST", path, {"reason": "test"})
            answered = time.monotonic()
            await asyncio.gather(*traders)
            stopped_taking, stopped_sending = max(desk.taken_at) - asked, max(desk.venue.at) - asked
            print(
                f"kill {name}: answered {1000 * (answered - asked):.0f} ms, last order taken "
                f"{1000 * stopped_taking:.0f} ms, last sent {1000 * stopped_sending:.0f} ms after it was asked for"
            )
            assert max(stopped_taking, stopped_sending) <= STOP_SECONDS_MAX
            assert desk.refused == {"trading_halted"}
            resting = (await desk.user.json("GET", "/orders?status=accepted&limit=5"))["orders"]
            for order in resting:
                await desk.user.json("DELETE", f"/orders/{order['order_id']}")
            await until_idle(desk.host, 20)
            for order in resting:
                assert (await desk.user.json("GET", f"/orders/{order['order_id']}"))["status"] == "cancelled"
            assert resting, "the test must have cancelled something"
            await who.json("DELETE", path)


@pytest.mark.postgres
@pytest.mark.requirement("P12", "P11")
async def test_nothing_of_a_strategy_is_placed_after_its_pause_its_stop_or_its_assignment(postgres_store: Store):
    """While four clients trade in its name, as a feed does that has not heard of it yet: the log tells."""
    async with make_desk(postgres_store) as desk:
        parameters = {"kind": "ema_cross", "name": "s", "instruments": [PERPETUAL.id], "start": True}
        told = await desk.user.json("POST", "/strategies", {**parameters, "account_id": desk.account}, 201)
        path, account = f"/strategies/{told['strategy_id']}", {"account_id": desk.account}
        traders = [asyncio.create_task(desk.trade()) for _ in range(4)]
        for method, step, method_back, back, body in (
            ("POST", "/pause", "POST", "/start", None),
            ("POST", "/stop", "POST", "/start", None),
            ("DELETE", f"/assignments/{desk.account}", "POST", "/assignments", account),
        ):
            await desk.more_taken()
            await desk.user.json(method, path + step)
            await asyncio.sleep(0.1)
            await desk.user.json(method_back, path + back, body, 201 if body else 200)
        await desk.more_taken()
        for trader in traders:
            trader.cancel()
        await asyncio.gather(*traders, return_exceptions=True)
        await until_idle(desk.host, 20)
        log = [event.type async for event in postgres_store.read()]
        for begin, end in (("paused", "started"), ("stopped", "started"), ("unassigned", "assigned")):
            between = log[log.index(f"strategy.{begin}") :]
            assert "order.created" not in between[: between.index(f"strategy.{end}")]
        assert desk.refused == {"trading_halted"}


def no_guards(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise StoreUnavailable("gone")

    risk.Risk.of(desk.host.runtime).forget_all_limits()
    patch.setattr(desk.host.runtime.store, "guards", gone)


def no_prices(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise ConnectionError("gone")

    patch.setattr(desk.host.runtime.state, "get", gone)


def slow_prices(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    async def late(*_: object) -> None:
        raise TimeoutError

    patch.setattr(desk.host.runtime.state, "get", late)


def broken_rule(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    patch.setattr(risk, "evaluate", broken)


def no_commit(desk: Desk, patch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object) -> None:
        raise StoreUnavailable("gone")

    patch.setattr(desk.host.runtime.store, "commit", gone)


DEATHS = [no_guards, no_prices, slow_prices, broken_rule, no_commit]


@pytest.mark.requirement("P11", "B12")
async def test_dead_gate_fails_closed(monkeypatch: pytest.MonkeyPatch):
    """Whatever part of the gate is gone: every order is refused, and nothing is written."""
    assert discovered()
    async with make_desk() as desk:
        await desk.user.json("POST", "/orders", desk.order(), 201)
        await until_idle(desk.host)
        refused = 0
        for number in range(DEAD_GATE_ORDERS):
            with monkeypatch.context() as patch, capture_logs():
                DEATHS[number % len(DEATHS)](desk, patch)
                answer = await desk.user.call("POST", "/orders", desk.order())
                refused += answer.status in {500, 503}
                assert answer.status != 201, DEATHS[number % len(DEATHS)].__name__
        await until_idle(desk.host)
        created = [event async for event in desk.host.runtime.store.read() if event.type == "order.created"]
        print(f"gate dead in {len(DEATHS)} ways: {refused}/{DEAD_GATE_ORDERS} refused, {len(created) - 1} written")
        assert (refused, len(created), len(desk.venue.created)) == (DEAD_GATE_ORDERS, 1, 1)
        await desk.user.json("POST", "/orders", desk.order(), 201)
