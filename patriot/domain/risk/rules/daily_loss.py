"""Daily loss. Rule: who has lost the day's limit opens nothing more until the UTC day ends; reducing goes on."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.words import about


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The account has lost less than the maximum daily loss since the UTC day began."""
    maximum = context.limits.maximum_daily_loss
    if maximum is None or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "the day's loss of the account is not known now"
    loss = context.standing.daily_loss
    if loss < maximum:
        return None
    return "account_id", f"has lost {about(loss)} since the day began, the limit is {about(maximum)}"
