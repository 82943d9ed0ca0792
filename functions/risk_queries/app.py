"""Read how limits stand and how accounts stand under them. Rule: only the caller's own, or the manager's tenant's."""

from typing import Annotated

from fastapi import Path

from patriot.runtime import levels
from patriot.runtime.function import Context, Function
from schemas.risk_queries import LevelView

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


app = function.app
