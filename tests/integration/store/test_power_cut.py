"""Case 16 of the reliability cases, as far as it can be proved without cutting the power.

A SIGKILL leaves the page cache alone, so it proves nothing here. What is proved: the database keeps PostgreSQL's
promise switched on, and what is acknowledged is in write-ahead log that has been flushed by then. Not proved: that the
disk tells the truth about a flush.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from patriot.store.embedded import EmbeddedServer
from patriot.store.open import open_store
from tests.store_samples import append, stream

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("P3")]

COMMITS = 20
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
