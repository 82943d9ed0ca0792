"""Numbered SQL migrations, forward only: a file that was applied must stay as it was, for ever.

The exception is a text that failed somewhere: no later file can help there. What replaces it does the same where the
first succeeded, and names its checksum: `-- replaces <sha256>`.

`schemas/sql/NNNN_name.sql` are applied in order, each in one transaction together with its row in schema_migrations.
An advisory lock lets one starter work and the others wait.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import asyncpg
import structlog

from patriot.store.api import StoreUnavailable

FOLDER = Path(__file__).parents[2] / "schemas" / "sql"
_LOCK = 7_240_110_501  # any number, the same in every starter

_NOT_TAKEN = (
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.PostgresConnectionError,
)

_TABLE = """
create table if not exists schema_migrations (
    version integer primary key,
    name text not null,
    checksum text not null,
    applied_at timestamptz not null default now()
);
grant select on schema_migrations to public
"""  # whoever starts looks whether the schema is current

_REPLACES = re.compile(r"^-- replaces ([0-9a-f]{64})\b", re.MULTILINE)

log = structlog.get_logger()


class MigrationRefused(Exception):
    """The database and the migration files do not belong together; the file that is named changed nothing."""


class MigrationsPending(Exception):
    """Files that are not applied yet; the text names them."""

    def __init__(self, pending: "Sequence[Migration]") -> None:
        names = ", ".join(migration.name for migration in pending)
        super().__init__(f"migrations to apply with `patriot migrate`: {names}")


class Migration(NamedTuple):
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return sha256(self.sql.encode()).hexdigest()

    def is_as_applied(self, checksum: str) -> bool:
        return checksum == self.checksum or checksum in _REPLACES.findall(self.sql)


def migrations(folder: Path = FOLDER) -> Sequence[Migration]:
    """Every migration file in order. Raises MigrationRefused where a number is missing or given twice."""
    found = [Migration(int(path.name[:4]), path.stem, path.read_text()) for path in sorted(folder.glob("[0-9]*_*.sql"))]
    numbers = [migration.version for migration in found]
    if numbers != list(range(1, len(found) + 1)):
        raise MigrationRefused(f"{folder}: migrations must be numbered 1, 2, 3, … without a gap; found {numbers}")
    return found


async def migrate(dsn: str, folder: Path = FOLDER) -> Sequence[str]:
    """Bring the database at `dsn` to the newest version; return the names of what was applied.

    The login of `dsn` owns the database and may act as patriot_owner; where the three roles are missing, it must be
    allowed to create them (a superuser is).

    Raises:
        MigrationRefused: a file that was applied has changed, a later version than this has applied more, or the
            server does not take a file.
        StoreUnavailable: the server does not answer, or does not take this login.

    """
    wanted = migrations(folder)
    connection = await _connect(dsn)
    try:
        await connection.execute("select pg_advisory_lock($1::bigint)", _LOCK)
        await connection.execute(_TABLE)
        applied = await _applied(connection)
        _refuse_newer(wanted, applied)
        pending = _pending(wanted, applied)
        for migration in pending:
            await _apply(connection, migration)
    finally:
        await connection.close()  # the lock goes with its session
    return [migration.name for migration in pending]


async def require_current(dsn: str, folder: Path = FOLDER) -> None:
    """Change nothing. What a later version has applied only adds: the version before it runs on that.

    Raises:
        MigrationsPending
        MigrationRefused: a file that was applied has changed.
        StoreUnavailable: the server does not answer, or does not take this login.

    """
    wanted = migrations(folder)
    try:
        connection = await _connect(dsn)
    except StoreUnavailable as error:
        if isinstance(error.__cause__, asyncpg.InvalidCatalogNameError):
            raise MigrationsPending(wanted) from None
        raise
    try:
        is_begun = await connection.fetchval("select to_regclass('schema_migrations') is not null")
        applied = await _applied(connection) if is_begun else {}
    finally:
        await connection.close()
    if pending := _pending(wanted, applied):
        raise MigrationsPending(pending)
    if newer := _newer(wanted, applied):
        log.warning("the database is newer than this code, as after a rollback", newer=newer, ours=wanted[-1].name)


async def _connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """The first of a start's connections: what is wrong with the setting shows here. Raises StoreUnavailable."""
    try:
        return await asyncpg.connect(dsn)
    except (OSError, *_NOT_TAKEN) as error:
        place = urlsplit(dsn)
        where = f"{place.hostname or 'here'}:{place.port or 5432} as {place.username or 'nobody in particular'}"
        raise StoreUnavailable(f"the database at {where}: {error}; see PATRIOT_DATABASE_URL") from error


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> Mapping[int, tuple[str, str]]:
    rows = await connection.fetch("select version, name, checksum from schema_migrations order by version")
    return {row["version"]: (row["name"], row["checksum"]) for row in rows}


def _newer(wanted: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> Sequence[str]:
    known = {migration.version for migration in wanted}
    return [name for version, (name, _) in applied.items() if version not in known]


def _refuse_newer(wanted: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> None:
    if newer := ", ".join(_newer(wanted, applied)):
        raise MigrationRefused(
            f"{newer} was applied to this database by a later version; this one ends with {wanted[-1].name}: "
            "start the later version, or restore a backup from before it"
        )


def _pending(wanted: Sequence[Migration], applied: Mapping[int, tuple[str, str]]) -> Sequence[Migration]:
    for migration in wanted:
        _, checksum = applied.get(migration.version, ("", migration.checksum))
        if not migration.is_as_applied(checksum):
            raise MigrationRefused(f"{migration.name} was changed after it was applied; add a new migration instead")
    return [migration for migration in wanted if migration.version not in applied]


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    async with connection.transaction():
        try:
            await connection.execute(migration.sql)
        except asyncpg.PostgresError as error:
            hint = getattr(error, "hint", None) or ""
            raise MigrationRefused(
                f"{migration.name}: the server does not take it: {error}. {hint}".rstrip()
            ) from error
        await connection.execute("reset role")
        await connection.execute(
            "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
            migration.version,
            migration.name,
            migration.checksum,
        )
