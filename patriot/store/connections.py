"""Connections to PostgreSQL under the right role. Rule: requests run under a role that row-level security binds.

ConnectionError, OSError and the driver's own errors of a lost connection leave this package as StoreUnavailable.
"""

import contextlib
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple, TypeAlias
from urllib.parse import urlencode, urlsplit, urlunsplit
from uuid import UUID

import asyncpg

from patriot.store.api import StoreError, StoreUnavailable
from patriot.telemetry.metrics import metrics

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"

LOST = (
    OSError,  # ConnectionError and TimeoutError among them
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_COMMAND_SECONDS_MAX = 30

# The writer looks up keys and nothing else. Its plans are made once, often while the tables are still empty: a plan
# that scans a table would be kept while the table grows.
_WRITER_PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}


class StartRefused(StoreError):
    """The database's settings would break a promise of the store; the text says which and how to mend it."""


class Urls(NamedTuple):
    """Where to connect: `system` for the writer, relay and projections, `app` for tenants' reads."""

    system: str
    app: str


def urls_of(dsn: str) -> Urls:
    """Both URLs from one login that may act as patriot_system and patriot_app (set as the session's role)."""
    return Urls(with_parameter(dsn, role="patriot_system"), with_parameter(dsn, role="patriot_app"))


def with_parameter(dsn: str, **parameters: str) -> str:
    parts = urlsplit(dsn)
    query = "&".join(part for part in (parts.query, urlencode(parameters)) if part)
    return urlunsplit(parts._replace(query=query))


async def prepare(connection: Connection) -> None:
    """Set the codecs: JSON goes in and comes out as its bytes."""
    await connection.set_type_codec("jsonb", schema="pg_catalog", format="binary", encoder=_json_in, decoder=_json_out)


async def connect(dsn: str) -> Connection:
    """A single connection for the writer, with plans that are made once."""
    connection = await asyncpg.connect(
        dsn,
        timeout=10,
        command_timeout=_COMMAND_SECONDS_MAX,
        max_cached_statement_lifetime=0,
        server_settings={"application_name": "patriot writer", **_WRITER_PLANS},
    )
    await prepare(connection)
    return connection


async def create_pool(dsn: str, size: int, name: str, connect_seconds_max: float = 10) -> Pool:
    pool = await asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=size,
        timeout=connect_seconds_max,
        command_timeout=_COMMAND_SECONDS_MAX,
        max_inactive_connection_lifetime=300,
        init=prepare,
        reset=_leave,
        server_settings={"application_name": f"patriot {name}"},
    )
    metrics.store_connections(name, "open").set_function(pool.get_size)
    metrics.store_connections(name, "idle").set_function(pool.get_idle_size)
    return pool


@contextlib.asynccontextmanager
async def as_tenant(pool: Pool, tenant_id: UUID) -> AsyncIterator[Connection]:
    """A connection of the request role whose transaction sees this tenant alone and writes nothing."""
    async with pool.acquire() as connection:
        # one round trip; set local is set_config(…, true), and a UUID needs no quoting
        await connection.execute(f"begin read only; set local patriot.tenant_id = '{UUID(int=tenant_id.int)}'")
        try:
            yield connection  # type: ignore[misc]
        finally:
            await connection.execute("rollback")


@contextlib.contextmanager
def unavailable_when_lost() -> Iterator[None]:
    """Turn every way to lose a connection into StoreUnavailable."""
    try:
        yield
    except LOST as error:
        raise StoreUnavailable(f"the database did not answer: {error or type(error).__name__}") from error


async def refuse_unsafe(app: Pool, system: Pool, connections: int) -> None:
    """Check the roles and the number of connections. Raises StartRefused."""
    role, bypasses = await role_of(app)
    if bypasses:
        raise StartRefused(
            f"the request role {role!r} bypasses row-level security, so tenants would see each other's rows: "
            "let requests connect as patriot_app"
        )
    role, bypasses = await role_of(system)
    if not bypasses:
        raise StartRefused(f"the system role {role!r} is bound by row-level security: connect as patriot_system")
    free = await system.fetchval(
        "select current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int"
    )
    if connections > free:
        raise StartRefused(
            f"the pools may open {connections} connections, the server grants {free}: "
            "lower the pool sizes or raise max_connections"
        )


async def role_of(asked: Pool) -> tuple[str, bool]:
    """As whom it reads, and whether row-level security does not bind that role."""
    row = await asked.fetchrow(
        "select rolname, rolsuper or rolbypassrls as bypasses from pg_roles where rolname = current_user"
    )
    assert row is not None, "the current user has a role"
    return row["rolname"], row["bypasses"]


async def _leave(_connection: object) -> None:
    """Nothing to reset: what a tenant's transaction sets ends with it. Saves a round trip per read."""


def _json_in(data: Any) -> bytes:
    return b"\x01" + bytes(data)


def _json_out(data: Any) -> bytes:
    return bytes(data[1:])
