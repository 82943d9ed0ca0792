"""What the database itself refuses, whatever the code above it does."""

from collections.abc import AsyncIterator
from uuid import UUID

import asyncpg
import pytest

from patriot.store import sql
from patriot.store.api import Query, Row
from patriot.store.connections import StartRefused, Urls, urls_of, with_parameter
from patriot.store.postgres import PoolSizes, PostgresStore
from tests.store_samples import OTHER_TENANT, TENANT, answer, append, commit, deposit, origin, raise_guard, stream

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("A4")]


@pytest.fixture
async def filled(postgres_store: PostgresStore) -> None:
    """The same rows for two tenants."""
    for tenant in (TENANT, OTHER_TENANT):
        rows = [
            Row("orders", {"id": UUID(int=1), "stream_version": 1, "status": "accepted"}),
            Row("users", {"id": tenant, "stream_version": 1}),
        ]
        parts = {"rows": rows, "balances": [deposit("1")], "idempotency": answer()}
        await postgres_store.commit(append(stream(tenant=tenant), **parts))
        await raise_guard(postgres_store, origin(tenant), "user:1")


@pytest.fixture
async def app(database: str, filled: None) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls_of(database).app)
    yield connection
    await connection.close()


@pytest.fixture
async def system(database: str) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(urls_of(database).system)
    yield connection
    await connection.close()


# ruff: noqa: S608
TABLES = ("event_store", "outbox", "orders", "users", "buying_power", "idempotency", "guards", "audit_log")


@pytest.mark.parametrize("table", TABLES)
async def test_requests_see_only_their_own_tenant(app: asyncpg.Connection, table: str):
    assert await app.fetch(f"select tenant_id from {table}") == []
    for tenant in (TENANT, OTHER_TENANT):
        async with app.transaction():
            await app.execute("select set_config('patriot.tenant_id', $1, true)", str(tenant))
            assert [row["tenant_id"] for row in await app.fetch(f"select tenant_id from {table}")] == [tenant]
    assert await app.fetch(f"select tenant_id from {table}") == []  # the setting ended with its transaction


async def test_stream_that_is_read_in_one_trip_leaves_no_tenant_behind(
    app: asyncpg.Connection, system: asyncpg.Connection
):
    for tenant, other in ((TENANT, OTHER_TENANT), (OTHER_TENANT, TENANT)):
        aggregate = await system.fetchval("select aggregate_id from event_store where tenant_id = $1", tenant)
        assert [row["tenant_id"] for row in await app.fetch(sql.LOAD, tenant, aggregate, 0)] == [tenant]
        assert await app.fetch("select from event_store") == []
        assert await app.fetch(sql.LOAD, other, aggregate, 0) == []


@pytest.mark.parametrize("table", ["event_store", "orders", "buying_power", "outbox", "guards", "instruments"])
async def test_requests_write_nothing(app: asyncpg.Connection, table: str):
    for statement in (f"delete from {table}", f"truncate {table}", f"insert into {table} select * from {table}"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await app.execute(statement)


async def test_requests_cannot_become_another_role(migrated: str):
    connection = await asyncpg.connect(migrated.replace("postgres@", "patriot_app@"))
    try:
        for role in ("patriot_system", "patriot_owner", "postgres"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(f"set role {role}")
    finally:
        await connection.close()


@pytest.mark.requirement("P2")
@pytest.mark.parametrize(
    "statement", ["update event_store set actor = ''", "delete from event_store", "truncate event_store"]
)
async def test_events_are_immutable_even_for_the_system(database: str, filled: None, statement: str):
    connection = await asyncpg.connect(urls_of(database).system)
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute(statement)
        await connection.execute("reset role; set role postgres")
        with pytest.raises(asyncpg.RaiseError, match="never changed"):
            await connection.execute(statement)
    finally:
        await connection.close()


async def test_start_is_refused_if_requests_bypass_row_level_security(database: str):
    urls = urls_of(database)
    for role in (database, urls.system):
        with pytest.raises(StartRefused, match="bypasses row-level security"):
            await PostgresStore.open(Urls(urls.system, role))


async def test_start_is_refused_if_the_system_is_bound_to_a_tenant(database: str):
    urls = urls_of(database)
    with pytest.raises(StartRefused, match="bound by row-level security"):
        await PostgresStore.open(Urls(urls.app, urls.app))


async def test_start_is_refused_if_the_pools_do_not_fit(database: str):
    with pytest.raises(StartRefused, match="max_connections"):
        await PostgresStore.open(urls_of(database), PoolSizes(app=10, system=4, processes=10))


@pytest.mark.requirement("P2", "P15", "P22")
async def test_the_audit_log_tells_who_did_what(database: str, filled: None):
    connection = await asyncpg.connect(with_parameter(database, role="patriot_system"))
    try:
        rows = await connection.fetch("select * from audit_log where tenant_id = $1", TENANT)
    finally:
        await connection.close()
    (entry,) = rows
    assert (entry["actor"], entry["action"], entry["aggregate_type"]) == ("user:4", "order.created", "order")
    assert (entry["correlation_id"], entry["causation_id"]) == (origin().correlation_id, origin().causation_id)


async def test_the_users_balances_are_summed_over_accounts(postgres_store: PostgresStore, database: str):
    for number in (1, 2):
        account = {"id": UUID(int=number), "user_id": UUID(int=9), "stream_version": 1}
        held = {
            "account_id": UUID(int=number),
            "asset": "BTC",
            "total": number,
            "free": 1,
            "used": 0,
            "stream_version": 1,
        }
        await postgres_store.commit(commit(rows=[Row("user_accounts", account), Row("account_balances", held)]))
    connection = await asyncpg.connect(urls_of(database).system)
    try:
        (row,) = await connection.fetch("select * from user_balances")
    finally:
        await connection.close()
    assert (row["user_id"], row["asset"], row["total"], row["free"]) == (UUID(int=9), "BTC", 3, 2)


async def test_a_tenant_left_open_does_not_leak_into_the_next_read(postgres_store: PostgresStore, filled: None):
    for _ in range(20):  # more reads than connections
        assert len(await postgres_store.find(Query("orders", TENANT))) == 1
        assert await postgres_store.find(Query("orders", UUID(int=77))) == []
