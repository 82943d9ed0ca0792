"""Limits, kill switches and previews. Rule: what is changed here binds from the commit on that says so.

A level is an event stream; its guard, which every order's commit asks, is written in the same commit. Previews judge by
the same rules and facts as order_commands; nothing is reserved or stored.
"""

from typing import Annotated

from fastapi import Path, Query
from msgspec.structs import replace

from functions.risk_checks.watch import watch
from patriot.domain.quotas import OPEN_ORDERS, side_quota
from patriot.domain.risk.context import Denied, RiskContext
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.runtime import levels
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Function
from patriot.runtime.risk import Risk
from schemas.commands import CreateOrder
from schemas.queries import RuleView, RuleViews, VerdictView
from schemas.risk_commands import Halt, SetLimits
from schemas.risk_events import RiskAlertCleared, RiskAlertRaised, RiskHalted, RiskLimitsChanged, RiskResumed
from schemas.risk_queries import LevelView

function = Function(
    "risk-checks", publishes=(RiskLimitsChanged, RiskHalted, RiskResumed, RiskAlertRaised, RiskAlertCleared)
)

Own = Annotated[str, Path(pattern=levels.OWN)]
"""The caller's own level: user, an account (its id), or strategy:NAME."""

Managed = Annotated[str, Path(pattern=levels.MANAGED)]
"""A level of the tenant: tenant, user:ID, account:ID or strategy:NAME."""

Reason = Annotated[str, Query(min_length=1, max_length=200)]


@function.every("risk_seconds")
async def watch_accounts(context: RequestContext) -> None:
    """Figures, alerts, actions of every account."""
    await watch(context)


@function.get("/risk/rules", needs=None)
async def rules() -> RuleViews:
    """Every pre-trade rule, in the order in which they are asked."""
    return RuleViews(rules=tuple(RuleView(code=rule.code, text=rule.text) for rule in discovered()))


@function.post("/risk/checks", needs="orders:create")
async def check(command: CreateOrder, context: Context) -> VerdictView:
    """What would happen to this order now."""
    await context.own_account(command.account_id)
    facts, guards = await Risk.of(context.runtime).facts(context, command)
    states = await context.runtime.store.guards(context.tenant_id, [guard.scope for guard in guards])
    halted = tuple(scope for scope, state in states.items() if state.halted)
    verdict = evaluate(replace(await _with_what_the_commit_sees(facts, context), halted=halted))
    if isinstance(verdict, Denied):
        return VerdictView(approved=False, code=verdict.code, reason=verdict.reason, field=verdict.field)
    return VerdictView(approved=True, asset=verdict.reservation.asset, reserved=verdict.reservation.amount)


@function.post("/risk/limits/{scope}", needs="accounts:manage")
async def limit(scope: Own, command: SetLimits, context: Context) -> LevelView:
    """Replace the caller's own limits of an account, of all their accounts, or of what a strategy orders for them."""
    return await levels.limit(await levels.own(scope, context), command, context)


@function.post("/risk/tenant-limits/{scope}", needs="risk:manage")
async def limit_managed(scope: Managed, command: SetLimits, context: Context) -> LevelView:
    """Replace a manager's limits of the tenant, a user, an account or a strategy. The owner cannot loosen them."""
    return await levels.limit(await levels.managed(scope, context), command, context)


@function.post("/risk/platform-limits", needs="broker:manage")
async def limit_platform(command: SetLimits, context: Context) -> LevelView:
    """Replace the limits that bind everybody."""
    return await levels.limit(levels.platform(context), command, context)


@function.post("/risk/halts/{scope}", needs="accounts:manage", idempotent=True, first=True)
async def stop(scope: Own, command: Halt, context: Context) -> LevelView:
    """Kill switch: stop the caller's own new orders at a level. Cancels pass."""
    return await levels.stop(await levels.own(scope, context), command.reason, context)


@function.post("/risk/tenant-halts/{scope}", needs="risk:manage", idempotent=True, first=True)
async def stop_managed(scope: Managed, command: Halt, context: Context) -> LevelView:
    """Kill switch of the tenant, a user, an account or a strategy. Only a manager resumes it."""
    return await levels.stop(await levels.managed(scope, context), command.reason, context)


@function.post("/risk/platform-halt", needs="broker:manage", idempotent=True, first=True)
async def stop_platform(command: Halt, context: Context) -> LevelView:
    """Kill switch of everything."""
    return await levels.stop(levels.platform(context), command.reason, context)


@function.delete("/risk/halts/{scope}", needs="accounts:manage", idempotent=True)
async def go_on(scope: Own, context: Context, reason: Reason = "asked by the user") -> LevelView:
    """Let trading go on. What a manager has halted stays halted."""
    return await levels.go_on(await levels.own(scope, context), reason, context)


@function.delete("/risk/tenant-halts/{scope}", needs="risk:manage", idempotent=True)
async def go_on_managed(scope: Managed, context: Context, reason: Reason = "asked by a manager") -> LevelView:
    """Let trading go on, whoever has halted it."""
    return await levels.go_on(await levels.managed(scope, context), reason, context)


@function.delete("/risk/platform-halt", needs="broker:manage", idempotent=True)
async def go_on_platform(context: Context, reason: Reason = "asked by an administrator") -> LevelView:
    """Let trading go on everywhere; what is halted below stays so."""
    return await levels.go_on(levels.platform(context), reason, context)


async def _with_what_the_commit_sees(facts: RiskContext, context: RequestContext) -> RiskContext:
    order = facts.order
    balances = await context.find("buying_power", {"account_id": order.account_id})
    quotas = await context.find("quotas", {"account_id": order.account_id})
    used = {row["name"]: row["used"] for row in quotas}
    return replace(
        facts,
        available={row["asset"]: row["total"] - row["reserved"] - row["margin"] for row in balances},
        open_orders=int(used.get(OPEN_ORDERS, 0)),
        side_quantity=used.get(side_quota(order.side, order.instrument), facts.side_quantity),
    )


app = function.app
