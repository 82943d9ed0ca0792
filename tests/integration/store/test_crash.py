"""The database dies or the connection breaks in mid-commit: every answer stays true, and the store goes on."""

import asyncio
import os
import random
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from uuid import UUID

import pytest

from patriot.store.api import Query, RecordedEvent, StoreUnavailable, StreamId, VersionConflict
from patriot.store.connections import Urls, connect, urls_of
from patriot.store.embedded import embedded_server
from patriot.store.open import open_store
from patriot.store.postgres import PostgresStore
from patriot.store.writer import Limits
from tests.store_samples import ACCOUNT, TENANT, append, commit, deposit, reservation, stream

pytestmark = pytest.mark.postgres

SEED = 1
KILLS = 5
CLIENTS = 20


@pytest.fixture
def folder() -> AsyncIterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-crash-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "postgres"


@pytest.mark.requirement("P3", "A6", "B12")
async def test_a_killed_server_loses_nothing_that_was_acknowledged(folder: Path):
    """Reliability case 1, the database's part: SIGKILL while commits flow."""
    chosen = random.Random(SEED)
    acknowledged: dict[UUID, int] = {}
    unavailable = kills = 0
    async with open_store(folder) as store:
        await store.commit(commit(balances=[deposit("1000000")]))
        done = asyncio.Event()

        async def trade() -> None:
            nonlocal unavailable
            while not done.is_set():
                to, version = stream(), 0
                while version < 4 and not done.is_set():
                    try:
                        await store.commit(append(to, version, balances=[reservation("1")]))
                        version += 1
                        acknowledged[to.id] = version
                    except (StoreUnavailable, VersionConflict):  # a repeated commit that had landed after all
                        unavailable += 1
                        version = len(await reload(store, to))

        traders = [asyncio.create_task(trade()) for _ in range(CLIENTS)]
        for _ in range(KILLS):
            await asyncio.sleep(chosen.uniform(0.1, 0.4))
            os.kill(server_pid(folder), signal.SIGKILL)
            kills += 1
            await store_answers(store)
        done.set()
        await asyncio.gather(*traders)
        await store_answers(store)
        events = [event async for event in store.read()]
        (row,) = await store.find(Query("buying_power", TENANT, {"account_id": ACCOUNT}))
    print(f"seed {SEED}: {kills} kills, {len(events)} events, {unavailable} unavailable, 0 lost, 0 twice")
    stored: dict[UUID, list[int]] = {}
    for event in events:
        stored.setdefault(event.stream.id, []).append(event.version)
    lost = {
        id_: version
        for id_, version in acknowledged.items()
        if stored.get(id_, [])[:version] != list(range(1, version + 1))
    }
    assert lost == {}
    assert all(versions == list(range(1, len(versions) + 1)) for versions in stored.values())
    assert row["reserved"] == sum(
        event.stream.id in acknowledged for event in events
    )  # each event with its reservation, whole
    assert len(acknowledged) > KILLS * CLIENTS


async def reload(store: PostgresStore, to: StreamId) -> Sequence[RecordedEvent]:
    while True:
        with suppress(StoreUnavailable):
            return await store.load(to)
        await asyncio.sleep(0.05)


async def store_answers(store: PostgresStore) -> None:
    """Wait until the server is back: the dying one's sessions may answer a little longer, so a commit has to pass."""
    async with asyncio.timeout(20):
        for _ in range(2):
            await committed(store)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n", 1)[0])


# A connection that breaks at a chosen message


class Cut:
    """A unix socket in front of the server's, which cuts the connection before or after a chosen message passes."""

    def __init__(self, server: str) -> None:
        self._server = server
        self.before: Callable[[bytes], bool] = lambda _: False
        self.after: Callable[[bytes], bool] = lambda _: False
        self.cuts = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_unix_connection(self._server)
        down = asyncio.create_task(self._pass(up_reader, writer))
        with suppress(ConnectionError):
            while data := await reader.read(1 << 20):
                if self.before(data):
                    self.cuts += 1
                    break
                if self.after(data):
                    self.cuts += 1
                    await cancelled(down)  # the server's answer gets lost
                    up_writer.write(data)
                    await up_reader.read(1 << 16)  # it has answered, so the commit is durable
                    break
                up_writer.write(data)
                await up_writer.drain()
        await cancelled(down)
        for end in (writer, up_writer):
            end.close()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
            writer.close()


async def cancelled(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


def once(marker: bytes) -> Callable[[bytes], bool]:
    """True for the first message that holds the marker."""
    seen: list[bytes] = []

    def holds(data: bytes) -> bool:
        if marker in data and not seen:
            seen.append(data)
            return True
        return False

    return holds


@asynccontextmanager
async def cut_store(database: str) -> AsyncIterator[tuple[PostgresStore, Cut]]:
    """A store whose writer speaks through a Cut."""
    folder = database.partition("host=")[2].partition("&")[0]
    cut = Cut(f"{folder}/.s.PGSQL.5432")
    with tempfile.TemporaryDirectory() as proxy:
        listener = await asyncio.start_unix_server(cut.serve, f"{proxy}/.s.PGSQL.5432")
        urls = urls_of(database)
        store = await PostgresStore.open(urls)
        through = urls.system.replace(folder, proxy)
        await store._writer.close()
        store._writer = type(store._writer)(lambda: connect(through))
        await store._writer.start()
        yield store, cut
        await store.close()
        listener.close()
        await listener.wait_closed()


PLAIN: dict[str, object] = {}
WITH_BALANCE: dict[str, object] = {"balances": [deposit("1")]}
MARKER = b"cut-here-please"


def marked(to: object, **parts: object) -> object:
    made = append(to, **parts)  # type: ignore[arg-type]
    (one,) = made.appends
    event = one.events[0]._replace(data=b'{"note": "%s"}' % MARKER)
    return type(made)(made.origin, made.occurred_at, [type(one)(one.stream, 0, [event])], made.balances)


@pytest.mark.parametrize(("parts", "marker"), [(PLAIN, MARKER), (WITH_BALANCE, b"commit\0")])
async def test_a_commit_whose_answer_is_lost_is_found_and_acknowledged(
    database: str, parts: dict[str, object], marker: bytes
):
    to = stream()
    async with cut_store(database) as (store, cut):
        cut.after = once(marker)
        (recorded,) = await store.commit(marked(to, **parts))  # type: ignore[arg-type]
        (loaded,) = await store.load(to)
        assert cut.cuts == 1
        assert (loaded.position, loaded.version) == (recorded.position, 1)
        assert len(await store.commit(append(to, 1))) == 1  # the store goes on


@pytest.mark.parametrize(("parts", "marker"), [(PLAIN, MARKER), (WITH_BALANCE, b"commit\0")])
async def test_a_commit_that_never_arrived_is_unavailable_and_not_written(
    database: str, parts: dict[str, object], marker: bytes
):
    to = stream()
    async with cut_store(database) as (store, cut):
        cut.before = once(marker)
        with pytest.raises(StoreUnavailable):
            await store.commit(marked(to, **parts))  # type: ignore[arg-type]
        assert cut.cuts == 1
        assert await store.load(to) == []
        assert len(await store.commit(append(to))) == 1


async def test_a_connection_lost_before_the_commit_is_not_even_noticed(database: str):
    to = stream()
    async with cut_store(database) as (store, cut):
        cut.before = once(b"begin")
        assert len(await store.commit(append(to, **WITH_BALANCE))) == 1
        assert cut.cuts == 1
        assert len(await store.load(to)) == 1


async def test_commits_wait_for_a_server_that_starts_again(folder: Path):
    async with open_store(folder) as store:
        os.kill(server_pid(folder), signal.SIGKILL)
        results = await asyncio.gather(*(committed(store) for _ in range(5)))
    assert results == [1] * 5


async def committed(store: PostgresStore) -> int:
    to = stream()
    while True:
        try:
            return len(await store.commit(append(to)))
        except StoreUnavailable:
            if events := await reload(store, to):
                return len(events)


async def test_without_a_server_everything_is_unavailable_in_bounded_time(folder: Path):
    async with embedded_server(folder) as server:
        urls = Urls(server.url(user="patriot_system"), server.url(user="patriot_app"))
        async with open_store(folder):
            pass
        store = await PostgresStore.open(urls, limits=Limits(reconnect_seconds_max=0.2))
        await asyncio.to_thread(server.stop)
        async with asyncio.timeout(5):
            results = await asyncio.gather(*(store.commit(append(stream())) for _ in range(5)), return_exceptions=True)
        assert {type(result) for result in results} == {StoreUnavailable}
        for call in (store.load(stream()), store.outbox_depth(), store.find(Query("orders", None))):
            with pytest.raises(StoreUnavailable):
                await call
        await store.close()
