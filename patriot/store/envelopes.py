"""Sealed credentials as they lie in the database. Rule: one is replaced only while it is still the one that was read.

Nothing here can open them: that takes the vault.
"""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

import asyncpg

from patriot.store.connections import unavailable_when_lost

FIELDS = ("api_key", "api_secret", "api_passphrase")
CONNECT_SECONDS_MAX = 10

_READ = " union all ".join(
    f"select tenant_id, id as account_id, '{field}' as field, {field}_encrypted as text from user_accounts "  # noqa: S608
    f"where {field}_encrypted is not null"
    for field in FIELDS
)
_REPLACE = {
    field: f"update user_accounts set {field}_encrypted = $4 "  # noqa: S608 - of our own names
    f"where tenant_id = $1 and id = $2 and {field}_encrypted = $3"
    for field in FIELDS
}


class Envelope(NamedTuple):
    """One sealed field of one account."""

    tenant_id: UUID
    account_id: UUID
    field: str
    text: str


class Envelopes:
    """Of every tenant: the address's role must not be bound by row-level security."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def read(self) -> Sequence[Envelope]:
        """Raises StoreUnavailable."""
        with unavailable_when_lost():
            connection = await self._connect()
            try:
                return [Envelope(*row) for row in await connection.fetch(_READ)]
            finally:
                await connection.close()

    async def replace(self, changes: Sequence[tuple[Envelope, str]]) -> int:
        """Put the new text in the place of each; returns how many were still as they had been read."""
        with unavailable_when_lost():
            connection = await self._connect()
            try:
                told = [await connection.execute(_REPLACE[old.field], *old[:2], old.text, new) for old, new in changes]
                return sum(tag == "UPDATE 1" for tag in told)
            finally:
                await connection.close()

    async def _connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        return await asyncpg.connect(self._dsn, timeout=CONNECT_SECONDS_MAX)
