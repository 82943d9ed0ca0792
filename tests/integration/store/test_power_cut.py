"""Case 16 of the reliability cases, as far as it can be proved without cutting the power.

A SIGKILL leaves the page cache alone, so it proves nothing here. What is proved: the database keeps PostgreSQL's
promise switched on, what is acknowledged is in write-ahead log that has been flushed by then, and the least that a disk
may keep of that is enough to go on. Not proved: that the disk tells the truth about a flush. PATRIOT_CUTS and
PATRIOT_SEED choose another run.
"""

import asyncio
import os
import random
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import asyncpg
import pytest

from patriot.store.api import Store
from patriot.store.embedded import EmbeddedServer
from patriot.store.open import open_store
from tests.store_samples import append, stream

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("P3")]

COMMITS = 20
CUTS = int(os.environ.get("PATRIOT_CUTS", "3"))
SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
WRITERS, EVENTS = 16, 3
FLUSHED = "select file_name, file_offset from pg_walfile_name_offset(pg_current_wal_flush_lsn())"
SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-power-") as name:
        Path(name).chmod(0o755)
        yield Path(name) / "postgres"


async def test_what_our_own_database_acknowledges_has_been_flushed(folder: Path):
    """After each answer the flushed log must reach beyond where the whole log ended before the commit."""
    flushed = 0
    async with open_store(folder) as store:
        watch = await asyncpg.connect(EmbeddedServer(folder).url())
        settings = {one: await watch.fetchval("select current_setting($1)", one) for one in SETTINGS}
        for _ in range(COMMITS):
            end = await watch.fetchval("select pg_current_wal_insert_lsn()::text")
            await store.commit(append(stream()))
            flushed += await watch.fetchval("select pg_current_wal_flush_lsn() > $1::text::pg_lsn", end)
        await watch.close()
    print(f"\npower cut: {settings}; {flushed} of {COMMITS} acknowledged commits were flushed")
    assert set(settings.values()) == {"on"}
    assert flushed == COMMITS


class Cut(NamedTuple):
    """The moment at which the power goes: what was acknowledged by then, and how far the log had been flushed."""

    acknowledged: list[UUID]
    segment: str
    offset: int


@pytest.mark.timeout(120 + 20 * CUTS)
async def test_power_cut_loses_nothing_that_was_acknowledged(folder: Path):
    """Data files as they were at the last checkpoint, and of the log not a byte beyond the flushed ones."""
    dice, cuts, before = random.Random(SEED), list[Cut](), folder.parent / "before"
    async with open_store(folder):
        pass  # migrated, and stopped: all of this is on the disk
    copy(folder, before)
    async with open_store(folder) as store:
        watch = await asyncpg.connect(EmbeddedServer(folder).url())
        acknowledged: list[UUID] = []
        writers = [asyncio.create_task(write(store, acknowledged)) for _ in range(WRITERS)]
        for _ in range(CUTS):
            await asyncio.sleep(dice.uniform(0.05, 0.3))
            known = list(acknowledged)
            cuts.append(Cut(known, *await watch.fetchrow(FLUSHED)))
        for writer in writers:
            writer.cancel()
        await asyncio.wait(writers)
        await watch.close()
        left = folder.parent / "left"
        copy(folder / "data" / "pg_wal", left)  # what was flushed at a cut has not changed since
        copy(
            folder / "data" / "global" / "pg_control", left / "pg_control"
        )  # written with a flush, when the server started
    for number, cut in enumerate(cuts):
        place = folder.parent / f"cut-{number}"
        copy(before, place)
        after_the_cut(place / "data", left, cut)
        async with open_store(place) as store:
            found = Counter([event.stream.id async for event in store.read()])
        assert set(cut.acknowledged) <= found.keys(), "acknowledged and lost"
        assert set(found.values()) <= {EVENTS}, "half a commit"
    print(f"\npower cut: seed {SEED}, {CUTS} cuts, {[len(cut.acknowledged) for cut in cuts]} acknowledged, 0 lost")
    assert cuts[-1].acknowledged


async def write(store: Store, acknowledged: list[UUID]) -> None:
    while True:
        to = stream()
        await store.commit(append(to, 0, EVENTS))
        acknowledged.append(to.id)


def after_the_cut(data: Path, left: Path, cut: Cut) -> None:
    """Give the data folder the log of the moment: whole segments, then one that ends at the flushed byte."""
    copy(left / "pg_control", data / "global" / "pg_control")
    for segment in sorted(left.glob("[0-9A-F]" * 24)):
        if segment.name <= cut.segment:
            copy(segment, data / "pg_wal" / segment.name)
    with (data / "pg_wal" / cut.segment).open("r+b") as log:
        length = log.seek(0, os.SEEK_END)
        log.seek(cut.offset)
        log.write(bytes(length - cut.offset))


def copy(source: Path, target: Path) -> None:
    """With its owner: the server runs as another user where we are root."""
    subprocess.run(["cp", "-a", "-T", source, target], check=True)
