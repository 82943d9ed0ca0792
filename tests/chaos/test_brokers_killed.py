"""Case 1 for every kind of broker: SIGKILL of sidecars and of the broker while 50 orders a second flow through it.

The order's path runs behind real sidecars, every topic on the one broker, which is started again on its own data. In
the end every acknowledged order is filled, the venue knows each once, nothing is left in the outbox, nothing is dead.
"""

import asyncio
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import orjson
import pytest

from patriot.runtime import discovery
from patriot.runtime.dapr.backing import backing
from patriot.runtime.dapr.brokers import BROKERS
from patriot.runtime.dapr.processes import Fleet, Process
from patriot.runtime.dapr.sidecar import SidecarError
from patriot.store.api import Query
from patriot.store.memory import MemoryStore
from tests.chaos.books import check_books
from tests.integration.dapr.venue import FillingVenue
from tests.support.host import PERPETUAL, Client, define, set_price
from tests.support.servers import require
from tests.support.sidecars import Hosts, beside_sidecars

SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
ORDERS, ORDERS_PER_SECOND = 150, 50
SETTLE_SECONDS_MAX = 200
PRICE_SECONDS = 5
PATH = ("order-commands", "order-routing", "order-execution", "order-lifecycle", "portfolio-projection", "order-lists")
OTHERS = ("auth", "user-commands", "account-commands", "settlement")


@pytest.mark.dapr
@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.requirement("B12", "A6", "C3")
@pytest.mark.parametrize("name", sorted(BROKERS))
async def test_broker_and_sidecars_that_are_killed_lose_no_order(name: str, capsys: pytest.CaptureFixture[str]):
    require(name)
    store, venue, acknowledged = MemoryStore(), FillingVenue(), list[str]()
    async with behind(name, store, venue) as (hosts, broker):
        user = await Client(hosts).register("ada")
        order = {"account_id": await user.paper_account(USDT="1000000"), "instrument": PERPETUAL.id, "side": "buy"}
        order |= {"order_type": "limit", "quantity": "0.001", "price": "60000"}

        async def flow() -> None:
            async with asyncio.TaskGroup() as clients:
                for number in range(ORDERS):
                    clients.create_task(one(f"order-{number}"))
                    await asyncio.sleep(1 / ORDERS_PER_SECOND)

        async def one(key: str) -> None:
            acknowledged.append(await place(user, order, key))

        sidecars = random.Random(SEED).sample(hosts.sidecars[: len(PATH)], 2)
        await asyncio.gather(flow(), kill([*sidecars, broker]))
        started, left = time.monotonic(), Counter[str]()
        while (left := await unsettled(store, acknowledged)) and time.monotonic() < started + SETTLE_SECONDS_MAX:
            await asyncio.sleep(0.1)
        assert all(victim.starts > 1 for victim in [*sidecars, broker])
    assert not left
    with capsys.disabled():
        seconds = time.monotonic() - started
        print(f"\n{name} and {len(sidecars)} sidecars killed: seed {SEED}, {ORDERS} orders settled in {seconds:.1f} s")
    assert len(venue.created) == len({one.client_order_id for one in venue.created}) == ORDERS
    assert not await store.find(Query("dead_letters", None))
    await check_books(store)


@asynccontextmanager
async def behind(name: str, store: MemoryStore, venue: FillingVenue) -> AsyncIterator[tuple[Hosts, Process]]:
    """The order's path over a broker of its own, the venue in it."""
    parts = [discovery.part(part) for part in (*PATH, *OTHERS)]
    with tempfile.TemporaryDirectory(prefix="patriot-killed-", ignore_cleanup_errors=True) as folder:
        made = backing(name, Path(folder))
        async with Fleet(Path(folder)) as brokers:
            for program in made.programs:
                await brokers.start([program])
            await made.prepare()
            told, resources = made.environment, [made.resources]
            async with beside_sidecars(told, store, *parts, resources=resources, relay=True) as hosts:
                for host in hosts.hosts:
                    host.runtime.venues["paper"] = venue
                await define(store, PERPETUAL)
                await set_price(hosts, PERPETUAL.id, "60000", "60000.1")
                telling = asyncio.create_task(tell_price(hosts))
                yield hosts, brokers.processes[name]
                telling.cancel()


async def tell_price(hosts: Hosts) -> None:
    """As a feed does: an old price would hold every order up."""
    while True:
        await asyncio.sleep(PRICE_SECONDS)
        with suppress(SidecarError):
            await set_price(hosts, PERPETUAL.id, "60000", "60000.1")


async def kill(victims: list[Process]) -> None:
    """One after the other, each while orders flow; each is started again."""
    for victim in victims:
        await asyncio.sleep(ORDERS / ORDERS_PER_SECOND / (len(victims) + 1))
        victim.kill()


async def place(user: Client, order: dict[str, str], key: str) -> str:
    """The order's id; asked again under its key while the platform cannot tell."""
    while True:
        answer = await user.call("POST", "/orders", order, idempotency_key=key)
        if answer.status < 500:
            assert answer.status == 201, answer.body
            return str(orjson.loads(answer.body)["order_id"])
        await asyncio.sleep(0.2)


async def unsettled(store: MemoryStore, acknowledged: list[str]) -> Counter[str]:
    """How many orders are where, and how many events wait; empty when all is done."""
    rows = {str(row["id"]): row["status"] for row in await store.find(Query("orders", None, limit=10_000))}
    found = Counter(rows.get(one, "missing") for one in acknowledged)
    del found["filled"]
    return +(found + Counter(outbox=await store.outbox_depth()))
