"""Reports from a real streaming standby: old by a bounded time, left when it lags or dies, never written to."""

import asyncio
import math
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from patriot.cli import doctor
from patriot.runtime.dapr.serve import store_of
from patriot.runtime.platform import platform
from patriot.runtime.settings import Settings
from patriot.store import replica as following
from patriot.store.api import Query, Report, Row
from patriot.store.connections import as_tenant, create_pool, urls_of
from patriot.store.embedded import EmbeddedServer
from patriot.store.migrate import migrate
from patriot.store.postgres import PostgresStore
from patriot.store.replica import Replica, ReplicaPlace
from patriot.telemetry.metrics import metrics
from tests.store_samples import OTHER_TENANT, TENANT, append, commit, origin, stream
from tests.support.host import Client, running_host, until_idle
from tests.support.standby import standby_of

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("P3")]

LONG, SHORT = 60.0, 1.0  # how old a report may be, in seconds


class Pair(NamedTuple):
    primary: EmbeddedServer
    standby: EmbeddedServer


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    with tempfile.TemporaryDirectory(prefix="patriot-replica-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        with EmbeddedServer(folder / "primary", {"fsync": "off"}) as primary:
            asyncio.run(prepare(primary))
            with standby_of(primary, folder) as standby:
                yield Pair(primary, standby)


async def prepare(primary: EmbeddedServer) -> None:
    await ask(primary, "create database patriot", database="postgres")
    await migrate(primary.url())


async def ask(server: EmbeddedServer, question: str, database: str = "patriot") -> Any:
    connection = await asyncpg.connect(server.url(database))
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.05)


@asynccontextmanager
async def reading(pair: Pair, lag_seconds_max: float) -> AsyncIterator[PostgresStore]:
    """A store that reads reports from the standby, and does by now."""
    place = ReplicaPlace(pair.standby.url(), lag_seconds_max)
    store = await PostgresStore.open(urls_of(pair.primary.url()), replica=place)
    try:
        assert store.replica is not None
        await eventually(lambda: is_used(store, used=True))
        yield store
    finally:
        await ask(pair.standby, "select pg_wal_replay_resume()")
        await store.close()


async def is_used(store: PostgresStore, *, used: bool) -> bool:
    assert store.replica is not None
    return store.replica.in_use is used


async def eventually(condition: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    async with asyncio.timeout(seconds):
        while not await condition():
            await asyncio.sleep(0.02)


async def replayed(pair: Pair) -> None:
    """Wait until the standby has everything."""
    position = await ask(pair.primary, "select pg_current_wal_flush_lsn()::text")
    behind = f"select pg_last_wal_replay_lsn() >= '{position}'::pg_lsn"

    async def has_it() -> bool:
        return bool(await ask(pair.standby, behind))

    await eventually(has_it)


async def write(store: PostgresStore, tenant: UUID = TENANT) -> UUID:
    """An order of this tenant: its id."""
    order = uuid4()
    await store.commit(commit(origin(tenant), rows=[Row("orders", {"id": order, "stream_version": 1})]))
    return order


async def orders(store: PostgresStore, report: Report | None, tenant: UUID = TENANT) -> set[UUID]:
    return {row["id"] for row in await store.find(Query("orders", tenant, limit=10_000, report=report))}


async def from_replica(store: PostgresStore) -> set[UUID]:
    """What the next report shows that the replica answers; a busy machine may let it fall behind for a moment."""
    before, shown = answered("replica"), set[UUID]()

    async def shows() -> bool:
        nonlocal shown
        shown = await orders(store, Report())
        return answered("replica") > before

    await eventually(shows)
    return shown


def answered(source: str) -> float:
    return float(metrics.report_reads(source)._value.get())


async def test_report_is_read_from_the_replica_and_all_else_from_the_primary(pair: Pair):
    async with reading(pair, LONG) as store:
        old = await write(store)
        await replayed(pair)
        await ask(pair.standby, "select pg_wal_replay_pause()")
        new = await write(store)
        before = answered("replica")
        shown = await orders(store, Report())
        assert (old in shown, new in shown) == (True, False), "the replica has not replayed it"
        assert {old, new} <= await orders(store, None)
        assert answered("replica") == before + 1
        assert len(await store.load(stream())) == 0
        assert len(await store.commit(append(stream()))) == 1


@pytest.mark.requirement("A4")
async def test_tenants_do_not_see_each_other_on_the_replica(pair: Pair):
    async with reading(pair, LONG) as store:
        own, others = await write(store), await write(store, OTHER_TENANT)
        await replayed(pair)
        before = answered("replica")
        for tenant, seen, hidden in ((TENANT, own, others), (OTHER_TENANT, others, own)):
            shown = await orders(store, Report(), tenant)
            assert (seen in shown, hidden in shown) == (True, False)
        assert await orders(store, Report(), UUID(int=77)) == set()
        assert answered("replica") == before + 3
        assert store.replica is not None
        assert store.replica._pool is not None
        async with store.replica._pool.acquire() as connection:  # without a tenant nothing is seen at all
            assert await connection.fetch("select id from orders") == []
            assert await connection.fetchval("select current_user::text") == "patriot_app"


async def test_nothing_can_be_written_there(pair: Pair):
    async with reading(pair, LONG) as store:
        assert store.replica is not None
        assert store.replica._pool is not None
        async with as_tenant(store.replica._pool, TENANT) as connection:
            with pytest.raises((asyncpg.ReadOnlySQLTransactionError, asyncpg.InsufficientPrivilegeError)):
                await connection.execute("delete from orders")


async def test_lagging_replica_is_left_and_taken_again(pair: Pair):
    with capture_logs() as logs:
        async with reading(pair, SHORT) as store:
            await ask(pair.standby, "select pg_wal_replay_pause()")
            new = await write(store)
            started, report = time.monotonic(), Report()
            while new not in await orders(store, report := Report()):
                assert time.monotonic() - started < 20, "what is old must not be shown for ever"
                await asyncio.sleep(0.01)
            await eventually(lambda: is_used(store, used=False))
            assert store.replica is not None
            assert store.replica.lag_seconds > SHORT
            assert "behind" in store.replica.left_because
            await ask(pair.standby, "select pg_wal_replay_resume()")
            assert new in await from_replica(store)
            before = answered("replica")
            assert new in await orders(store, report), "what was begun at the primary ends there"
            assert answered("replica") == before
    told = {entry["event"] for entry in logs if entry["event"].startswith("reports are")}
    assert told == {"reports are read from the replica", "reports are read from the primary"}


async def test_report_that_has_shown_more_is_not_shown_less(pair: Pair):
    """By another standby behind the same address, say: each read looks at its own connection's server."""
    async with reading(pair, LONG) as store:
        await replayed(pair)
        await ask(pair.standby, "select pg_wal_replay_pause()")
        new, report = await write(store), Report()
        assert new not in await orders(store, report)
        report.seen += 1
        assert new in await orders(store, report)
        assert report.seen == math.inf


async def test_replica_of_an_idle_primary_does_not_lag(pair: Pair):
    """Nothing is written, so nothing is replayed: the last replayed commit grows old, the data does not."""
    async with reading(pair, SHORT) as store:
        await replayed(pair)
        await ask(pair.primary, "checkpoint")
        await replayed(pair)
        await ask(pair.standby, "select pg_wal_replay_pause()")
        await asyncio.sleep(2 * SHORT)
        await from_replica(store)


async def test_killed_replica_costs_no_failed_report(pair: Pair):
    async with reading(pair, SHORT) as store:
        own = await write(store)
        await replayed(pair)
        asked, gone = 0, asyncio.Event()

        async def reader() -> None:
            nonlocal asked
            while not gone.is_set():
                assert own in await orders(store, Report())
                asked += 1

        readers = [asyncio.create_task(reader()) for _ in range(4)]
        await asyncio.sleep(0.2)
        assert pair.standby.pid is not None
        os.kill(pair.standby.pid, signal.SIGKILL)
        await eventually(lambda: is_used(store, used=False))
        keeper = asyncio.create_task(pair.standby.keep_running())
        await eventually(lambda: is_used(store, used=True))
        gone.set()
        await asyncio.gather(*readers)
        assert asked > len(readers)
        keeper.cancel()
        await asyncio.gather(keeper, return_exceptions=True)


async def test_replica_that_hangs_holds_nobody_for_long(pair: Pair, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(following, "ANSWER_SECONDS_MAX", 0.3)
    async with reading(pair, LONG) as store:
        own = await write(store)
        await replayed(pair)
        processes = [pair.standby.pid, *children_of(pair.standby.pid)]
        for process in processes:
            os.kill(process, signal.SIGSTOP)
        try:
            async with asyncio.timeout(10):
                assert own in await orders(store, Report())
            await eventually(lambda: is_used(store, used=False))
        finally:
            for process in processes:
                os.kill(process, signal.SIGCONT)
        await eventually(lambda: is_used(store, used=True))


def children_of(parent: int | None) -> list[int]:
    found = Path("/proc").glob("[0-9]*/status")
    return [int(path.parent.name) for path in found if f"\nPPid:\t{parent}\n" in path.read_text(errors="replace")]


@pytest.mark.parametrize("wrong", ["no standby", "of another database", "bypasses row-level security"])
async def test_what_is_no_standby_of_this_database_is_not_read(pair: Pair, server: EmbeddedServer, wrong: str):
    asked = {"no standby": pair.primary, "of another database": pair.standby}.get(wrong, pair.standby)
    primary = server.url("postgres") if wrong == "of another database" else pair.primary.url()
    pool = await create_pool(primary, 2, "system")
    replica = Replica(ReplicaPlace(asked.url(), LONG), pool, 2)
    if wrong.startswith("bypasses"):
        replica._url = asked.url()
    try:
        await replica.start()
        await eventually(lambda: said(replica, wrong))
        assert not replica.in_use
        assert await replica.fetch(Report(), TENANT, "select 1", []) is None
    finally:
        await replica.close()
        await pool.close()


async def said(replica: Replica, words: str) -> bool:
    return words in replica.left_because


async def test_doctor_shows_how_far_behind_it_is(pair: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATRIOT_DATABASE_URL", pair.primary.url())
    told = {}
    for name, url in {"standby": pair.standby.url(), "primary": pair.primary.url(), "none": ""}.items():
        monkeypatch.setenv("PATRIOT_DATABASE_REPLICA_URL", url)
        told[name] = await asyncio.to_thread(doctor._replica, tmp_path)
    assert {name: found["state"] for name, found in told.items()} == {
        "standby": "well", "primary": "wrong", "none": "well",
    }  # fmt: skip
    assert "s behind" in told["standby"]["finding"]
    assert "no standby" in told["primary"]["finding"]


async def test_settings_lead_to_the_replica_in_both_runtimes(pair: Pair, tmp_path: Path):
    urls = {"database_url": pair.primary.url(), "database_replica_url": pair.standby.url()}
    settings = Settings(data_dir=tmp_path, port=0, venue_port=0, demo=False, market="replay", **urls)
    async with store_of(settings, may_change=False) as store:
        assert isinstance(store, PostgresStore)
        await eventually(lambda: is_used(store, used=True))
    async with platform(settings) as running:
        store = running.host.runtime.store
        await eventually(lambda: is_used(store, used=True))


async def test_report_over_http_may_be_old_and_the_portfolio_is_not(pair: Pair):
    """The routes that are reports, in a whole platform; all that it writes goes to the primary."""
    async with reading(pair, LONG) as store, running_host(store=store) as host:
        user = await Client(host).register("ada")
        account = await user.paper_account(USDT="100")
        await until_idle(host)
        await replayed(pair)
        await ask(pair.standby, "select pg_wal_replay_pause()")
        await user.json("POST", f"/accounts/{account}/funds", {"asset": "USDT", "amount": "50"}, 201)
        await until_idle(host)
        assert (await flow(user), await balance(user)) == ("100", "150")
        assert (await user.json("GET", "/analytics/performance"))["trips"] == []
        await ask(pair.standby, "select pg_wal_replay_resume()")
        await replayed(pair)
        assert (await flow(user), await balance(user)) == ("150", "150")


async def flow(user: Client) -> str:
    (found,) = (await user.json("GET", "/portfolio/flows"))["flows"]
    return str(found["transferred"])


async def balance(user: Client) -> str:
    (found,) = (await user.json("GET", "/portfolio"))["balances"]
    return str(found["total"])
