"""Migrations on a real server: from empty, from the previous version, and what is refused."""

import asyncio
import shutil
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest
from structlog.testing import capture_logs

from patriot.cli import doctor
from patriot.store.api import Inbox, Query, Refused, Row, StoreUnavailable
from patriot.store.migrate import FOLDER, MigrationRefused, MigrationsPending, migrate, migrations, require_current
from patriot.store.open import open_store
from patriot.store.postgres import PostgresStore
from patriot.store.tables import SQL_TYPES, TABLES
from tests.store_samples import NOW, TENANT, answer, commit

pytestmark = pytest.mark.postgres


async def fetch(url: str, query: str, *values: object) -> list[asyncpg.Record]:
    connection = await asyncpg.connect(url)
    try:
        rows: list[asyncpg.Record] = await connection.fetch(query, *values)
        return rows
    finally:
        await connection.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of the migrations that a test may change."""
    return Path(shutil.copytree(FOLDER, tmp_path / "sql"))


async def test_looking_migrates_nothing(empty_database: str, folder: Path):
    with pytest.raises(MigrationsPending, match="0001_roles, 0002"):
        await require_current(empty_database)
    assert await fetch(empty_database, "select from pg_class where relname = 'schema_migrations'") == []
    await migrate(empty_database)
    await require_current(empty_database)
    number = len(migrations()) + 1
    (folder / f"{number:04}_next.sql").write_text("select 1")
    with pytest.raises(MigrationsPending, match=f"{number:04}_next$"):
        await require_current(empty_database, folder)
    with pytest.raises(MigrationsPending):
        await require_current(empty_database.replace("/test_", "/absent_"))


async def test_doctor_tells_of_migrations_and_applies_none(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("PATRIOT_DATABASE_URL", empty_database)
    found = {one["check"]: one for one in await asyncio.to_thread(doctor.run, tmp_path)}["database"]
    assert (found["state"], "0001_roles" in found["finding"]) == ("note", True)
    assert await fetch(empty_database, "select from pg_class where relname = 'schema_migrations'") == []


@pytest.mark.requirement("P3")
async def test_migrate_builds_everything_from_empty_and_then_nothing(empty_database: str):
    assert await migrate(empty_database) == [migration.name for migration in migrations()]
    assert await migrate(empty_database) == []


@pytest.mark.requirement("P3")
async def test_migrate_goes_on_from_the_previous_version_and_keeps_the_data(empty_database: str, folder: Path):
    newest = migrations(folder)[-1]
    (folder / f"{newest.name}.sql").rename(folder / "newest")
    await migrate(empty_database, folder)
    await fetch(empty_database, "insert into instruments (id, version) values ('BINANCE:BTC/USDT', 1)")
    (folder / "newest").rename(folder / f"{newest.name}.sql")
    assert await migrate(empty_database, folder) == [newest.name]
    assert len(await fetch(empty_database, "select * from instruments")) == 1


async def test_two_starters_do_not_collide(empty_database: str):
    applied = await asyncio.gather(*(migrate(empty_database) for _ in range(4)))
    assert sorted(map(len, applied)) == [0, 0, 0, len(migrations())]


async def test_migrate_refuses_a_file_that_changed_after_it_was_applied(empty_database: str, folder: Path):
    await migrate(empty_database, folder)
    changed = folder / f"{migrations(folder)[1].name}.sql"
    changed.write_text(changed.read_text() + "\n-- changed")
    with pytest.raises(MigrationRefused, match="0002_event_store was changed"):
        await migrate(empty_database, folder)


async def test_text_that_failed_elsewhere_is_replaced_where_the_first_was_applied(empty_database: str, folder: Path):
    await migrate(empty_database, folder)
    newest = migrations(folder)[-1]
    changed = folder / f"{newest.name}.sql"
    changed.write_text(f"-- replaces {newest.checksum} (no server could apply it)\nselect 1;")
    assert await migrate(empty_database, folder) == []
    changed.write_text(f"-- replaces {newest.checksum[::-1]}\nselect 1;")
    with pytest.raises(MigrationRefused, match=f"{newest.name} was changed"):
        await migrate(empty_database, folder)


async def test_migrate_refuses_a_database_that_is_ahead_of_the_files(empty_database: str, folder: Path):
    await migrate(empty_database, folder)
    newest, before = migrations(folder)[-1].name, migrations(folder)[-2].name
    (folder / f"{newest}.sql").unlink()
    with pytest.raises(
        MigrationRefused, match=f"{newest} was applied .* by a later version; this one ends with {before}"
    ):
        await migrate(empty_database, folder)


@pytest.mark.requirement("T10")
async def test_version_before_runs_on_a_database_that_is_ahead_and_says_so(empty_database: str, folder: Path):
    await migrate(empty_database, folder)
    newest, before = migrations(folder)[-1].name, migrations(folder)[-2].name
    with capture_logs() as quiet:
        await require_current(empty_database, folder)
    (folder / f"{newest}.sql").unlink()
    with capture_logs() as told:
        await require_current(empty_database, folder)
    assert quiet == []
    assert [(one["log_level"], one["newer"], one["ours"]) for one in told] == [("warning", [newest], before)]


@pytest.mark.requirement("P14", "C2")
async def test_part_starts_with_a_login_that_may_change_no_table(empty_database: str, tmp_path: Path):
    """As in a cluster: one login migrates, another serves, and has no right to make a table."""
    await migrate(empty_database)
    await fetch(empty_database, "create role parts login")
    try:
        await fetch(empty_database, "grant patriot_app, patriot_system to parts")
        url = empty_database.replace("postgres@", "parts@")
        async with open_store(tmp_path, url, may_change=False) as store:
            assert await store.outbox_depth() == 0
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await migrate(url)
    finally:
        await fetch(empty_database, "drop role parts")


async def test_a_migration_that_fails_leaves_nothing_behind(empty_database: str, folder: Path):
    bad = folder / f"{len(migrations()) + 1:04}_bad.sql"
    bad.write_text("create table half (id int); select 1 / 0;")
    with pytest.raises(MigrationRefused, match=f"{bad.stem}: the server does not take it: division by zero"):
        await migrate(empty_database, folder)
    assert await fetch(empty_database, "select * from pg_tables where tablename = 'half'") == []
    bad.write_text("create table whole (id int);")
    assert await migrate(empty_database, folder) == [bad.stem]


@pytest.mark.requirement("P3")
async def test_the_tables_are_as_declared(database: str):
    rows = await fetch(
        database,
        "select table_name, column_name, data_type from information_schema.columns where table_schema = 'public'",
    )
    columns: dict[str, dict[str, str]] = {}
    for name, column, kind in rows:
        columns.setdefault(name, {})[column] = kind
    for table in TABLES.values():
        declared = {column: SQL_TYPES[kind] for column, kind in table.all_columns.items()}
        assert columns[table.name] == declared, table.name


@pytest.mark.requirement("P3", "P20")
async def test_the_tables_keys_are_as_declared(database: str):
    for table in TABLES.values():
        rows = await fetch(
            database,
            "select a.attname from pg_index i"
            " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey)"
            " where i.indrelid = $1::text::regclass and i.indisprimary order by array_position(i.indkey, a.attnum)",
            table.name,
        )
        assert tuple(row["attname"] for row in rows) == table.full_key, table.name


@pytest.mark.requirement("P3", "P20")
async def test_the_indexes_have_the_names_of_the_sources(database: str):
    names = {row["indexname"] for row in await fetch(database, "select indexname from pg_indexes")}
    assert {"idx_event_store_aggregate", "idx_event_store_type", "idx_orders_user_status"} <= names


@pytest.mark.requirement("P3", "A4")
async def test_row_level_security_is_forced_on_every_table_with_a_tenant(database: str):
    rows = await fetch(
        database,
        "select relname, relrowsecurity and relforcerowsecurity as forced,"
        " exists (select from pg_policy where polrelid = c.oid) as policy, pg_get_userbyid(relowner) as owner"
        " from pg_class c where relkind in ('r', 'p') and not relispartition and exists ("
        " select from pg_attribute where attrelid = c.oid and attname = 'tenant_id')"
        " and relnamespace = 'public'::regnamespace",
    )
    assert len(rows) > 15
    for row in rows:
        assert row["forced"], row
        assert row["policy"], row
        assert row["owner"] == "patriot_owner", row


@pytest.mark.requirement("P15")
async def test_every_written_row_has_a_correlation_id(database: str):
    rows = await fetch(
        database,
        "select relname from pg_class c where relkind in ('r', 'p') and not relispartition"
        " and relnamespace = 'public'::regnamespace and exists (select from pg_attribute"
        " where attrelid = c.oid and attname = 'tenant_id') and not exists (select from pg_attribute"
        " where attrelid = c.oid and attname = 'correlation_id')",
    )
    # an outbox row points to an event, a snapshot is a cache of events: both have theirs there
    assert {row["relname"] for row in rows} == {"outbox", "snapshots"}


# Time series


async def partitions(url: str, table: str) -> set[str]:
    rows = await fetch(
        url, "select inhrelid::regclass::text as name from pg_inherits where inhparent = $1::text::regclass", table
    )
    return {row["name"] for row in rows}


async def hypertables(url: str) -> set[str]:
    """Empty where the server has no TimescaleDB."""
    if not await fetch(url, "select from pg_extension where extname = 'timescaledb'"):
        return set()
    return {row[0] for row in await fetch(url, "select hypertable_name from timescaledb_information.hypertables")}


@pytest.mark.requirement("P3")
async def test_time_series_are_hypertables_where_the_server_has_them(empty_database: str):
    """Runs where PATRIOT_TEST_SERVER names a server with TimescaleDB."""
    await migrate(empty_database)
    made = await hypertables(empty_database)
    if not made:
        pytest.skip("this server has no TimescaleDB; PATRIOT_TEST_SERVER may name one that has")
    names = {row["name"] for row in await fetch(empty_database, "select name from time_series")}
    assert names <= made
    old, new = (datetime(year, 6, 1, tzinfo=UTC) for year in (2026, 2027))
    for moment in (old, new):
        await fetch(empty_database, "insert into ticks values ($1, 'BINANCE:BTC/USDT', '1', 1, 1, 'buy')", moment)
    assert (await fetch(empty_database, "select drop_expired_partitions($1)", new))[0][0] == 1
    assert [row["time"] for row in await fetch(empty_database, "select time from ticks")] == [new]
    jobs = await fetch(
        empty_database, "select proc_name, owner::text from timescaledb_information.jobs where job_id >= 1000"
    )
    has_jobs = (await fetch(empty_database, "select current_setting('timescaledb.license') = 'timescale'"))[0][0]
    wanted = {"policy_compression", "policy_refresh_continuous_aggregate"} if has_jobs else set()
    assert {row["proc_name"] for row in jobs} == wanted
    assert {row["owner"] for row in jobs} <= {"patriot_owner"}


@pytest.mark.requirement("P3")
async def test_partitions_are_made_ahead_and_dropped_by_retention(empty_database: str):
    await migrate(empty_database)
    if await hypertables(empty_database):
        pytest.skip("TimescaleDB makes chunks instead")
    moment = datetime(2031, 1, 15, tzinfo=UTC)
    await fetch(empty_database, "select create_partitions($1)", moment)
    ahead = {"ticks_2031_01", "ticks_2031_02", "ticks_2031_03", "ticks_2031_04"}
    assert ahead <= await partitions(empty_database, "ticks")
    assert (await fetch(empty_database, "select create_partitions($1)", moment))[0][0] == 0
    await fetch(empty_database, "select drop_expired_partitions($1)", moment + timedelta(days=140))
    assert await partitions(empty_database, "ticks") == {"ticks_default", "ticks_2031_03", "ticks_2031_04"}
    assert "ohlc_2031_01" in await partitions(empty_database, "ohlc")


@pytest.mark.requirement("P3")
async def test_rows_of_any_time_are_taken(empty_database: str):
    await migrate(empty_database)
    for year in (2017, 2026, 2040):
        moment = datetime(year, 6, 1, tzinfo=UTC)
        await fetch(empty_database, "insert into ticks values ($1, 'BINANCE:BTC/USDT', '1', 1, 1, 'buy')", moment)
    assert len(await fetch(empty_database, "select * from ticks")) == 3
    await fetch(empty_database, "select create_partitions($1)", datetime(2040, 5, 1, tzinfo=UTC))
    assert len(await fetch(empty_database, "select * from ticks")) == 3


@pytest.mark.requirement("P3")
async def test_ticks_roll_up_into_minute_bars(database: str):
    start = datetime(2026, 11, 21, 12, tzinfo=UTC)
    for number, price in enumerate((10, 14, 9, 12, 20)):
        moment = start + timedelta(seconds=20 * number)
        await fetch(database, "insert into ticks values ($1, 'X', $2, $3, 0.5, 'buy')", moment, str(number), price)
    query = "select roll_up_ohlc($1, $2)"
    assert (await fetch(database, query, start, start + timedelta(minutes=2)))[0][0] == 2
    assert (await fetch(database, query, start, start + timedelta(minutes=2)))[0][0] == 2  # again: the same
    bars = await fetch(database, "select time, open, high, low, close, volume, trades from ohlc order by time")
    assert [tuple(bar) for bar in bars] == [
        (start, 10, 14, 9, 9, 1.5, 3),
        (start + timedelta(minutes=1), 12, 20, 12, 20, 1, 2),
    ]


@pytest.mark.requirement("P3", "P13")
async def test_keeping_house_forgets_what_has_expired(postgres_store: PostgresStore):
    old, now = NOW - timedelta(days=31), NOW
    for moment, key in ((old, "old"), (now, "new")):
        value = {"store": "cache", "key": key, "value": b"1", "expires_at": moment + timedelta(minutes=5)}
        parts = {"inbox": Inbox("portfolio", key), "idempotency": answer(key), "rows": [Row("state", value)]}
        await postgres_store.commit(commit(occurred_at=moment, **parts))
    tick = {"instrument": "X", "time": now - timedelta(minutes=2), "trade_id": "1", "price": 5, "quantity": 2}
    await postgres_store.commit(commit(rows=[Row("ticks", tick)]))
    await postgres_store.keep_house(now)
    assert [row["key"] for row in await postgres_store.find(Query("state", TENANT))] == ["new"]
    (bar,) = await postgres_store.find(Query("ohlc", None, {"instrument": "X"}))
    assert (bar["interval"], bar["open"], bar["volume"]) == ("1m", 5, 2)
    await postgres_store.commit(commit(inbox=Inbox("portfolio", "old"), idempotency=answer("old")))
    for repeated in ({"inbox": Inbox("portfolio", "new")}, {"idempotency": answer("new")}):
        with pytest.raises(Refused):
            await postgres_store.commit(commit(**repeated))


@pytest.mark.requirement("P3")
async def test_minute_bars_read_alike_with_and_without_an_extension(database: str):
    rows = await fetch(
        database,
        "select column_name from information_schema.columns where table_name = 'ohlc_minutes'"
        " order by ordinal_position",
    )
    names = ["time", "instrument", "open", "high", "low", "close", "volume", "trades"]
    assert [row["column_name"] for row in rows] == names


@pytest.mark.requirement("P14", "T10")
@pytest.mark.parametrize("first", [migrate, require_current])
async def test_login_that_is_not_taken_is_told_with_its_setting_and_without_its_password(
    first: Callable[[str], Awaitable[object]], empty_database: str
):
    place = urlsplit(empty_database)
    stranger = place._replace(netloc=f"nobody:hunter2@{place.netloc.rpartition('@')[2]}").geturl()
    with pytest.raises(StoreUnavailable, match=r"as nobody: .+; see PATRIOT_DATABASE_URL") as refused:
        await first(stranger)
    assert "hunter2" not in str(refused.value)
    with pytest.raises(StoreUnavailable, match=r"the database at 127\.0\.0\.1:1 as ada: .+; see PATRIOT_DATABASE_URL"):
        await first("postgresql://ada:hunter2@127.0.0.1:1/patriot")


async def test_database_that_is_not_there_is_told(empty_database: str):
    with pytest.raises(StoreUnavailable, match='"nowhere" does not exist'):
        await migrate(urlsplit(empty_database)._replace(path="/nowhere").geturl())
    with pytest.raises(MigrationsPending):
        await require_current(urlsplit(empty_database)._replace(path="/nowhere").geturl())
