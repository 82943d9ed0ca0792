"""Strategies over HTTP: deployed, assigned, started, paused, stopped; and the feed that runs what the rows say."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest

from patriot.protocols.market import Trade
from patriot.runtime.rebuild import Rebuild
from patriot.store.api import PUBLIC_TENANT, Commit, Origin, Query, Row
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import FillingVenue, RestingVenue
from tests.unit.settlement.test_settlement import admin

PARAMETERS = {"bar_seconds": 1, "fast": 1, "slow": 2, "notional": "1000"}


@pytest.fixture
async def world():
    async with running_host(feeds=("relay", "strategies")) as host:
        host.runtime.venues["paper"] = FillingVenue()
        await define(host.runtime.store, PERPETUAL)
        await set_price(host, PERPETUAL.id, "60000", "60000.1")
        ada = await Client(host).register("ada")
        account = await ada.paper_account(USDT="100000")
        yield host, ada, account


def body(account, **changes):
    told = {"kind": "ema_cross", "name": "trend", "account_id": account, "instruments": [PERPETUAL.id]}
    return told | {"parameters": PARAMETERS} | changes


async def rows(host):
    await until_idle(host)
    return await host.runtime.store.find(Query("strategies", None, {}, ["account_id"]))


def tick(host, second, price):
    units = PERPETUAL.price_units(Decimal(price))
    host.runtime.ticks.publish(Trade(PERPETUAL.id, units, 1, False, f"t{second}", second * 1000))


async def calm(host):
    """Wait until the strategies have done what they wanted, and all of it was handled."""
    while host.runtime.tasks:
        await asyncio.gather(*host.runtime.tasks)
    await until_idle(host)


@pytest.mark.requirement("P12", "P1")
async def test_life_of_a_strategy(world):
    host, ada, account = world
    told = await ada.json("POST", "/strategies", body(account), 201)
    path = f"/strategies/{told['strategy_id']}"
    assert (told["status"], told["accounts"], told["parameters"]["fast"]) == ("deployed", [account], 1)
    assert (await ada.json("POST", f"{path}/start"))["status"] == "running"
    assert (await ada.json("PATCH", f"{path}/parameters", {"parameters": PARAMETERS}, 409))[
        "code"
    ] == "invalid_transition"
    assert (await ada.json("POST", f"{path}/pause"))["status"] == "paused"
    changed = await ada.json("PATCH", f"{path}/parameters", {"parameters": PARAMETERS | {"slow": 9}})
    assert changed["parameters"]["slow"] == 9
    assert (await ada.json("POST", f"{path}/start"))["status"] == "running"
    assert (await ada.json("POST", f"{path}/stop"))["status"] == "stopped"
    (row,) = await rows(host)
    assert (row["status"], row["parameters"]["slow"], row["parameters"]["instruments"]) == (
        "stopped",
        9,
        [PERPETUAL.id],
    )
    assert [one["name"] for one in (await ada.json("GET", "/strategies"))["strategies"]] == ["trend"]


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"kind": "magic"}, "kind"),
        ({"parameters": {"fast": 0}}, "parameters.fast"),
        ({"parameters": {"nonsense": 1}}, "parameters.nonsense"),
        ({"parameters": {"notional": "NaN"}}, "parameters.notional"),
        ({"instruments": ["BYBIT:BTC/USDT:USDT"]}, "instruments"),
        ({"instruments": []}, "instruments"),
        ({"name": "<script>"}, "name"),
    ],
)
async def test_what_is_wrong_is_named_and_nothing_kept(world, changes, field):
    host, ada, account = world
    told = await ada.json("POST", "/strategies", body(account, **changes), 422)
    assert field in [one["field"] for one in told["errors"]]
    assert await rows(host) == []


async def test_name_is_taken_once_per_user(world):
    host, ada, account = world
    await ada.json("POST", "/strategies", body(account), 201)
    assert (await ada.json("POST", "/strategies", body(account), 409))["code"] == "name_taken"
    eve = await Client(host).register("eve")
    await eve.json("POST", "/strategies", body(await eve.paper_account(USDT="1")), 201)


@pytest.mark.requirement("A4", "P12")
async def test_assignments_and_who_may_make_them(world):
    host, ada, account = world
    eve = await Client(host).register("eve")
    hers = await eve.paper_account(USDT="1")
    told = await ada.json("POST", "/strategies", body(account, start=True), 201)
    path = f"/strategies/{told['strategy_id']}"
    await ada.json("POST", f"{path}/assignments", {"account_id": hers}, 404)
    await eve.json("POST", f"{path}/assignments", {"account_id": hers}, 404)
    await eve.json("POST", f"{path}/stop", status=404)
    await ada.json("POST", f"/tenant{path.replace('/', '-', 1)}/assignments", {"account_id": hers}, 403)
    manager = admin(host, 0)
    shared = await manager.json("POST", f"/tenant{path.replace('/', '-', 1)}/assignments", {"account_id": hers}, 201)
    assert set(shared["accounts"]) == {account, hers}
    assert {row["user_id"] for row in await rows(host)} == {row["user_id"] for row in await accounts(host)}
    assert [one["name"] for one in (await eve.json("GET", "/strategies"))["strategies"]] == ["trend"]
    taken_off = await eve.json("DELETE", f"{path}/assignments/{hers}")
    assert taken_off["accounts"] == [account]
    assert sorted(row["status"] for row in await rows(host)) == ["running", "stopped"]


async def accounts(host):
    return await host.runtime.store.find(Query("user_accounts", None, {}))


@pytest.mark.requirement("P12", "P11")
async def test_start_lifts_its_own_hold_and_nobody_elses_kill_switch(world):
    host, ada, account = world
    host.runtime.venues["paper"] = RestingVenue()
    told = await ada.json("POST", "/strategies", body(account, start=True), 201)
    path, order = f"/strategies/{told['strategy_id']}", {"account_id": account, "instrument": PERPETUAL.id}
    order |= {"side": "buy", "quantity": "0.01", "price": "59000", "strategy_id": "trend"}
    resting = await ada.json("POST", "/orders", order, 201)
    await until_idle(host)
    await ada.json("POST", f"{path}/pause")
    await ada.json("PATCH", f"/orders/{resting['order_id']}", {"price": "58000"})
    refused = await ada.json("POST", "/orders", order, 409)
    assert (refused["code"], refused["errors"][0]["field"]) == ("trading_halted", "strategy_id")
    assert refused["detail"].startswith("trend is paused or stopped on this account: start it again")
    await ada.json("POST", "/orders", order | {"strategy_id": "another"}, 201)
    await ada.json("POST", "/risk/halts/strategy:trend", {"reason": "a look at it"})
    await ada.json("POST", f"{path}/start")
    assert "halted: strategy:trend@" in (await ada.json("POST", "/orders", order, 409))["detail"]
    await ada.json("DELETE", "/risk/halts/strategy:trend")
    await ada.json("POST", "/orders", order, 201)


async def test_name_is_one_strategys_on_an_account(world):
    host, ada, account = world
    eve = await Client(host).register("eve")
    hers = await eve.paper_account(USDT="1")
    await eve.json("POST", "/strategies", body(hers), 201)
    told = await ada.json("POST", "/strategies", body(account), 201)
    await until_idle(host)
    path = f"/tenant-strategies/{told['strategy_id']}/assignments"
    assert (await admin(host, 0).json("POST", path, {"account_id": hers}, 409))["code"] == "name_taken"


@pytest.mark.requirement("P2")
async def test_rows_are_rebuilt_from_the_events(world):
    host, ada, account = world
    told = await ada.json("POST", "/strategies", body(account, start=True), 201)
    await ada.json("POST", f"/strategies/{told['strategy_id']}/pause")
    before = await rows(host)
    await Rebuild(host.runtime.store).run(host.runtime.clock.now())
    assert await rows(host) == before


async def test_kinds_tell_their_parameters(world):
    _, ada, _ = world
    page = await ada.json("GET", "/strategies/kinds")
    kinds = {one["kind"]: one for one in page["kinds"]}
    assert kinds.keys() >= {"ema_cross", "mean_reversion", "breakout", "grid"}
    assert "entry" in kinds["breakout"]["parameters"]["properties"]


# The feed


async def started(host, name="trend"):
    """Wait until the feed runs it."""
    instances = host.runtime.local["strategies"]
    for _ in range(200):
        found = [one for one in instances._running.values() if one.row["name"] == name]
        if found:
            return found[0]
        await instances.look()
    raise AssertionError(f"{name} was not started")


@pytest.mark.requirement("T3", "P12")
async def test_started_strategy_trades_and_a_paused_one_does_not(world):
    host, ada, account = world
    told = await ada.json("POST", "/strategies", body(account, start=True), 201)
    await until_idle(host)
    instance = await started(host)
    for second, price in enumerate(("60000", "60100", "60200", "60300"), 1):
        tick(host, second, price)
        await calm(host)
    orders = (await ada.json("GET", "/orders"))["orders"]
    assert {order["strategy_id"] for order in orders} == {"trend"}
    assert instance.strategy.position > 0
    await ada.json("POST", f"/strategies/{told['strategy_id']}/pause")
    await until_idle(host)
    await host.runtime.local["strategies"].look()
    assert instance.runner.paused
    for second, price in enumerate(("50000", "40000", "30000"), 5):
        tick(host, second, price)
        await calm(host)
    assert (await ada.json("GET", "/orders"))["orders"] == orders


def stored_bar(second, price):
    value = Decimal(price)
    prices = dict.fromkeys(("open", "high", "low", "close"), value)
    when = datetime.fromtimestamp(second, UTC)
    return Row("ohlc", {"instrument": PERPETUAL.id, "interval": "1s", "time": when, "volume": Decimal(1), **prices})


async def store_bars(host, last, count):
    """The `count` seconds before `last`."""
    bars = [stored_bar(last - number, 60_000 + number) for number in range(count, 0, -1)]
    await host.runtime.store.commit(Commit(Origin(PUBLIC_TENANT, "service:test", "req_1_00000000"), NOW, rows=bars))


NOW = datetime(2026, 1, 1, tzinfo=UTC)


async def test_warm_up_shows_the_bars_of_the_store(world):
    host, ada, account = world
    now = int(host.runtime.clock.now().timestamp())
    await store_bars(host, now, 30)
    await ada.json("POST", "/strategies", body(account, start=True, parameters=PARAMETERS | {"slow": 5}), 201)
    await until_idle(host)
    instance = await started(host)
    assert instance.strategy.state.bars >= 14
    assert (await ada.json("GET", "/orders"))["orders"] == []


@pytest.mark.requirement("P12", "B12")
async def test_restarted_strategy_goes_on_with_its_memory_and_sees_what_it_missed(world):
    host, ada, account = world
    await ada.json("POST", "/strategies", body(account, start=True, parameters=PARAMETERS | {"slow": 5}), 201)
    await until_idle(host)
    instance = await started(host)
    begin = int(host.runtime.clock.now().timestamp()) - 60
    for second in range(12):
        tick(host, begin + second, "60000")
        await calm(host)
    seen, memory = instance.runner.seen_ms, instance.strategy.snapshot()
    await instance.save()
    host.runtime.local["strategies"]._running.clear()  # as after a crash: nothing was closed
    await store_bars(host, begin + 15, 4)
    again = await started(host)
    assert again is not instance
    assert again.strategy.snapshot() != memory
    assert again.strategy.state.bars == instance.strategy.state.bars + 4
    assert again.runner.seen_ms > seen


async def test_quotes_are_taken_back_when_the_strategy_pauses(world):
    host, ada, account = world
    host.runtime.venues["paper"] = RestingVenue()
    parameters = {"bar_seconds": 1, "length": 2, "levels": 1, "notional": "1000"}
    told = await ada.json(
        "POST", "/strategies", body(account, kind="grid", name="maker", start=True, parameters=parameters), 201
    )
    await until_idle(host)
    await started(host, "maker")
    begin = int(host.runtime.clock.now().timestamp())
    for second in range(3):
        for price in ("60000", "60020", "59980", "60000"):
            tick(host, begin + second, price)
        await calm(host)
    resting = (await ada.json("GET", "/orders?status=accepted"))["orders"]
    assert {order["side"] for order in resting} == {"buy", "sell"}
    await ada.json("POST", f"/strategies/{told['strategy_id']}/pause")
    await until_idle(host)
    await host.runtime.local["strategies"].look()
    await until_idle(host)
    events = [await ada.json("GET", f"/events/{order['order_id']}") for order in resting]
    assert all(one["events"][-1]["type"].startswith("order.cancel") for one in events)


async def test_strategy_that_cannot_start_hinders_no_other(world):
    host, ada, account = world
    unknown = body(account, name="early", instruments=["BINANCE:XYZ/USDT:USDT"], start=True)
    await ada.json("POST", "/strategies", unknown, 201)
    await ada.json("POST", "/strategies", body(account, start=True), 201)
    await until_idle(host)
    await started(host)
    assert len(host.runtime.local["strategies"]._running) == 1
