"""The kill switch. Rule: while trading is halted anywhere above the order, nothing new is sent."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.GATE)
def check(context: RiskContext) -> tuple[str, str] | None:
    """No kill switch of the platform, the user or the account is on."""
    return ("account_id", f"trading is halted: {', '.join(context.halted)}") if context.halted else None
