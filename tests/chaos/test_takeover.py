"""Two platforms on one PostgreSQL, trading on an exchange elsewhere; the one that leads is killed under load.

The other leads within the lease's time. Every acknowledged order ends; none is sent twice, and no stop fires twice.
"""

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import asyncpg
import httpx
import pytest

from patriot.runtime import discovery
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.platform import KEY_FILE, open_access, system_random
from patriot.runtime.serving import free_port
from patriot.runtime.settings import Settings
from patriot.runtime.supervision import LEASE_SECONDS
from patriot.store.connections import urls_of
from patriot.store.postgres import PostgresStore
from tests.chaos.process import PlatformProcess
from tests.support.host import PASSWORD, Client

pytestmark = [pytest.mark.postgres, pytest.mark.alone, pytest.mark.timeout(420)]

INSTRUMENT = "BINANCE:BTC/USDT:USDT"
STOP = {"order_type": "trailing_stop", "trailing": {"rule": "percent", "distance": "0.01"}}
MARKET = {"order_type": "market"}
SIZE = Decimal("0.002")
PAUSE_SECONDS = 0.05
SLACK_SECONDS = 6.0  # of a busy machine: the process that takes over asks four times a second
LED = "select epoch from leases where name = 'feed:triggers:0/1' and owner <> ''"
ONCE = ("order.created", "order.triggered", "order.submit_started", "order.filled")
OPEN = "select count(*) from orders where status not in ('filled', 'rejected', 'cancelled', 'expired')"
EVENTS = "select aggregate_id, event_type from event_store where aggregate_type = 'order'"


class Replica(PlatformProcess):
    """One of several platforms on one database, whose paper venue is elsewhere."""

    def __init__(self, folder: Path, database: str, venue_port: int) -> None:
        super().__init__(folder, "wire")
        self._environment |= {
            "PATRIOT_DATABASE_URL": database,
            "PATRIOT_VENUE_AT": f"127.0.0.1:{venue_port}",
            "PATRIOT_LOG_LEVEL": "info",
        }


@asynccontextmanager
async def exchange(database: str, folder: Path, port: int) -> AsyncIterator[Host]:
    """The built-in exchange in a process of its own: ours. Its accounts are opened here, too."""
    settings = Settings(data_dir=folder, database_url=database, venue_port=port, demo=False)
    store, clock = await PostgresStore.open(urls_of(database)), SystemClock()
    parts = Parts(discovery.functions(), [feed for feed in discovery.feeds() if feed.name == "venue"])
    host = Host(
        parts,
        settings=settings,
        store=store,
        access=open_access(settings, clock, discovery.names()),
        clock=clock,
        ids=SystemIds(),
        random=system_random(),
        secrets={},
    )
    await host.start()
    try:
        yield host
    finally:
        await host.stop()
        await store.close()


async def place(client: httpx.AsyncClient, replica: Replica, body: dict[str, Any]) -> str:
    """The order's id; empty where nobody was there to acknowledge it."""
    with suppress(httpx.HTTPError):
        answer = await client.post(f"{replica.url}/orders", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["order_id"])
    return ""


async def until(connection: asyncpg.Connection, query: str, wanted: Any, seconds: float) -> float:
    started = time.monotonic()
    while not wanted(await connection.fetchval(query)):
        assert time.monotonic() - started < seconds, query
        await asyncio.sleep(0.05)
    return time.monotonic() - started


async def trade(client: httpx.AsyncClient, body: dict[str, Any], count: int, *through: Replica) -> set[UUID]:
    """Market orders and stops, through each; what was acknowledged."""
    placed = set[str]()
    for number in range(count):
        kind = STOP if number % 2 else MARKET
        placed.add(await place(client, through[number // 2 % len(through)], body | kind))
        await asyncio.sleep(PAUSE_SECONDS)
    return {UUID(one) for one in placed if one}


async def events(connection: asyncpg.Connection) -> dict[UUID, Counter[str]]:
    """What happened to each order, and how often."""
    found: dict[UUID, Counter[str]] = {}
    for order, kind in await connection.fetch(EVENTS):
        found.setdefault(order, Counter())[kind] += 1
    return found


@asynccontextmanager
async def two_replicas(database: str, folder: Path) -> AsyncIterator[tuple[Host, list[Replica]]]:
    """The first one leads. All have the keys of the exchange's process."""
    folders = [folder / name for name in ("exchange", "first", "second")]
    for one in folders:
        one.mkdir()
    port = free_port()
    replicas = [Replica(one, database, port) for one in folders[1:]]
    try:
        async with exchange(database, folders[0], port) as host:
            for replica in replicas:
                shutil.copy(folders[0] / KEY_FILE, replica.folder)
                replica.start()
                await replica.ready()
            yield host, replicas
    finally:
        for replica in replicas:
            replica.clean_up()


@pytest.mark.requirement("A5", "C4", "B14")
async def test_killed_leader_is_followed_and_nothing_happens_twice(database: str, tmp_path: Path, capsys):
    connection = await asyncpg.connect(database)
    async with two_replicas(database, tmp_path) as (host, [first, second]):
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="1000000")
        token = await user.json("POST", "/auth/token", {"username": "ada", "password": PASSWORD})
        headers = {"authorization": f"Bearer {token['access_token']}"}
        body = {"account_id": account, "instrument": INSTRUMENT, "side": "sell", "quantity": str(SIZE)}
        epoch = await connection.fetchval(LED)
        async with httpx.AsyncClient(headers=headers, timeout=5) as client:
            placed = await trade(client, body, 30, first, second)
            killed = time.monotonic()
            first.kill()
            placed |= await trade(client, body, 20, second)
            await until(connection, LED, lambda now: now is not None and now > epoch, LEASE_SECONDS + SLACK_SECONDS)
            took = time.monotonic() - killed
        await until(connection, OPEN, lambda count: count == 0, 90)
        told = await events(connection)
        halls = host.runtime.local["venue"]
        at_venue = await halls.adapter("BINANCE").positions(UUID(account))  # type: ignore[attr-defined]
    await connection.close()
    filled, fired = ([one for one in told if told[one][kind]] for kind in ("order.filled", "order.triggered"))
    with capsys.disabled():
        print(f"\nled {took:.1f} s after the kill; {len(placed)} orders, {len(fired)} fired, {len(filled)} filled")
    assert placed <= told.keys(), "what was acknowledged is there"
    assert fired
    assert [order for order, kinds in told.items() if any(kinds[kind] > 1 for kind in ONCE)] == []
    assert [abs(one.quantity) for one in at_venue] == [len(filled) * SIZE], "each order was sent once"


@pytest.mark.requirement("T10", "B14")
async def test_switch_from_blue_to_green_drops_no_request(database: str, tmp_path: Path, capsys):
    """As the runbook has it: green beside blue, the traffic over, blue asleep. Clients trade on all the time."""
    connection = await asyncpg.connect(database)
    async with two_replicas(database, tmp_path) as (host, [blue, green]):
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="1000000")
        token = await user.json("POST", "/auth/token", {"username": "ada", "password": PASSWORD})
        headers = {"authorization": f"Bearer {token['access_token']}"}
        body = {"account_id": account, "instrument": INSTRUMENT, "side": "sell", "quantity": str(SIZE), **MARKET}
        epoch, live, answered = await connection.fetchval(LED), [blue], Counter[int]()

        async def keep_trading(client: httpx.AsyncClient) -> None:
            while live:
                answer = await client.post(f"{live[0].url}/orders", json=body)
                answered[answer.status_code] += 1
                await asyncio.sleep(PAUSE_SECONDS)

        async with httpx.AsyncClient(headers=headers, timeout=20) as client, asyncio.TaskGroup() as clients:
            for _ in range(4):
                clients.create_task(keep_trading(client))
            await asyncio.sleep(1)
            live[0] = green  # what blue has begun, blue ends
            stopped, started = asyncio.create_task(asyncio.to_thread(blue.interrupt)), time.monotonic()
            await until(connection, LED, lambda now: now is not None and now > epoch, SLACK_SECONDS + LEASE_SECONDS)
            took = time.monotonic() - started
            assert await stopped == 0
            await asyncio.sleep(1)
            live.clear()
        await until(connection, OPEN, lambda count: count == 0, 90)
        told = await events(connection)
    await connection.close()
    with capsys.disabled():
        print(f"\nled {took:.1f} s after the signal; {answered[201]} orders through both")
    assert answered.keys() == {201}
    assert len(told) == answered[201]
    assert [order for order, kinds in told.items() if any(kinds[kind] > 1 for kind in ONCE)] == []
