"""Preview the verdict on an order, with the same rules and facts as order_commands. Nothing is reserved or stored."""

from dataclasses import replace
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.risk.context import Denied
from patriot.domain.risk.evaluate import discovered, evaluate
from patriot.runtime.function import Context, Function
from patriot.runtime.risk import Risk
from patriot.store.api import Row
from schemas.commands import CreateOrder, SetLimits
from schemas.queries import LimitsView, RuleView, RuleViews, VerdictView

function = Function("risk-checks")


@function.get("/risk/rules", needs=None)
async def rules() -> RuleViews:
    """Every pre-trade rule, in the order in which they are asked."""
    return RuleViews(rules=tuple(RuleView(code=rule.code, text=rule.text) for rule in discovered()))


@function.post("/risk/checks", needs="orders:create")
async def check(command: CreateOrder, context: Context) -> VerdictView:
    """What would happen to this order now."""
    await context.own_account(command.account_id)
    facts, guards = await Risk.of(context.runtime).facts(context, command)
    balances = await context.find("buying_power", {"account_id": command.account_id})
    states = await context.runtime.store.guards(context.tenant_id, [guard.scope for guard in guards])
    verdict = evaluate(
        replace(
            facts,
            available={row["asset"]: row["total"] - row["reserved"] - row["margin"] for row in balances},
            halted=tuple(scope for scope, (_, halted) in states.items() if halted),
        )
    )
    if isinstance(verdict, Denied):
        return VerdictView(approved=False, code=verdict.code, reason=verdict.reason, field=verdict.field)
    return VerdictView(approved=True, asset=verdict.reservation.asset, reserved=verdict.reservation.amount)


@function.post("/risk/limits/{account_id}", needs="accounts:manage")
async def set_limits(account_id: UUID, command: SetLimits, context: Context) -> LimitsView:
    """Tighten or loosen the caller's own limits of one account; the platform's limits stay above them."""
    await context.own_account(account_id)
    scope = f"account:{account_id}"
    limits = command.model_dump(mode="json", exclude_none=True)
    row_version = await context.runtime.store.set_guard(context.origin, scope)
    row = {"scope": scope, "limits": limits, "updated_at": context.now(), "stream_version": row_version}
    await context.write([Row("risk_limits", row)])
    # raised again: who read the first new version together with the old limits must fail in its commit
    version = await context.runtime.store.set_guard(context.origin, scope)
    Risk.of(context.runtime).forget_limits(account_id)
    return LimitsView(scope=scope, version=version, limits=_shown(limits))


def _shown(limits: dict[str, Any]) -> dict[str, str]:
    return {name: format(value, "f") if isinstance(value, Decimal) else str(value) for name, value in limits.items()}


app = function.app
