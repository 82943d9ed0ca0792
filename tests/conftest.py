"""Shared fixtures: one embedded PostgreSQL per session, an empty migrated database for each test that asks."""

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, settings

from patriot.store.api import Store
from patriot.store.connections import urls_of
from patriot.store.embedded import EmbeddedServer
from patriot.store.memory import MemoryStore
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


class Server(Protocol):
    """A running PostgreSQL where tests make and drop databases."""

    def url(self, database: str = ...) -> str: ...


@dataclass(frozen=True, slots=True)
class GivenServer:
    """One that stands already, for example with TimescaleDB: PATRIOT_TEST_SERVER=postgresql://postgres@127.0.0.1:5432."""

    address: str

    def url(self, database: str = "patriot") -> str:
        return f"{self.address}/{database}"


@pytest.fixture
def logs_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command sets up logging for its own process: here it would be onto a stream that is gone with its runner."""
    for where in ("patriot.telemetry.logs", "patriot.cli.running"):
        monkeypatch.setattr(f"{where}.configure_logs", lambda **_: None)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """A running PostgreSQL that nobody else uses."""
    if given := os.environ.get("PATRIOT_TEST_SERVER"):
        yield GivenServer(given.rstrip("/"))
        return
    with tempfile.TemporaryDirectory(prefix="patriot-test-") as folder:
        Path(folder).chmod(0o755)
        # nothing here survives the session, so nothing needs to reach the disk
        with EmbeddedServer(Path(folder) / "postgres", {"fsync": "off", "full_page_writes": "off"}) as running:
            yield running


@pytest.fixture(scope="session")
def migrated(server: Server) -> Iterator[str]:
    """URL of a migrated database that all tests share. Sync: it belongs to no event loop."""
    name = f"tests_{uuid4().hex}"

    async def make() -> str:
        await _execute(server.url("postgres"), f"create database {name}")
        await migrate(server.url(name))
        return server.url(name)

    yield asyncio.run(make())
    asyncio.run(_execute(server.url("postgres"), f"drop database {name} with (force)"))


@pytest.fixture
async def database(migrated: str) -> AsyncIterator[str]:
    """URL of a migrated database that is emptied after the test; the login is the superuser."""
    yield migrated
    await _execute(migrated, _EMPTY)


@pytest.fixture
async def empty_database(server: Server) -> AsyncIterator[str]:
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


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.postgres)])
def store(request: pytest.FixtureRequest) -> Store:
    """Either store: what is promised, both keep."""
    if request.param == "memory":
        return MemoryStore()
    made: Store = request.getfixturevalue("postgres_store")
    return made
