"""Shared fixtures: one embedded PostgreSQL per session, an empty migrated database for each test that asks."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from patriot.store.connections import urls_of
from patriot.store.embedded import EmbeddedServer
from patriot.store.migrate import migrate
from patriot.store.postgres import PostgresStore

# a busy machine is no bug
settings.register_profile("patriot", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patriot")

# Deleting a few rows is far quicker than making a database. The event store's trigger is passed over.
_EMPTY = """
set session_replication_role = replica;
do $$
declare
    name regclass;
begin
    for name in select oid from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
        and not relispartition and relname not in ('schema_migrations', 'position_base', 'time_series')
    loop
        execute format('delete from %s', name);
    end loop;
end
$$;
"""


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running PostgreSQL that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="patriot-test-") as folder:
        Path(folder).chmod(0o755)
        # nothing here survives the session, so nothing needs to reach the disk
        with EmbeddedServer(Path(folder) / "postgres", {"fsync": "off", "full_page_writes": "off"}) as running:
            yield running


@pytest.fixture(scope="session")
def migrated(server: EmbeddedServer) -> str:
    """URL of a migrated database that all tests share. Sync: it belongs to no event loop."""

    async def make() -> str:
        await _execute(server.url("postgres"), "create database patriot")
        await migrate(server.url())
        return server.url()

    return asyncio.run(make())


@pytest.fixture
async def database(migrated: str) -> AsyncIterator[str]:
    """URL of a migrated database that is emptied after the test; the login is the superuser."""
    yield migrated
    await _execute(migrated, _EMPTY)


@pytest.fixture
async def empty_database(server: EmbeddedServer) -> AsyncIterator[str]:
    """URL of a database that was never migrated."""
    name = f"test_{uuid4().hex}"
    await _execute(server.url("postgres"), f"create database {name}")
    yield server.url(name)
    await _execute(server.url("postgres"), f"drop database {name} with (force)")


@pytest.fixture
async def postgres_store(database: str) -> AsyncIterator[PostgresStore]:
    """A store on an empty database."""
    store = await PostgresStore.open(urls_of(database))
    yield store
    await store.close()


async def _execute(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
