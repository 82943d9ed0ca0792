"""Read users and their accounts. Rule: everybody sees themselves; nobody's secrets are ever shown."""

from patriot.runtime.aggregates import USER
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import not_found
from schemas.queries import AccountPage, AccountView, UserView

function = Function("user-queries")


@function.get("/users/me", needs="portfolio:read")
async def me(context: Context) -> UserView:
    """The caller."""
    user_id = context.user.user_id
    loaded = await context.load(USER, user_id)
    if loaded.state is None:
        raise not_found("user", user_id)
    user = loaded.state
    return UserView(user_id=user_id, username=user.username, role=user.role, base_currency=user.base_currency)


@function.get("/accounts", needs="portfolio:read")
async def accounts(context: Context) -> AccountPage:
    """The caller's exchange accounts."""
    rows = await context.find("user_accounts", {"user_id": context.user.user_id}, ["created_at"])
    return AccountPage(
        accounts=tuple(
            AccountView(
                account_id=row["id"],
                exchange=row["exchange"],
                mode=row["mode"],
                label=row["name"],
                active=row["is_active"],
            )
            for row in rows
        )
    )


app = function.app
