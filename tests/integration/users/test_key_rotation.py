"""The key of stored credentials is changed by the commands of the runbook, on a real database, beside other work."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import pytest
from typer.testing import CliRunner

from patriot.cli.main import app
from patriot.security.errors import VaultKeyMissing
from patriot.security.keys import KeyRing
from patriot.security.secret import Secret
from patriot.security.vault import Place, Vault, key_of
from patriot.store.connections import urls_of
from patriot.store.envelopes import Envelopes

pytestmark = [
    pytest.mark.postgres, pytest.mark.requirement("P14", "P21"), pytest.mark.usefixtures("logs_as_they_are"),
]  # fmt: skip

TENANTS, ACCOUNTS = (UUID(int=1), UUID(int=2)), 5
ROW = """insert into user_accounts (tenant_id, id, user_id, exchange, mode, name, api_key_encrypted,
    api_secret_encrypted, is_active, stream_version, created_at, updated_at, correlation_id)
    values ($1, $2, $2, 'binance', 'live', 'main', $3, $4, true, 1, now(), now(), 'req_1_0123abcd')"""


def run(folder: Path, database: str, *words: str, code: int = 0) -> Any:
    environment = {"PATRIOT_DATABASE_URL": database}
    done = CliRunner().invoke(app, ["--json", "--data-dir", str(folder), "keys", *words], env=environment)
    assert done.exit_code == code, (done.output, done.exception)
    return orjson.loads(done.stdout)


def vault_of(folder: Path) -> Vault:
    return Vault(KeyRing.load(folder / "keys.json").vault)


async def store(database: str, vault: Vault) -> Sequence[tuple[Place, str]]:
    """Credentials of two tenants; (where, what) of each field."""
    connection, kept = await asyncpg.connect(database), []
    for tenant in TENANTS:
        for number in range(ACCOUNTS):
            account = uuid4()
            fields = [(Place(tenant, account, name), f"{name} {number}") for name in ("api_key", "api_secret")]
            await connection.execute(ROW, tenant, account, *(vault.seal(Secret(text), at) for at, text in fields))
            kept += fields
    await connection.close()
    return kept


def opened(database: str, vault: Vault) -> dict[Place, str]:
    found = asyncio.run(Envelopes(urls_of(database).system).read())
    return {Place(*one[:3]): vault.open(one.text, Place(*one[:3])).reveal() for one in found}


def test_credentials_move_to_the_new_key_and_the_old_one_goes(database: str, tmp_path: Path) -> None:
    run(tmp_path, database, "make")
    kept = dict(asyncio.run(store(database, vault_of(tmp_path))))
    (old,) = [key["id"] for key in run(tmp_path, database, "show")["keys"] if key["kind"] == "vault"]
    new = run(tmp_path, database, "add", "vault")["added"]
    run(tmp_path, database, "use", "vault", new)
    assert "keys reseal" in run(tmp_path, database, "retire", "vault", old, code=1)["error"]
    assert run(tmp_path, database, "reseal") == {"fields": 20, "resealed": 20, "changed_meanwhile": 0}
    assert run(tmp_path, database, "reseal")["resealed"] == 0
    run(tmp_path, database, "retire", "vault", old)
    assert list(KeyRing.load(tmp_path / "keys.json").vault.ids) == [new]
    assert opened(database, vault_of(tmp_path)) == kept


def test_credential_that_its_owner_changes_meanwhile_stays_the_owners(database: str, tmp_path: Path) -> None:
    run(tmp_path, database, "make")
    before = vault_of(tmp_path)
    (place, _), *_ = asyncio.run(store(database, before))
    envelopes = Envelopes(urls_of(database).system)
    read = {Place(*one[:3]): one for one in asyncio.run(envelopes.read())}[place]
    owners = before.seal(Secret("the owner's"), place)
    assert asyncio.run(envelopes.replace([(read, owners)])) == 1
    assert asyncio.run(envelopes.replace([(read, before.seal(Secret("stale"), place))])) == 0
    assert opened(database, before)[place] == "the owner's"


def test_ring_that_lacks_a_key_reseals_nothing(database: str, tmp_path: Path) -> None:
    run(tmp_path, database, "make")
    asyncio.run(store(database, vault_of(tmp_path)))
    run(tmp_path / "other", database, "make")
    assert "not in the ring" in run(tmp_path / "other", database, "reseal", code=1)["error"]
    sealed = {key_of(one.text) for one in asyncio.run(Envelopes(urls_of(database).system).read())}
    assert sealed == {KeyRing.load(tmp_path / "keys.json").vault.current}
    with pytest.raises(VaultKeyMissing):
        opened(database, vault_of(tmp_path / "other"))
