"""Register users and change their profiles. Rule: a user's id follows from tenant and name, so a name is taken once."""

from uuid import uuid5

from patriot.runtime.aggregates import USER
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError
from patriot.store.api import Row
from schemas.commands import ChangeProfile, RegisterUser
from schemas.events import UserProfileChanged, UserRegistered
from schemas.queries import UserView

function = Function("user-commands", publishes=(UserRegistered, UserProfileChanged))


@function.post("/users", status_code=201, needs=None)
async def register(command: RegisterUser, context: Context) -> UserView:
    """Create a user with the role `user` in the platform's own tenant."""
    tenant_id = context.runtime.settings.tenant_id
    context.enter_tenant(tenant_id)
    user_id = uuid5(tenant_id, "user:" + command.username.lower())
    password_hash = await context.runtime.access.passwords.hash(command.password)

    async def propose() -> Proposal[UserView]:
        loaded = await context.load(USER, user_id)
        if loaded.version:
            raise ProblemError(409, "username_taken", "this username is taken", [("username", "must be a new one")])
        event = UserRegistered(user_id=user_id, username=command.username, role="user", telegram_id=command.telegram_id)
        row = {
            "id": user_id,
            "telegram_id": command.telegram_id,
            "username": command.username.lower(),
            "role": "user",
            "status": "active",
            "password_hash": password_hash,
            "created_at": context.now(),
            "updated_at": context.now(),
            "stream_version": 1,
        }
        view = UserView(user_id=user_id, username=command.username, role="user", base_currency="USDT")
        return Proposal([Change(loaded, [event])], view, rows=[Row("users", row)])

    return await context.decide(propose)


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
        view = UserView(
            user_id=user_id,
            username=loaded.state.username,
            role=loaded.state.role,
            base_currency=command.base_currency,
        )
        return Proposal([Change(loaded, [event])], view)

    return await context.decide(propose)


app = function.app
