"""The writer without a database: gathering, limits, and one answer for everybody."""

import asyncio
from collections.abc import Sequence
from typing import Any

import asyncpg
import pytest

from patriot.domain.errors import InvalidValue
from patriot.store import writer as module
from patriot.store.api import GuardChange, StoreUnavailable, VersionConflict
from patriot.store.batch import Entry, Outcome
from patriot.store.known import Known
from patriot.store.writer import Limits, Writer
from tests.store_samples import append, commit, stream


class Connection:
    """Counts its statements; closes when told."""

    def __init__(self) -> None:
        self.closed = False
        self.statements: list[str] = []

    def is_closed(self) -> bool:
        return self.closed

    def get_server_pid(self) -> int:
        return 1

    async def execute(self, text: str) -> None:
        self.statements.append(text)

    async def close(self) -> None:
        self.closed = True


class Batch:
    """Records what it was given and answers as `behave` says."""

    made: list["Batch"]
    running: asyncio.Event

    def __init__(self, entries: Sequence[Entry], published: Sequence[int], known: Known) -> None:
        del known
        self.entries, self.published = entries, published
        self.outcomes: list[Outcome] = []
        self.committing = False
        self.made.append(self)

    async def run(self, connection: Any) -> None:
        await self.running.wait()
        self.outcomes = [behave(entry) for entry in self.entries]

    async def landed(self, connection: Any, lost_session: int) -> bool:
        return True


def behave(entry: Entry) -> Outcome:
    version = entry.commit.appends[0].expected_version
    if version == 13:
        raise asyncpg.DataError("13 is refused")
    if version == 99:
        raise RuntimeError("a bug")
    return VersionConflict(entry.commit.appends[0].stream, version) if version == 7 else version


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    monkeypatch.setattr(module, "Batch", Batch)
    Batch.made, Batch.running = [], asyncio.Event()
    Batch.running.set()
    return Batch.made


async def started(limits: Limits | None = None) -> Writer:
    connection = Connection()

    async def connect() -> Any:
        return connection

    writer = Writer(connect, limits)
    await writer.start()
    return writer


def entry(version: int = 1, **parts: object) -> Entry:
    return Entry(append(stream(), version, **parts), ())


async def test_what_arrives_together_is_written_together(batches: list[Batch]):
    writer = await started()
    results = await asyncio.gather(*(writer.write(entry(version)) for version in range(6)))
    assert results == [0, 1, 2, 3, 4, 5]
    assert [len(batch.entries) for batch in batches] == [6]
    await writer.close()


async def test_what_arrives_meanwhile_gathers_into_batches_of_bounded_size(batches: list[Batch]):
    Batch.running.clear()
    writer = await started(Limits(batch_commits_max=4))
    tasks = [asyncio.create_task(writer.write(entry(version))) for version in range(20, 30)]
    await asyncio.sleep(0.01)
    Batch.running.set()
    assert await asyncio.gather(*tasks) == list(range(20, 30))
    assert [len(batch.entries) for batch in batches] == [4, 4, 2]
    await writer.close()


async def test_published_and_unpublished_commits_do_not_mix(batches: list[Batch]):
    writer = await started()
    await asyncio.gather(*(writer.write(entry(1, publish=number < 2)) for number in range(5)))
    assert [len(batch.entries) for batch in batches] == [2, 3]
    await writer.close()


async def test_a_full_queue_turns_away_at_once(batches: list[Batch]):
    Batch.running.clear()
    writer = await started(Limits(queue_commits_max=2))
    tasks = [asyncio.create_task(writer.write(entry())) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="full"):
        await writer.write(entry())
    Batch.running.set()
    assert await asyncio.gather(*tasks) == [1, 1]
    await writer.close()


@pytest.mark.requirement("B13")
async def test_what_lessens_risk_goes_before_what_waits_and_a_kill_switch_before_that(batches: list[Batch]):
    Batch.running.clear()
    writer = await started(Limits(batch_commits_max=2, queue_commits_max=3))
    busy = asyncio.create_task(writer.write(entry(1)))
    await asyncio.sleep(0.01)
    orders = [asyncio.create_task(writer.write(entry(version))) for version in (2, 3, 4)]
    cancels = [asyncio.create_task(writer.write(entry(version, first=True))) for version in (5, 6)]
    halt = asyncio.create_task(writer.write(entry(8, raises=[GuardChange("platform", halted=True)])))
    await asyncio.sleep(0)
    Batch.running.set()
    await asyncio.gather(busy, *orders, *cancels, halt)
    written = [[e.commit.appends[0].expected_version for e in batch.entries] for batch in batches]
    assert written == [[1], [8, 5], [6, 2], [3, 4]]
    await writer.close()


async def test_a_caller_that_left_before_the_batch_is_not_written(batches: list[Batch]):
    Batch.running.clear()
    writer = await started()
    first = asyncio.create_task(writer.write(entry(1)))
    await asyncio.sleep(0.01)
    gone, stays = (asyncio.create_task(writer.write(entry(version))) for version in (2, 3))
    await asyncio.sleep(0)
    gone.cancel()
    Batch.running.set()
    assert (await first, await stays) == (1, 3)
    assert [[e.commit.appends[0].expected_version for e in batch.entries] for batch in batches] == [[1], [3]]
    await writer.close()


async def test_a_caller_that_leaves_during_the_batch_harms_nobody(batches: list[Batch]):
    Batch.running.clear()
    writer = await started()
    gone, stays = (asyncio.create_task(writer.write(entry(version))) for version in (2, 3))
    await asyncio.sleep(0.01)
    gone.cancel()
    Batch.running.set()
    assert await stays == 3
    await writer.close()


async def test_each_gets_its_own_answer(batches: list[Batch]):
    writer = await started()
    results = await asyncio.gather(*(writer.write(entry(v)) for v in (1, 7, 13, 2)), return_exceptions=True)
    assert results[0] == 1
    assert isinstance(results[1], VersionConflict)
    assert isinstance(results[2], InvalidValue)
    assert results[3] == 2
    assert [len(batch.entries) for batch in batches] == [4, 1, 1, 1, 1]  # one by one after 13
    await writer.close()


async def test_a_bug_reaches_the_callers_and_the_writer_lives_on(batches: list[Batch]):
    writer = await started()
    with pytest.raises(RuntimeError, match="a bug"):
        await writer.write(entry(99))
    assert await writer.write(entry(1)) == 1
    await writer.close()


async def test_published_entries_ride_on_the_next_batch(batches: list[Batch]):
    writer = await started(Limits(published_linger_seconds=5))
    off = asyncio.create_task(writer.take_off([4, 5]))
    await asyncio.sleep(0)
    await writer.write(entry())
    await off
    assert [(len(batch.entries), list(batch.published)) for batch in batches] == [(1, [4, 5])]
    await writer.close()


async def test_published_entries_go_alone_when_nothing_else_comes(batches: list[Batch]):
    writer = await started(Limits(published_linger_seconds=0.001))
    await asyncio.gather(writer.take_off([4]), writer.take_off([5]))
    assert [(len(batch.entries), list(batch.published)) for batch in batches] == [(0, [4, 5])]
    await writer.close()


async def test_close_writes_what_is_queued_and_then_takes_nothing(batches: list[Batch]):
    Batch.running.clear()
    writer = await started(Limits(published_linger_seconds=60))
    task = asyncio.create_task(writer.write(entry(5)))
    off = asyncio.create_task(writer.take_off([1]))
    await asyncio.sleep(0.01)
    closing = asyncio.create_task(writer.close())
    await asyncio.sleep(0)
    Batch.running.set()
    await closing
    assert await task == 5
    await off
    for call in (writer.write(Entry(commit(), ())), writer.take_off([1])):
        with pytest.raises(StoreUnavailable, match="closed"):
            await call


async def test_no_database_is_no_hang(batches: list[Batch]):
    attempts = 0

    async def refuse() -> Any:
        nonlocal attempts
        attempts += 1
        if attempts > 1:
            raise ConnectionRefusedError("nobody there")
        return Connection()

    writer = Writer(refuse, Limits(reconnect_seconds_max=0.05, batch_commits_max=2))
    await writer.start()
    writer._connection.closed = True  # type: ignore[union-attr, misc]
    async with asyncio.timeout(2):
        results = await asyncio.gather(*(writer.write(entry()) for _ in range(9)), return_exceptions=True)
    assert {type(result) for result in results} == {StoreUnavailable}
    assert attempts > 2
    await writer.close()
