"""Exchange credentials: sealed on their way into `user_accounts`, opened only where a venue is called."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from patriot.runtime.context import RequestContext
from patriot.security.secret import Secret
from patriot.security.vault import Place, Vault

FIELDS = ("api_key", "api_secret")


def seal(context: RequestContext, account_id: UUID, key: str, secret: str) -> dict[str, str]:
    """The encrypted columns of `user_accounts`."""
    vault = context.runtime.access.vault
    values = zip(FIELDS, (key, secret), strict=True)
    return {
        f"{name}_encrypted": vault.seal(Secret(value), Place(context.tenant_id, account_id, name))
        for name, value in values
    }


def open_credentials(vault: Vault, account: Mapping[str, Any]) -> tuple[Secret, Secret]:
    """(key, secret) of a row of `user_accounts`. Raises EnvelopeRefused, VaultKeyMissing."""
    key, secret = (
        vault.open(account[f"{name}_encrypted"], Place(account["tenant_id"], account["id"], name)) for name in FIELDS
    )
    return key, secret
