"""A managed server: the roles are made by hand as docs/operations.md says, and neither login can create any."""

import re
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest

from patriot.store.connections import urls_of
from patriot.store.migrate import MigrationRefused, migrate, require_current
from patriot.store.postgres import PostgresStore
from tests.store_samples import NOW, append, commit, deposit, stream

DATABASE, LOGINS = "managed_by_hand", ("patriot_migrate", "patriot_run")
PAGE = Path(__file__).parents[3] / "docs" / "operations.md"

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("A4", "P14")]


class Managed(NamedTuple):
    """URLs of the two logins that the page makes."""

    owner: str
    run: str
    superuser: str


def statements() -> list[str]:
    (block,) = re.findall(r"### Roles\n.*?```sql\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    return [line.replace("database patriot ", f"database {DATABASE} ") for line in block.strip().splitlines()]


@pytest.fixture
async def managed(server) -> AsyncIterator[Managed]:
    connection = await asyncpg.connect(server.url("postgres"))
    for statement in statements():
        with suppress(asyncpg.DuplicateObjectError):  # the roles of the platform belong to the whole server
            await connection.execute(statement)
    yield Managed(*(as_login(server.url(DATABASE), login) for login in LOGINS), server.url("postgres"))
    await connection.execute(f"drop database {DATABASE} with (force)")
    await connection.execute(f"drop role {', '.join(LOGINS)}")
    await connection.close()


def as_login(url: str, login: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{login}:change%20me@{parts.netloc.rpartition('@')[2]}"))


async def test_owner_that_may_create_no_role_migrates_and_the_other_login_runs(managed: Managed):
    assert (await migrate(managed.owner))[0] == "0001_roles"
    assert await migrate(managed.owner) == []
    await require_current(managed.run)
    store = await PostgresStore.open(urls_of(managed.run))
    try:
        order = stream()
        await store.commit(append(order, 0, 2))
        assert [event.version for event in await store.load(order)] == [1, 2]
        await store.commit(commit(balances=[deposit("10")]))
        await store.keep_house(NOW)
    finally:
        await store.close()


async def test_one_login_with_the_grants_of_both_migrates_and_runs(managed: Managed):
    connection = await asyncpg.connect(managed.superuser)
    await connection.execute("grant patriot_app, patriot_system to patriot_migrate")
    await connection.close()
    await migrate(managed.owner)
    store = await PostgresStore.open(urls_of(managed.owner))
    try:
        assert len(await store.commit(append(stream(), 0, 2))) == 2
    finally:
        await store.close()


async def test_login_that_runs_can_neither_migrate_nor_change_a_table(managed: Managed):
    with pytest.raises((MigrationRefused, asyncpg.InsufficientPrivilegeError)):
        await migrate(managed.run)
    await migrate(managed.owner)
    connection = await asyncpg.connect(managed.run)
    try:
        for statement in ("drop table orders", "set role patriot_owner", "create role mallory", "select * from users"):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(statement)
    finally:
        await connection.close()
