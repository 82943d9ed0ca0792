"""Several writers and readers at once: nothing is skipped (reliability case 11), nothing is spent twice."""

import asyncio
import os
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid5

import asyncpg
import pytest

from patriot.store import sql
from patriot.store.api import Guard, Query
from patriot.store.batch import Batch
from patriot.store.columns import event_columns
from patriot.store.connections import Connection, connect, urls_of
from patriot.store.postgres import PostgresStore
from tests.store_samples import TENANT, append, commit, deposit, origin, raise_guard, reservation, stream

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("A5")]

ROWS = int(os.environ.get("PATRIOT_ROWS", "100000"))
WRITERS = 32
STREAMS = 4  # per writer
ROWS_EACH = (50, 350)  # of a transaction
DELAYS_SECONDS = (0, 0, 0.001, 0.02)
FAILING = 0.1  # of the transactions
LATE_MAX = 300  # looks after the last commit: the server's own transactions may hold the horizon for a moment
SEED = 11


@pytest.fixture
async def connections(database: str) -> AsyncIterator[list[Connection]]:
    async with AsyncExitStack() as stack:
        opened = []
        for _ in range(WRITERS):
            connection = await connect(urls_of(database).system)
            stack.push_async_callback(connection.close)
            opened.append(connection)
        yield opened


async def insert(connection: Connection, count: int = 1) -> None:
    columns = event_columns([append(stream()) for _ in range(count)], [0] * count)
    await connection.fetchval(sql.APPEND, True, *columns, count)


async def test_read_stops_before_an_open_transaction_and_goes_on_after_it(
    postgres_store: PostgresStore, connections: list[Connection]
):
    slow, fast, *_ = connections
    await postgres_store.commit(append(stream()))
    await slow.execute("begin")
    await insert(slow)
    await insert(fast)
    first = [event.position async for event in postgres_store.read()]
    assert len(first) == 1
    await slow.execute("commit")
    rest = [event.position async for event in postgres_store.read(first[-1])]
    assert len(rest) == 2
    assert rest == sorted(rest)


async def write(connection: Connection, chosen: random.Random) -> int:
    """Append in transactions of random length, some of which fail; returns how many rows became durable."""
    heads = dict.fromkeys([stream() for _ in range(STREAMS)], 0)
    written = 0
    while written < ROWS / WRITERS:
        to, count, fails = chosen.choice([*heads]), chosen.randint(*ROWS_EACH), chosen.random() < FAILING
        await connection.execute("begin")
        columns = event_columns([append(to, heads[to], count)], [0])
        await connection.fetchval(sql.APPEND, True, *columns, count)
        await asyncio.sleep(chosen.choice(DELAYS_SECONDS))
        await connection.execute("rollback" if fails else "commit")
        if not fails:
            heads[to] += count
            written += count
    return written


@pytest.mark.requirement("P2")
@pytest.mark.timeout(180)
async def test_read_never_skips_under_random_commit_delays(
    postgres_store: PostgresStore, connections: list[Connection]
):
    """Case 11: a reader that pages while all write sees every row once, each aggregate's in its order."""
    seen: list[tuple[int, UUID, int]] = []
    written = asyncio.ensure_future(
        asyncio.gather(*(write(one, random.Random(SEED + n)) for n, one in enumerate(connections)))
    )
    looks = late = 0
    while not written.done() or (len(seen) < sum(written.result()) and late < LATE_MAX):
        late += written.done()
        after = seen[-1][0] if seen else 0
        seen += [(event.position, event.stream.id, event.version) async for event in postgres_store.read(after)]
        looks += 1
        await asyncio.sleep(0.01)
    count, wanted = len(seen), sum(written.result())
    print(f"seed {SEED}: {count:,} rows of {WRITERS} writers in {looks} looks, {wanted - count} skipped")
    assert count == wanted >= ROWS
    assert all(one[0] < next_one[0] for one, next_one in pairwise(seen))
    heads: dict[UUID, int] = {}
    for _, aggregate, version in seen:
        assert version == heads.get(aggregate, 0) + 1
        heads[aggregate] = version


async def test_positions_of_a_stream_grow_with_its_versions(postgres_store: PostgresStore):
    streams = [stream() for _ in range(20)]
    await asyncio.gather(*(postgres_store.commit(append(to, version)) for version in range(5) for to in streams))
    last: dict[UUID, int] = {}
    async for event in postgres_store.read():
        assert event.version == last.get(event.stream.id, 0) + 1
        last[event.stream.id] = event.version
    assert set(last.values()) == {5}


async def test_positions_go_on_after_a_logical_restore(postgres_store: PostgresStore, database: str):
    """Another server's transaction ids may be lower than those in the restored rows."""
    admin = await asyncpg.connect(database)
    try:
        await admin.execute("set session_replication_role = replica")
        columns = event_columns([append(stream())], [0])
        system = await connect(urls_of(database).system)
        await system.fetchval(sql.APPEND, True, *columns, 1)
        await system.close()
        await admin.execute("update event_store set position = position + (1000000::bigint << 20)")
        assert [event async for event in postgres_store.read()] == []  # beyond the horizon
        await admin.execute("select reset_position_base()")
        restored = [event.position async for event in postgres_store.read()]
        (fresh,) = await postgres_store.commit(append(stream()))
        assert restored < [fresh.position]
        assert [event.position async for event in postgres_store.read()] == [*restored, fresh.position]
    finally:
        await admin.execute("update position_base set base = 0")
        await admin.close()


async def test_two_writers_that_race_for_many_streams_share_them_out(database: str):
    """Two processes, the same streams in opposite order: each version has one winner, and nobody hangs."""
    first, second = [await PostgresStore.open(urls_of(database)) for _ in range(2)]
    streams = [stream() for _ in range(60)]
    try:
        for version in range(3):
            results = await asyncio.gather(
                *(first.commit(append(to, version)) for to in streams),
                *(second.commit(append(to, version)) for to in reversed(streams)),
                return_exceptions=True,
            )
            assert sum(isinstance(result, list) for result in results) == len(streams)
        assert {len(await first.load(to)) for to in streams} == {3}
    finally:
        await first.close()
        await second.close()


@pytest.mark.requirement("B3")
async def test_two_processes_never_reserve_more_than_there_is(database: str):
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(3)]
    account = uuid5(TENANT, "shared")
    wanted = [reservation("1", account=account)]
    made = 0
    try:
        for store in stores:
            await store.commit(commit(balances=[deposit("30", account=account)]))
        for _ in range(20):  # of six reservations at once
            attempts = [store.commit(commit(balances=wanted)) for store in stores * 2]
            results = await asyncio.gather(*attempts, return_exceptions=True)
            made += sum(isinstance(result, list) for result in results)
        (row,) = await stores[0].find(Query("buying_power", TENANT, {"account_id": account}))
        assert (row["total"], row["reserved"], made) == (Decimal(90), Decimal(90), 90)
    finally:
        for store in stores:
            await store.close()


@pytest.mark.requirement("B3")
async def test_processes_that_write_one_balance_in_turn_stop_guessing(database: str, monkeypatch: pytest.MonkeyPatch):
    """Each guesses once, is wrong, and from then on looks first: no plan fails again, no lock is taken."""
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(2)]
    account, under_locks = uuid5(TENANT, "in turn"), Batch._write_under_locks
    locked = 0

    async def counted(batch: Batch, *given: Any, **named: Any) -> None:
        nonlocal locked
        locked += 1
        await under_locks(batch, *given, **named)

    monkeypatch.setattr(Batch, "_write_under_locks", counted)
    try:
        for _ in range(8):
            for store in stores:
                await store.commit(commit(balances=[deposit("1", account=account)]))
        (row,) = await stores[0].find(Query("buying_power", TENANT, {"account_id": account}))
        assert row["total"] == Decimal(16)
        assert locked == 3  # the first makes the row, and each is wrong once
    finally:
        for store in stores:
            await store.close()


@pytest.mark.requirement("B3")
async def test_a_kill_switch_answers_only_after_the_batches_that_did_not_see_it(
    postgres_store: PostgresStore, connections: list[Connection]
):
    blocker, *_ = connections
    await postgres_store.commit(commit(balances=[deposit("5")]))
    await blocker.execute("begin")
    await blocker.execute("select * from buying_power for update")
    trade = asyncio.create_task(
        postgres_store.commit(append(stream(), balances=[reservation("1")], guards=[Guard("platform", 0)]))
    )
    await asyncio.sleep(0.1)  # it has read the guard and waits for the balance
    halt = asyncio.create_task(raise_guard(postgres_store, origin(), "platform", halted=True))
    await asyncio.sleep(0.1)
    assert not halt.done()
    await blocker.execute("commit")
    assert len(await trade) == 1
    assert await halt == 1
