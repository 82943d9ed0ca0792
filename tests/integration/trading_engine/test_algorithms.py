"""Every algorithm works off its order on the built-in venue; pause, cancel, refusals, a crash in the middle."""

import asyncio
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
import pytest

from feeds.trading_engine import app
from feeds.trading_engine.desk import Desk
from patriot.runtime.edge import user_context
from patriot.runtime.ports import Response
from tests.integration.order_lists.market import FEEDS, Market, market

pytestmark = pytest.mark.requirement("P10")

ALL = (*FEEDS, "trading-engine")
QUICK: dict[str, dict[str, Any]] = {
    "twap": {"seconds": 2, "slices": 4},
    "vwap": {"seconds": 2, "slices": 4},
    "pov": {"seconds": 60, "participation": 0.2},
    "iceberg": {"display": 0.4, "patience_seconds": 0.2},
    "shortfall": {"seconds": 2, "slices": 4, "urgency": 0.01},
}


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app, "STEP_SECONDS", 0.02)


async def start(m: Market, name: str, quantity: str = "1", status: int = 201, **more: Any) -> Any:
    body = {
        "account_id": m.account_id, "instrument": "BINANCE:BTC/USDT:USDT", "side": "buy", "quantity": quantity,
        "algorithm": name, "parameters": QUICK.get(name, {}), **more,
    }  # fmt: skip
    return await m.user.json("POST", "/algorithms", body, status)


async def show(m: Market, algorithm: Any) -> Any:
    return await m.user.json("GET", f"/algorithms/{algorithm['algorithm_id']}")


async def until(m: Market, algorithm: Any, *statuses: str, seconds: float = 20) -> Any:
    """Let the market move a little until the algorithm stands so."""
    step = 0
    async with asyncio.timeout(seconds):
        while (shown := await show(m, algorithm))["status"] not in statuses:
            step += 1
            await m.move(str(60000 + step % 5))
    return shown


async def events(m: Market, algorithm: Any) -> list[Any]:
    told = await m.user.json("GET", f"/events/{algorithm['algorithm_id']}?kind=algorithm")
    return list(told["events"])


def test_every_algorithm_is_tested_here():
    assert set(QUICK) == set(app.kinds())


@pytest.mark.parametrize("name", sorted(QUICK))
async def test_algorithm_works_off_its_order(name: str):
    async with market(feeds=ALL) as m:
        algorithm = await start(m, name)
        shown = await until(m, algorithm, "completed")
        assert shown["filled_quantity"] == "1"
        assert shown["children"] >= 2
        assert await m.position() == "1"
        told = await events(m, algorithm)
        kinds = [event["type"] for event in told]
        assert (kinds[0], kinds[-1]) == ("algorithm.started", "algorithm.completed")
        assert kinds.count("algorithm.child_placed") == kinds.count("algorithm.progressed") == shown["children"]
        arrival, average = Decimal(shown["arrival_price"]), Decimal(shown["average_price"])
        assert Decimal(shown["slippage"]) == ((average - arrival) / arrival * 10_000).quantize(Decimal("0.0001"))


async def test_pause_stops_it_and_cancel_ends_it():
    async with market(feeds=ALL) as m:
        algorithm = await start(m, "twap", parameters={"seconds": 600, "slices": 10})
        while (await show(m, algorithm))["filled_quantity"] == "0":
            await m.move("60000")
        path = f"/algorithms/{algorithm['algorithm_id']}"
        assert (await m.user.json("POST", f"{path}/pause"))["status"] == "paused"
        children = (await show(m, algorithm))["children"]
        for _ in range(5):
            await m.move("60001")
        assert (await show(m, algorithm))["children"] == children
        assert (await m.user.json("POST", f"{path}/resume"))["status"] == "running"
        await m.user.json("DELETE", path)
        shown = await until(m, algorithm, "cancelled")
        assert shown["filled_quantity"] == "0.1"


async def test_cancel_takes_the_resting_child_along():
    async with market(feeds=ALL) as m:
        parameters = {"display": 0.5, "patience_seconds": 100}
        algorithm = await start(m, "iceberg", limit_price="59000", parameters=parameters)
        while not m.venue_orders():
            await m.move("60000")
        await m.user.json("DELETE", f"/algorithms/{algorithm['algorithm_id']}")
        assert (await until(m, algorithm, "cancelled"))["filled_quantity"] == "0"
        assert not m.venue_orders()
        assert (await m.balance())["reserved"] == 0


async def test_what_the_risk_rules_refuse_ends_it_with_the_reason():
    async with market(feeds=ALL) as m:
        algorithm = await start(m, "twap", quantity="1000", parameters={"seconds": 2, "slices": 1})
        shown = await until(m, algorithm, "cancelled")
        assert shown["reason"].startswith("refused: ")


async def test_unknown_algorithm_and_parameters_are_refused():
    async with market(feeds=ALL) as m:
        answer = await start(m, "guess", status=422)
        assert answer["code"] == "unknown_algorithm"
        answer = await start(m, "twap", status=422, parameters={"slices": 0})
        assert answer["errors"][0]["field"] == "parameters.slices"


@pytest.fixture
def unplaced(monkeypatch: pytest.MonkeyPatch) -> Callable[[Market], Awaitable[Any]]:
    """Starts an algorithm whose engine dies between telling its first child and placing it; another engine goes on."""

    async def told(m: Market) -> Any:
        died = asyncio.Event()

        async def dies(*_: Any) -> str:
            died.set()
            raise TimeoutError("the process died here")

        with monkeypatch.context() as dying:
            dying.setattr(Desk, "_place", dies)
            algorithm = await start(m, "twap")
            async with asyncio.timeout(5):
                while not died.is_set():
                    await m.move("60000")
            path = f"/algorithms/{algorithm['algorithm_id']}"
            assert (await m.user.json("POST", f"{path}/pause"))["status"] == "paused"
        return algorithm

    return told


async def test_a_crash_between_telling_and_placing_places_the_child_once_and_after_a_pause(unplaced: Any):
    async with market(feeds=ALL) as m:
        algorithm = await unplaced(m)
        for _ in range(5):
            await m.move("60001")
        assert await m.position() == "0"
        await m.user.json("POST", f"/algorithms/{algorithm['algorithm_id']}/resume")
        shown = await until(m, algorithm, "completed")
        assert shown["filled_quantity"] == "1"
        assert await m.position() == "1"


async def test_placing_that_is_still_on_its_way_is_refused_once_the_pause_is_answered(unplaced: Any):
    async with market(feeds=ALL) as m:
        algorithm = await unplaced(m)
        order_id = next(event for event in await events(m, algorithm) if event["type"] == "algorithm.child_placed")
        answer = await late_placing(m, algorithm, order_id["data"]["order_id"])
        assert (answer.status, orjson.loads(answer.body)["code"]) == (409, "trading_halted")
        await m.user.json("DELETE", f"/algorithms/{algorithm['algorithm_id']}")
        shown = await until(m, algorithm, "cancelled")
        assert shown["filled_quantity"] == "0"
        assert not m.venue_orders()


async def late_placing(m: Market, algorithm: Any, order_id: str) -> Response:
    """What the engine that died had asked for."""
    user_id = UUID((await m.user.json("GET", "/users/me"))["user_id"])
    context = user_context(m.host.runtime, "trading-engine", m.host.runtime.settings.tenant_id, user_id)
    body = {**m.body("buy", "0.25"), "strategy_id": f"twap {algorithm['algorithm_id'][:8]}"}
    return await context.invoke("order-commands", "POST", f"/orders/{order_id}/place", orjson.dumps(body))
