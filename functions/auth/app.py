"""Log in: a password for a short-lived token. Rule: an unknown user and a wrong password look and last the same."""

from uuid import UUID

from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError
from schemas.commands import LogIn
from schemas.queries import TokenPair

function = Function("auth")


@function.post("/auth/token", needs=None)
async def log_in(command: LogIn, context: Context) -> TokenPair:
    """Exchange username and password for an access token."""
    tenant_id = context.runtime.settings.tenant_id
    context.enter_tenant(tenant_id)
    rows = await context.find("users", {"username": command.username.lower(), "status": "active"}, limit=1)
    stored = rows[0]["password_hash"] if rows else None
    verdict = await context.runtime.access.passwords.check(stored, command.password)
    if not verdict.matches:
        raise ProblemError(401, "unauthenticated", "username or password is wrong")
    user_id: UUID = rows[0]["id"]
    token, seconds = context.runtime.access.issue(user_id, tenant_id, rows[0]["role"], str(context.uuid()))
    return TokenPair(access_token=token, expires_in_seconds=seconds)


app = function.app
