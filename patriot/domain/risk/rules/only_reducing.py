"""Only reducing. Rule: where a level lets an account only reduce, nothing makes a position larger or turns it round."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """While trading is limited to reducing, the order makes the position smaller."""
    if not context.limits.reduce_only or not context.increases:
        return None
    return "account_id", "may only reduce positions now; this order would make one larger"
