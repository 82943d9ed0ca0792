"""From nothing to a store that is ready: start the embedded server or take the given one, migrate, connect."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from patriot.store.connections import Urls, urls_of
from patriot.store.embedded import EmbeddedServer, embedded_server
from patriot.store.migrate import migrate, require_current
from patriot.store.postgres import PoolSizes, PostgresStore
from patriot.store.replica import ReplicaPlace
from patriot.store.writer import Limits


@asynccontextmanager
async def open_store(
    folder: Path,
    database_url: str = "",
    sizes: PoolSizes | None = None,
    limits: Limits | None = None,
    *,
    replica: ReplicaPlace | None = None,
    may_change: bool = True,
) -> AsyncIterator[PostgresStore]:
    """A migrated store, closed at the end: on the server at `database_url`, else on an embedded one in `folder`.

    Unless it `may_change`, nothing is migrated; what would have to be raises MigrationsPending.

    Raises:
        EmbeddedError, MigrationRefused, StartRefused, StoreUnavailable: with what to do about it.

    """
    async with _urls(folder, database_url, migrate if may_change else require_current) as urls:
        store = await PostgresStore.open(urls, sizes, limits, replica=replica)
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def _urls(folder: Path, database_url: str, prepare: Callable[[str], Awaitable[object]]) -> AsyncIterator[Urls]:
    if database_url:
        await prepare(database_url)
        yield urls_of(database_url)
        return
    async with embedded_server(folder) as server:
        if prepare is migrate:
            await _create_database(server)
        await prepare(server.url())
        yield embedded_urls(server)


def embedded_urls(server: EmbeddedServer) -> Urls:
    """The roles log in under their own names: no session of the platform has a superuser behind it."""
    return Urls(server.url(user="patriot_system"), server.url(user="patriot_app"))


async def _create_database(server: EmbeddedServer) -> None:
    connection = await asyncpg.connect(server.url("postgres"))
    try:
        if not await connection.fetchval("select true from pg_database where datname = 'patriot'"):
            await connection.execute("create database patriot")
    finally:
        await connection.close()
