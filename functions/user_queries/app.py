"""Read users, their accounts, and settings. Rule: everybody sees themselves; nobody's secrets are ever shown."""

from functions.user_queries import settings
from patriot.domain.account import account_view_of, user_view
from patriot.runtime.aggregates import USER
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import not_found
from patriot.runtime.users import require_installation
from schemas.queries import AccountPage, EventPage, ManagedUserView, SettingPage, UserPage, UserView

USERS_MAX = 10_000

function = Function("user-queries")


@function.get("/users/me", needs="portfolio:read")
async def me(context: Context) -> UserView:
    """The caller."""
    user_id = context.user.user_id
    loaded = await context.load(USER, user_id)
    if loaded.state is None:
        raise not_found("user", user_id)
    return user_view(loaded.state)


@function.get("/tenant-users", needs="users:manage")
async def users(context: Context) -> UserPage:
    """Everybody of the administrator's tenant, by name."""
    rows = await context.find("users", {}, ["username"], USERS_MAX)
    return UserPage(
        users=tuple(
            ManagedUserView(
                user_id=row["id"],
                username=row["username"],
                role=row["role"],
                status=row["status"],
                compliance=row["compliance_status"] or "unverified",
                since=row["created_at"],
            )
            for row in rows
        )
    )


@function.get("/accounts", needs="portfolio:read")
async def accounts(context: Context) -> AccountPage:
    """The caller's exchange accounts."""
    rows = await context.find("user_accounts", {"user_id": context.user.user_id}, ["created_at"])
    return AccountPage(accounts=tuple(map(account_view_of, rows)))


@function.get("/settings", needs="system:monitor")
async def shown_settings(context: Context) -> SettingPage:
    """The settings that may change while the platform runs: value, where it comes from, since when."""
    require_installation(context, "system:monitor")
    return await settings.shown(context)


@function.get("/settings/changes", needs="system:monitor")
async def setting_changes(context: Context) -> EventPage:
    """Who has changed which setting, when and why, from the first change on."""
    require_installation(context, "system:monitor")
    return await settings.changes(context)


app = function.app
