"""The kill switch. Rule: while trading is halted anywhere above the order, nothing new is sent."""

from patriot.domain.risk.context import RiskContext, Stage, rule

HELD = "held:"  # the switch that strategies and algorithms throw above their own orders


@rule(Stage.GATE)
def check(context: RiskContext) -> tuple[str, str] | None:
    """No kill switch of the platform, the user or the account is on."""
    if not context.halted:
        return None
    if all(scope.startswith(HELD) for scope in context.halted):
        told = f"{context.order.strategy_id} is paused or stopped on this account: start it again, or name no strategy"
        return ("strategy_id", told)
    return ("account_id", f"trading is halted: {', '.join(context.halted)}")
