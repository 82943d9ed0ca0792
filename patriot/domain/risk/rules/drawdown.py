"""Drawdown. Rule: who has lost too much since the highest equity opens nothing more; reducing goes on."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.words import percent


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The equity is less than the maximum drawdown below its peak."""
    maximum = context.limits.maximum_drawdown
    if maximum is None or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "the drawdown of the account is not known now"
    drawdown = context.standing.drawdown
    if drawdown < maximum:
        return None
    return "account_id", f"is {percent(drawdown)} below its peak equity, the limit is {percent(maximum)}"
