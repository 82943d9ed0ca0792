"""Register users, change profiles, manage who may do what. Rule: nobody gives themselves a role.

Whoever registers has the role `user`; the other roles are given by an administrator. A deactivated user's level is
halted in the same commit, so nothing new is sent from that instant. With role or status the user's tokens end, here at
once, in other processes within a quarter of a second. A lost password is replaced by nobody but its user.

Administrators of the installation's own tenant also change settings here, in all processes of it.
"""

import secrets
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from functions.user_commands import settings
from patriot.domain.account import manage_user, user_view
from patriot.domain.risk.level import Level, halt, level_id, resume
from patriot.runtime.aggregates import LEVEL, USER
from patriot.runtime.decision import Change, Proposal, after
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError, not_found
from patriot.runtime.users import register as registered
from patriot.runtime.users import require_installation
from patriot.store.api import GuardChange, Row
from schemas.commands import ChangeProfile, ChangeSetting, CreateUser, ManageUser, RegisterUser
from schemas.events import (
    ComplianceStatusChanged,
    Event,
    SettingChanged,
    UserDeactivated,
    UserPasswordReset,
    UserProfileChanged,
    UserReactivated,
    UserRegistered,
    UserRoleChanged,
)
from schemas.queries import OneTimePassword, SettingReceipt, UserView
from schemas.risk_events import LevelEvent, RiskHalted, RiskResumed

DEACTIVATED = "the user is deactivated"
ONE_TIME_LIFE = timedelta(hours=1)

function = Function(
    "user-commands",
    publishes=(
        UserRegistered,
        UserProfileChanged,
        UserRoleChanged,
        UserDeactivated,
        UserReactivated,
        UserPasswordReset,
        ComplianceStatusChanged,
        RiskHalted,
        RiskResumed,
        SettingChanged,
    ),
)


@function.post("/users", status_code=201, needs=None)
async def register(command: RegisterUser, context: Context) -> UserView:
    """Create a user with the role `user` in the platform's own tenant."""
    context.enter_tenant(context.runtime.settings.tenant_id)
    wanted = CreateUser(username=command.username, password=command.password)
    return await registered(context, wanted, command.telegram_id)


@function.post("/tenant-users", status_code=201, needs="users:manage", idempotent=True)
async def create(command: CreateUser, context: Context) -> UserView:
    """Create a user of the administrator's tenant, with any role."""
    return await registered(context, command)


@function.patch("/tenant-users/{user_id}", needs="users:manage", idempotent=True)
async def manage(user_id: UUID, command: ManageUser, context: Context) -> UserView:
    """Change role, status or compliance status of a user of the administrator's tenant."""

    async def propose() -> Proposal[UserView]:
        loaded = await context.load(USER, user_id)
        if loaded.state is None:
            raise not_found("user", user_id)
        change = Change(loaded, manage_user(loaded.state, command, context.user.user_id))
        ((_, _, user),) = after([change], context.now())
        assert user is not None
        row = {
            "id": user_id,
            "role": user.role,
            "status": user.status,
            "compliance_status": user.compliance,
            "updated_at": context.now(),
            "stream_version": loaded.version + len(change.events),
        }
        row |= {"signed_out_at": context.now()} if command.role or command.status else {}
        level, raised = await _level(user_id, change.events, context)
        rows, raises = ([Row("users", row)], [raised]) if change.events else ([], [])
        return Proposal([change, level], user_view(user), rows=rows, raises=raises)

    answer = await context.decide(propose)
    if command.role or command.status:
        context.runtime.access.revoke_user(user_id, context.now())  # the next token tells what holds now
    return answer


@function.post("/tenant-users/{user_id}/password-reset", status_code=201, needs="users:manage")
async def reset_password(user_id: UUID, context: Context) -> OneTimePassword:
    """For a lost password: the old one and all tokens end now, and a one-time password lets the user set another.

    Asked for again, it makes another, which replaces this one. The answer is kept nowhere.
    """
    one_time_password = secrets.token_urlsafe(18)
    reset_hash = await context.runtime.access.passwords.hash(one_time_password)

    async def propose() -> Proposal[OneTimePassword]:
        loaded, at = await context.load(USER, user_id), context.now()
        if loaded.state is None:
            raise not_found("user", user_id)
        expires_at = at + ONE_TIME_LIFE
        row = {
            "id": user_id,
            "password_hash": None,
            "reset_hash": reset_hash,
            "reset_expires_at": expires_at,
            "signed_out_at": at,
            "updated_at": at,
            "stream_version": loaded.version + 1,
        }
        change = Change(loaded, [UserPasswordReset(user_id=user_id, expires_at=expires_at)])
        told = OneTimePassword(
            user_id=user_id,
            username=loaded.state.username,
            one_time_password=one_time_password,
            expires_at=expires_at,
        )
        return Proposal([change], told, rows=[Row("users", row)])

    answer = await context.decide(propose)
    context.runtime.access.revoke_user(user_id, context.now())
    return answer


async def _level(user_id: UUID, events: Sequence[Event], context: Context) -> tuple[Change, GuardChange]:
    """The user's level: halted with the user; orders judged on what was known of the user fail in their commit."""
    scope = f"user:{user_id}"
    loaded = await context.load(LEVEL, level_id(scope))
    told: list[LevelEvent] = []
    for event in events:
        match event:
            case UserDeactivated():
                told += halt(loaded.state, scope, "manager", DEACTIVATED, user_id)
            case UserReactivated() if loaded.state and loaded.state.halts.get("manager") == DEACTIVATED:
                told += resume(loaded.state, scope, "manager", event.reason, user_id)
    change = Change(loaded, told)
    ((_, _, state),) = after([change], context.now())
    level = state or Level(scope)
    return change, GuardChange(scope, level.halted, level.settings)


@function.patch("/users/me", needs="portfolio:read", idempotent=True)
async def change_profile(command: ChangeProfile, context: Context) -> UserView:
    """Change the caller's own profile."""
    user_id = context.user.user_id

    async def propose() -> Proposal[UserView]:
        loaded = await context.load(USER, user_id)
        if loaded.state is None:
            raise ProblemError(404, "not_found", "this user was not registered here")
        event = UserProfileChanged(
            user_id=user_id, telegram_id=command.telegram_id, base_currency=command.base_currency
        )
        change = Change(loaded, [event])
        ((_, _, user),) = after([change], context.now())
        return Proposal([change], user_view(user or loaded.state))

    return await context.decide(propose)


@function.post("/settings", needs="broker:manage", idempotent=True)
async def change_setting(command: ChangeSetting, context: Context) -> SettingReceipt:
    """Change a setting of the running platform, or take a change back."""
    require_installation(context, "broker:manage")
    return await settings.change(command, context)


app = function.app
