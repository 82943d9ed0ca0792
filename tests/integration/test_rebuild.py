"""The read models are disposable: emptied and folded anew from the events, they are equal, row for row."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from patriot.runtime.clock import SystemClock
from patriot.runtime.embedded import Host
from patriot.runtime.rebuild import Rebuild
from patriot.store.api import Query, Store
from patriot.store.tables import TABLES
from schemas.events import EVENTS
from tests.support.host import Client, running_host, set_price, until_idle

LINEAR, SPOT = "BINANCE:BTC/USDT:USDT", "BINANCE:BTC/USDT"
INSTRUMENTS = (LINEAR, SPOT)

Dump = dict[str, list[Mapping[str, Any]]]


async def dump(store: Store) -> Dump:
    """Every row of every table, in order of its key."""
    tables: Dump = {}
    for table in TABLES.values():
        rows = await store.find(Query(table.name, None, limit=100_000))
        tables[table.name] = sorted(rows, key=lambda row: [str(row[name]) for name in table.full_key])
    return tables


async def tell_prices(host: Host) -> None:
    """The built-in venue's own prices."""
    exchange = host.runtime.local["venue"]["BINANCE"]
    for identifier in INSTRUMENTS:
        quote = exchange.quote(identifier)
        instrument = exchange.instrument(identifier)
        await set_price(host, identifier, str(instrument.price_of(quote.bid)), str(instrument.price_of(quote.ask)))


async def trade(host: Host, user: Client, account: str, round_number: int) -> None:
    """Market orders both ways, a resting order that is changed and cancelled, and refusals by platform and venue."""
    await tell_prices(host)
    for instrument in INSTRUMENTS:
        for side in ("buy", "buy", "sell") if round_number % 2 else ("sell", "sell", "buy"):
            await order(user, account, instrument=instrument, side=side, order_type="market")
        price = (await user.json("GET", f"/prices?instrument={instrument}"))["prices"][0]["bid"]
        resting = f"{float(price) * 0.97:.1f}"
        receipt = await order(user, account, instrument=instrument, price=resting)
        kept = await order(user, account, instrument=instrument, price=resting, time_in_force="GTC")
        assert kept
        await until_idle(host)
        path = f"/orders/{receipt['order_id']}"
        await user.call("PATCH", path, {"quantity": "0.02"})
        await until_idle(host)
        await user.call("DELETE", path)
        await order(user, account, instrument=instrument, price=resting, time_in_force="IOC")
        refused = await user.call("POST", "/orders", {"account_id": account, "quantity": "1"})
        assert refused.status == 422
    await until_idle(host)


async def order(user: Client, account: str, **fields: str) -> Any:
    body = {"account_id": account, "side": "buy", "order_type": "limit", "quantity": "0.01", **fields}
    return await user.json("POST", "/orders", body, 201)


async def some_history(store: Store) -> None:
    settings: Any = {"feeds": ("relay", "venue"), "execution": "in_process"}
    async with running_host(store, **settings) as host:
        async with asyncio.timeout(10):
            while "venue" not in host.runtime.local or "paper" not in host.runtime.venues:
                await asyncio.sleep(0.05)
        await asyncio.sleep(0.5)  # its synthetic books fill
        ada, eve = await Client(host).register("ada"), await Client(host).register("eve")
        accounts = [(user, await user.paper_account(USDT="100000", BTC="2")) for user in (ada, eve)]
        await until_idle(host)
        for round_number in range(3):
            for user, account in accounts:
                await trade(host, user, account, round_number)
        await ada.json("POST", f"/risk/limits/{accounts[0][1]}", {"maximum_open_orders": 50})
        await eve.json("DELETE", f"/accounts/{accounts[1][1]}")
        await until_idle(host)


@pytest.mark.slow
@pytest.mark.requirement("P2")
async def test_rebuilt_read_models_equal_the_projected_ones(store: Store):
    await some_history(store)
    before = await dump(store)
    events = [event async for event in store.read()]
    happened = {event.type for event in events}
    assert happened >= {"order.filled", "order.cancelled", "order.modified", "order.expired", "position.updated"}, (
        set(EVENTS) - happened
    )
    assert len(before["orders"]) == 3 * 2 * 2 * 6
    rebuilt = await Rebuild(store).run(SystemClock().now())
    after = await dump(store)
    assert rebuilt == len(events)
    for table, rows in before.items():
        assert after[table] == rows, table
    assert [event async for event in store.read()] == events, "a rebuild adds no event"
    assert await store.outbox_depth() == 0, "a rebuild publishes nothing"


@pytest.mark.requirement("P2")
async def test_rebuild_twice_is_rebuild_once(store: Store):
    async with running_host(store) as host:
        user = await Client(host).register("ada")
        await user.paper_account(USDT="1000")
        await until_idle(host)
    now = SystemClock().now()
    before = await dump(store)
    read: list[int] = []
    await Rebuild(store).run(now, read.append)
    await Rebuild(store).run(now)
    assert await dump(store) == before
    assert read == [5]


@pytest.mark.requirement("P2")
async def test_rebuild_of_nothing_is_nothing(store: Store):
    assert await Rebuild(store).run(SystemClock().now()) == 0
