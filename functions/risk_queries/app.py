"""Read how limits stand and how accounts stand under them. Rule: only the caller's own, or the manager's tenant's."""

from typing import Annotated
from uuid import UUID

from fastapi import Path

from functions.risk_queries import standing
from patriot.runtime import levels
from patriot.runtime.function import Context, Function
from schemas.risk_queries import AlertPage, LevelView, StandingView

function = Function("risk-queries")

Own = Annotated[str, Path(pattern=levels.OWN)]
Managed = Annotated[str, Path(pattern=levels.MANAGED)]


@function.get("/risk/levels/{scope}", needs="portfolio:read")
async def level(scope: Own, context: Context) -> LevelView:
    """What is set at one of the caller's own levels, by the owner and by managers."""
    return await levels.shown(await levels.own(scope, context), context)


@function.get("/risk/tenant-levels/{scope}", needs="risk:manage")
async def managed_level(scope: Managed, context: Context) -> LevelView:
    """What is set at a level of the tenant."""
    return await levels.shown(await levels.managed(scope, context), context)


@function.get("/risk/accounts/{account_id}", needs="portfolio:read")
async def account(account_id: UUID, context: Context) -> StandingView:
    """How one of the caller's accounts stands: exposure, margin, value at risk, stress, alerts."""
    await context.own_account(account_id)
    return await standing.view(account_id, context)


@function.get("/risk/tenant-accounts/{account_id}", needs="risk:manage")
async def managed_account(account_id: UUID, context: Context) -> StandingView:
    """The same of any account of the manager's tenant."""
    await context.account(account_id)
    return await standing.view(account_id, context)


@function.get("/risk/alerts", needs="portfolio:read")
async def list_alerts(context: Context) -> AlertPage:
    """The figures of the caller's accounts that are beyond a threshold now."""
    accounts = await context.find("user_accounts", {"user_id": context.user.user_id})
    found = [await standing.alerts(row["id"], context) for row in accounts]
    return AlertPage(alerts=tuple(alert for some in found for alert in some))


app = function.app
