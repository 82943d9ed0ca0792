"""Log in, log out, change a password or set a lost one. Rule: an unknown user and a wrong password look and last alike.

Who logs out or changes the password ends all tokens of theirs: here at once, in other processes within a quarter of a
second.
"""

from datetime import datetime
from uuid import UUID

from patriot.domain.account import User
from patriot.runtime.aggregates import USER
from patriot.runtime.context import SIGNED_IN
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError, not_found, unauthenticated
from patriot.runtime.users import user_id_of
from patriot.store.api import Row
from schemas.commands import ChangePassword, LogIn, ResetPassword
from schemas.events import UserPasswordChanged, UserSignedOut
from schemas.queries import SignedOut, TokenPair

function = Function("auth", publishes=(UserSignedOut, UserPasswordChanged))


@function.post("/auth/token", needs=None)
async def log_in(command: LogIn, context: Context) -> TokenPair:
    """Exchange username and password for an access token."""
    context.enter_tenant(context.runtime.settings.tenant_id)
    rows = await context.find("users", {"username": command.username.lower(), "status": "active"}, limit=1)
    stored = rows[0]["password_hash"] if rows else None
    verdict = await context.runtime.access.passwords.check(stored, command.password)
    if not verdict.matches:
        raise ProblemError(401, "unauthenticated", "username or password is wrong")
    return _token(rows[0]["id"], rows[0]["role"], rows[0].get("signed_out_at"), context)


@function.post("/auth/logout", needs=SIGNED_IN)
async def log_out(context: Context) -> SignedOut:
    """End every token of the caller, wherever it is used."""

    async def propose() -> Proposal[datetime]:
        loaded = await _caller(context)
        at = context.now()
        event = UserSignedOut(user_id=loaded.found.user_id)
        return Proposal([Change(loaded, [event])], at, rows=[_row(loaded, at)])

    at = await context.decide(propose)
    context.runtime.access.revoke_user(context.user.user_id, at)
    return SignedOut(signed_out_at=at)


@function.post("/auth/password", needs=SIGNED_IN)
async def change_password(command: ChangePassword, context: Context) -> TokenPair:
    """Set another password, end every token of the caller and give a new one."""
    passwords = context.runtime.access.passwords

    async def propose() -> Proposal[tuple[User, datetime]]:
        loaded = await _caller(context)
        (stored,) = await context.find("users", {"id": loaded.found.user_id}, limit=1)
        if not (await passwords.check(stored["password_hash"], command.old_password)).matches:
            rule = "is wrong"
            raise ProblemError(422, "wrong_password", f"the old password {rule}", [("old_password", rule)])
        password_hash, at = await passwords.hash(command.new_password), context.now()
        event = UserPasswordChanged(user_id=loaded.found.user_id)
        row = _row(loaded, at, password_hash=password_hash)
        return Proposal([Change(loaded, [event])], (loaded.found, at), rows=[row])

    user, at = await context.decide(propose)
    context.runtime.access.revoke_user(user.user_id, at)
    return _token(user.user_id, user.role, at, context)


@function.post("/auth/password/reset", needs=None)
async def reset_password(command: ResetPassword, context: Context) -> TokenPair:
    """Set a password with the one-time password that an administrator has handed over; it works once, for an hour."""
    context.enter_tenant(context.runtime.settings.tenant_id)
    passwords, user_id = context.runtime.access.passwords, user_id_of(context.tenant_id, command.username)

    async def propose() -> Proposal[tuple[User, datetime]]:
        loaded, at = await context.load(USER, user_id), context.now()
        rows = await context.find("users", {"id": user_id, "status": "active"}, limit=1)
        pending = rows and rows[0]["reset_hash"] and at < rows[0]["reset_expires_at"]
        stored = rows[0]["reset_hash"] if pending else None
        if not (await passwords.check(stored, command.one_time_password)).matches:
            rule = "is wrong, was used, or is older than an hour"
            raise ProblemError(422, "wrong_password", f"the one-time password {rule}", [("one_time_password", rule)])
        password_hash = await passwords.hash(command.new_password)
        row = _row(loaded, at, password_hash=password_hash, reset_hash=None, reset_expires_at=None)
        return Proposal([Change(loaded, [UserPasswordChanged(user_id=user_id)])], (loaded.found, at), rows=[row])

    user, at = await context.decide(propose)
    context.runtime.access.revoke_user(user.user_id, at)
    return _token(user.user_id, user.role, at, context)


async def _caller(context: Context) -> Loaded[User]:
    """Loaded, and not deactivated meanwhile: such a token may still be taken here for a moment."""
    loaded = await context.load(USER, context.user.user_id)
    if loaded.state is None:
        raise not_found("user", context.user.user_id)
    if loaded.state.status != "active":
        raise unauthenticated()
    return loaded


def _row(loaded: Loaded[User], at: datetime, **changes: str | None) -> Row:
    fields = {"id": loaded.found.user_id, "signed_out_at": at, "updated_at": at, "stream_version": loaded.version + 1}
    return Row("users", fields | changes)


def _token(user_id: UUID, role: str, signed_out_at: datetime | None, context: Context) -> TokenPair:
    token_id = str(context.uuid())
    token, seconds = context.runtime.access.issue(user_id, context.tenant_id, role, token_id, signed_out_at)
    return TokenPair(access_token=token, expires_in_seconds=seconds)


app = function.app
