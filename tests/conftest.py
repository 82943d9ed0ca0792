"""Shared fixtures: one embedded PostgreSQL per session, a migrated database of its own for each test that asks."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest

from patriot.store.connections import urls_of
from patriot.store.embedded import EmbeddedServer
from patriot.store.migrate import migrate
from patriot.store.postgres import PostgresStore


@pytest.fixture(scope="session")
def server() -> Iterator[EmbeddedServer]:
    """A running PostgreSQL that nobody else uses."""
    with tempfile.TemporaryDirectory(prefix="patriot-test-") as folder:
        Path(folder).chmod(0o755)
        with EmbeddedServer(Path(folder) / "postgres") as running:
            yield running


@pytest.fixture(scope="session")
def _template(server: EmbeddedServer) -> str:
    """The name of a migrated database that others are copied from. Sync: it belongs to no event loop."""
    import asyncio

    async def make() -> None:
        await _execute(server, "create database patriot_template")
        await migrate(server.url("patriot_template"))

    asyncio.run(make())
    return "patriot_template"


@pytest.fixture
async def database(server: EmbeddedServer, _template: str) -> AsyncIterator[str]:
    """URL of a fresh, migrated database; the login is the superuser."""
    name = f"test_{uuid4().hex}"
    await _execute(server, f"create database {name} template {_template}")
    yield server.url(name)
    await _execute(server, f"drop database {name} with (force)")


@pytest.fixture
async def postgres_store(database: str) -> AsyncIterator[PostgresStore]:
    """A store on a fresh database."""
    store = await PostgresStore.open(urls_of(database))
    yield store
    await store.close()


async def _execute(server: EmbeddedServer, statement: str) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
