"""Accounts are watched: figures told, thresholds acted upon, positions closed; isolated by owner and tenant."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from functions.risk_checks.watch import watch
from patriot.runtime.edge import system_context
from patriot.runtime.embedded import Host
from patriot.security.roles import Identity, Role
from patriot.store.api import PUBLIC_TENANT, Commit, Origin, Row
from patriot.telemetry.metrics import metrics
from schemas.risk_events import RiskAlertCleared, RiskAlertRaised, RiskEvent
from tests.support.host import PERPETUAL, TENANT, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue


@dataclass
class Desk:
    host: Host
    user: Client
    account: str

    async def look(self) -> None:
        """One look of the watch, on fresh figures."""
        self.host.runtime.local.pop("standings", None)
        await watch(system_context(self.host.runtime, "risk-checks"))
        await until_idle(self.host)
        self.host.runtime.local.pop("standings", None)

    async def price(self, bid: str) -> None:
        await set_price(self.host, PERPETUAL.id, bid, bid)

    async def buy(self, quantity: str, status: int = 201) -> Any:
        price = (await self.user.json("GET", f"/prices?instrument={PERPETUAL.id}"))["prices"][0]["ask"]
        order = {"account_id": self.account, "instrument": PERPETUAL.id, "side": "buy", "quantity": quantity}
        answer = await self.user.json("POST", "/orders", {**order, "price": price}, status)
        await until_idle(self.host)
        return answer

    async def events(self, kind: type[RiskEvent]) -> list[Any]:
        found = [event async for event in self.host.runtime.store.read(kinds=["risk"]) if event.type == kind.TYPE]
        return [kind.model_validate_json(event.data) for event in found]

    async def standing(self) -> Any:
        return await self.user.json("GET", f"/risk/accounts/{self.account}")

    async def limit(self, **limits: Any) -> None:
        await self.user.json("POST", f"/risk/limits/{self.account}", limits)


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with running_host() as host:
        host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000")
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="10000")
        made = Desk(host, user, account)
        await made.look()
        yield made


def threshold(metric: str, limit: str, action: str) -> dict[str, Any]:
    return {"thresholds": [{"metric": metric, "limit": limit, "action": action}]}


@pytest.mark.requirement("P11")
async def test_standing_shows_exposure_leverage_and_stress(desk: Desk):
    await desk.buy("0.1")
    await desk.price("66000")
    await desk.look()
    shown = await desk.standing()
    assert Decimal(shown["equity"]) == Decimal(10600) - Decimal("0.05")  # the venue's fee
    assert shown["exposure_by_asset"] == {"BTC": "6600"}
    assert shown["exposure_by_venue"] == {"BINANCE": "6600"}
    assert shown["exposure_by_strategy"] == {"": "6600"}
    assert Decimal(shown["figures"]["leverage"]) == pytest.approx(Decimal("0.6226"), abs=Decimal("0.0001"))
    assert Decimal(shown["figures"]["stress_loss"]) == Decimal(6600) * Decimal("0.5132")
    assert {one["scenario"] for one in shown["stress"]} >= {"hash war", "bank run"}
    assert shown["value_at_risk"] == []  # there is no history of prices
    assert (told("equity"), told("exposure"), told("day_result")) == (10599.95, 6600, 599.95)
    assert metrics.registry.get_sample_value("open_exposures", {"service": "risk-checks"}) == 1


def told(measure: str) -> float | None:
    return metrics.registry.get_sample_value("accounts_worth", {"measure": measure, "currency": "USDT"})


@pytest.mark.requirement("P11")
async def test_daily_loss_and_drawdown_close_the_gate_and_deposits_are_no_profit(desk: Desk):
    await desk.limit(maximum_daily_loss="500", maximum_drawdown="0.2")
    await desk.buy("0.1")
    await desk.price("57000")  # 300 are lost
    await desk.look()
    await desk.buy("0.001")
    await desk.user.json("POST", f"/accounts/{desk.account}/funds", {"asset": "USDT", "amount": "5000"}, 201)
    await desk.price("54000")  # 600
    await desk.look()
    figures = (await desk.standing())["figures"]
    assert Decimal(figures["daily_loss"]) == pytest.approx(Decimal(603), abs=1)
    refused = await desk.buy("0.001", 422)
    assert (refused["code"], refused["detail"][:14]) == ("daily_loss", "has lost 603.1")
    sell = {
        "account_id": desk.account,
        "instrument": PERPETUAL.id,
        "side": "sell",
        "quantity": "0.05",
        "price": "54000",
    }
    await desk.user.json("POST", "/orders", sell, 201)


@pytest.mark.requirement("P11", "P22")
async def test_alert_is_raised_once_and_cleared_once(desk: Desk):
    await desk.limit(**threshold("leverage", "0.5", "warn"))
    await desk.buy("0.1")
    for _ in range(3):
        await desk.look()
    (alert,) = await desk.events(RiskAlertRaised)
    assert (alert.metric, alert.limit, alert.action) == ("leverage", Decimal("0.5"), "warn")
    assert (await desk.user.json("GET", "/risk/alerts"))["alerts"][0]["metric"] == "leverage"
    await desk.buy("0.01")  # a warning stops nothing
    await desk.user.json("POST", f"/accounts/{desk.account}/funds", {"asset": "USDT", "amount": "9000"}, 201)
    await desk.look()
    assert len(await desk.events(RiskAlertCleared)) == 1
    assert (await desk.user.json("GET", "/risk/alerts"))["alerts"] == []


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(("action", "code"), [("block", "trading_halted"), ("reduce_only", "only_reducing")])
async def test_action_stops_new_orders_until_somebody_resumes(desk: Desk, action: str, code: str):
    await desk.limit(**threshold("drawdown", "0.05", action))
    await desk.buy("0.1")
    await desk.price("54000")
    await desk.look()
    refused = await desk.buy("0.001", 409 if action == "block" else 422)
    assert refused["code"] == code
    await desk.price("60000")
    await desk.look()
    await desk.buy("0.001", 409 if action == "block" else 422)
    if action == "block":
        await desk.user.json("DELETE", f"/risk/halts/{desk.account}")
    else:
        await desk.limit(**threshold("drawdown", "0.05", action))
    await desk.buy("0.001")


@pytest.mark.requirement("P11")
async def test_flatten_closes_what_is_open(desk: Desk):
    await desk.limit(**threshold("drawdown", "0.05", "flatten"))
    await desk.buy("0.1")
    await desk.price("54000")
    for _ in range(2):
        await desk.look()
    positions = (await desk.user.json("GET", "/portfolio"))["positions"]
    assert [one["quantity"] for one in positions] == ["0"]
    await desk.buy("0.001", 422)


@pytest.mark.requirement("P11")
async def test_value_at_risk_from_daily_bars(desk: Desk):
    generator = np.random.default_rng(1)
    closes = 60000 * np.cumprod(1 + generator.normal(0, 0.02, 200))
    start = datetime(2026, 1, 1, tzinfo=UTC)
    rows = [
        Row(
            "ohlc",
            {
                "time": start + timedelta(days=day),
                "instrument": PERPETUAL.id,
                "interval": "1d",
                **{name: Decimal(str(round(close, 2))) for name in ("open", "high", "low", "close")},
            },
        )
        for day, close in enumerate(closes)
    ]
    origin = Origin(PUBLIC_TENANT, "service:test", "req_1_00000000")
    await desk.limit(**threshold("value_at_risk", "100", "warn"))
    await desk.buy("0.1")
    await desk.host.runtime.store.commit(Commit(origin, start, rows=rows[:30]))
    short = await desk.standing()
    assert (short["value_at_risk"], short["history_days"], short["history_days_needed"]) == ([], {"BTC": 30}, 31)
    await desk.host.runtime.store.commit(Commit(origin, start, rows=rows[30:]))
    await desk.look()
    shown = {
        (one["method"], one["confidence"], one["days"]): Decimal(one["value_at_risk"])
        for one in (await desk.standing())["value_at_risk"]
    }
    assert len(shown) == 12
    backtests = (await desk.standing())["backtests"]
    assert [(one["confidence"], one["days"]) for one in backtests] == [("0.95", 100), ("0.99", 100)]
    assert all(Decimal(one["kupiec_p"]) > Decimal("0.01") for one in backtests), "the history is normal"
    for method in ("historical", "parametric", "monte_carlo"):
        assert 150 < shown[method, "0.95", 1] < 250  # 1.64 deviations of 2 % of 6000
        assert shown[method, "0.99", 10] > 2.5 * float(shown[method, "0.99", 1])
    assert [alert.metric for alert in await desk.events(RiskAlertRaised)] == ["value_at_risk"]


@pytest.mark.requirement("P11", "A4")
async def test_nobody_else_sees_how_an_account_stands(desk: Desk):
    eve = await Client(desk.host).register("eve")
    assert (await eve.call("GET", f"/risk/accounts/{desk.account}")).status == 404
    runtime = desk.host.runtime
    for tenant, status in ((TENANT, 200), (UUID(int=9), 404)):
        token = runtime.access._users.issue(
            Identity.of(UUID(int=8), tenant, Role.FUND_MANAGER, "t"), runtime.clock.now()
        )
        manager = Client(desk.host, token)
        assert (await manager.call("GET", f"/risk/tenant-accounts/{desk.account}")).status == status


@pytest.mark.requirement("P2", "P22", "A4")
async def test_what_happened_at_a_level_is_told_to_its_owner_alone(desk: Desk):
    await desk.limit(maximum_open_orders=7)
    await desk.user.json("POST", f"/risk/halts/{desk.account}", {"reason": "lunch"})
    await desk.user.json("POST", "/risk/limits/user", {"maximum_open_orders": 9})
    told = (await desk.user.json("GET", f"/events/{desk.account}?kind=risk"))["events"]
    assert [event["type"] for event in told] == ["risk.limits_changed", "risk.halted"]
    assert told[1]["data"]["reason"] == "lunch"
    await desk.buy("0.1", 409)
    path = f"/events/{desk.account}?kind=risk&after={told[-1]['version']}"
    (refused,) = (await desk.user.json("GET", path))["events"]
    assert (refused["type"], refused["data"]["code"]) == ("risk.denied", "kill_switch")
    me = (await desk.user.json("GET", "/users/me"))["user_id"]
    (limits,) = (await desk.user.json("GET", f"/events/{me}?kind=risk"))["events"]
    assert limits["data"]["limits"]["maximum_open_orders"] == 9
    eve = await Client(desk.host).register("eve")
    assert (await eve.call("GET", f"/events/{desk.account}?kind=risk")).status == 404


async def test_marks_survive_a_restart(desk: Desk):
    await desk.buy("0.1")
    await desk.price("66000")
    await desk.look()
    await desk.price("60000")
    await desk.look()
    assert Decimal((await desk.standing())["figures"]["drawdown"]) == pytest.approx(
        Decimal("0.0566"), abs=Decimal("0.001")
    )
