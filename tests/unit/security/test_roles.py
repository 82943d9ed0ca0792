"""Roles and permissions are those of the sources, and only they grant anything."""

from uuid import UUID

import pytest

from patriot.security.errors import PermissionDenied
from patriot.security.roles import PERMISSIONS, ROLE_PERMISSIONS, Identity, Role, require

LISTED = {
    "user": {"portfolio:read", "orders:create", "orders:read", "orders:modify", "orders:cancel", "accounts:manage"},
    "fund_manager": {"analytics:read", "risk:manage", "reports:generate"},
    "admin": {"users:manage", "strategies:manage", "system:monitor", "broker:manage"},
}


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("permission", sorted(PERMISSIONS))
def test_role_holds_exactly_its_permissions(role: Role, permission: str) -> None:
    identity = Identity.of(UUID(int=1), UUID(int=2), role)
    if permission in LISTED[role]:
        require(identity, permission)
    else:
        with pytest.raises(PermissionDenied) as denied:
            require(identity, permission)
        assert denied.value.permission == permission


@pytest.mark.requirement("P14")
def test_permissions_are_the_listed_ones() -> None:
    assert ROLE_PERMISSIONS == LISTED


def test_no_role_is_without_permissions_and_none_is_shared() -> None:
    assert set(ROLE_PERMISSIONS) == set(Role)
    assert len(PERMISSIONS) == sum(len(held) for held in ROLE_PERMISSIONS.values())


def test_permissions_cannot_be_changed_at_run_time() -> None:
    with pytest.raises(TypeError):
        ROLE_PERMISSIONS[Role.USER] = frozenset({"users:manage"})  # type: ignore[index]


def test_identity_names_its_actor() -> None:
    assert Identity.of(UUID(int=1), UUID(int=2), Role.USER).actor == f"user:{UUID(int=1)}"
