"""Leverage. Rule: all that an account is exposed to, with this order, is a bounded multiple of its equity."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.words import about


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Gross exposure with this order is at most the maximum leverage times the equity."""
    maximum = context.limits.maximum_leverage
    if maximum is None or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "the leverage of the account is not known now"
    added = quote_value(context.known_instrument, context.open_quantity, context.known_price.fair)
    leverage = context.standing.share(context.standing.gross_exposure + added)
    if leverage <= maximum:
        return None
    return "quantity", f"the account would be leveraged {about(leverage)} times, the limit is {about(maximum)}"
