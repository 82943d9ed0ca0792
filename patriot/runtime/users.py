"""How users begin: the event and the row in one commit. Rule: a user's id follows from tenant and name, so a name is
taken once; a password is kept as its hash and told to nobody.
"""

import secrets
from typing import NamedTuple
from uuid import UUID, uuid5

from patriot.domain.account import User, user_view
from patriot.runtime.aggregates import USER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.problem import ProblemError, forbidden
from patriot.store.api import Row
from schemas.commands import CreateUser
from schemas.events import UserRegistered
from schemas.queries import UserView

ADMIN = "admin"


class Credentials(NamedTuple):
    username: str
    password: str


def user_id_of(tenant_id: UUID, username: str) -> UUID:
    return uuid5(tenant_id, "user:" + username.lower())


def require_installation(context: RequestContext, permission: str) -> None:
    """Raises the 403 problem for who holds the permission in another tenant than the installation's own."""
    if context.tenant_id != context.runtime.settings.tenant_id:
        raise forbidden(f"{permission} of the installation's own tenant")


async def register(context: RequestContext, wanted: CreateUser, telegram_id: int | None = None) -> UserView:
    """Raises the 409 problem where the name is taken."""
    user = User(user_id_of(context.tenant_id, wanted.username), wanted.username, wanted.role)
    password_hash = await context.runtime.access.passwords.hash(wanted.password)

    async def propose() -> Proposal[UserView]:
        loaded = await context.load(USER, user.user_id)
        if loaded.version:
            raise ProblemError(409, "username_taken", "this username is taken", [("username", "must be a new one")])
        event = UserRegistered(user_id=user.user_id, username=user.username, role=user.role, telegram_id=telegram_id)
        row = {
            "id": user.user_id,
            "telegram_id": telegram_id,
            "username": user.username.lower(),
            "role": user.role,
            "status": user.status,
            "compliance_status": user.compliance,
            "password_hash": password_hash,
            "created_at": context.now(),
            "updated_at": context.now(),
            "stream_version": 1,
        }
        return Proposal([Change(loaded, [event])], user_view(user), rows=[Row("users", row)])

    return await context.decide(propose)


async def first_admin(context: RequestContext) -> Credentials | None:
    """Make the administrator of the installation's own tenant where it has none; the password is told this once.

    None where there is one already: whoever lost all passwords of administrators asks another with a database.
    """
    context.enter_tenant(context.runtime.settings.tenant_id)
    if await context.find("users", {"role": ADMIN, "status": "active"}, limit=1):
        return None
    taken = await context.find("users", {"username": ADMIN}, limit=1)
    made = Credentials(f"{ADMIN}-{secrets.token_hex(3)}" if taken else ADMIN, secrets.token_urlsafe(18))
    await register(context, CreateUser(username=made.username, password=made.password, role="admin"))
    return made
