"""Allowed instruments. Rule: what a level has blocked is not opened there; it may be reduced."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """No level above the order blocks its instrument."""
    if context.order.instrument not in context.limits.blocked_instruments or not context.increases:
        return None
    return "instrument", f"{context.order.instrument} is blocked here; only reducing is possible"
