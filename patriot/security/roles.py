"""Who may do what. Rule: a permission belongs to a role, a role to a token; nothing else grants anything.

The roles do not contain each other: an administrator runs the platform and does not trade, a fund manager watches
and limits risk. Somebody who does two of these jobs has two users.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Self
from uuid import UUID

from patriot.security.errors import PermissionDenied


class Role(StrEnum):
    USER = "user"
    FUND_MANAGER = "fund_manager"
    ADMIN = "admin"


ROLE_PERMISSIONS: Mapping[Role, frozenset[str]] = MappingProxyType(
    {
        Role.USER: frozenset(
            {"portfolio:read", "orders:create", "orders:read", "orders:modify", "orders:cancel", "accounts:manage"}
        ),
        Role.FUND_MANAGER: frozenset({"analytics:read", "risk:manage", "reports:generate"}),
        Role.ADMIN: frozenset({"users:manage", "strategies:manage", "system:monitor", "broker:manage"}),
    }
)
PERMISSIONS = frozenset().union(*ROLE_PERMISSIONS.values())


@dataclass(frozen=True, slots=True)
class Identity:
    """A user whose token was verified. `token_id` is the token's jti: what is revoked and what the audit names."""

    user_id: UUID
    tenant_id: UUID
    role: Role
    permissions: frozenset[str]
    token_id: str

    @classmethod
    def of(cls, user_id: UUID, tenant_id: UUID, role: Role, token_id: str = "") -> Self:
        """The identity of a user with the permissions of `role`."""
        return cls(user_id, tenant_id, role, ROLE_PERMISSIONS[role], token_id)

    @property
    def actor(self) -> str:
        """The name written on every row that this user caused."""
        return f"user:{self.user_id}"


def require(identity: Identity, permission: str) -> None:
    """Raise PermissionDenied unless `identity` holds `permission`."""
    if permission not in identity.permissions:
        raise PermissionDenied(permission)
