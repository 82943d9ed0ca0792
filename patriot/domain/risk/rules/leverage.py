"""Leverage. Rule: what an order opens is a bounded multiple of what it binds, and all that its account is exposed to,
with this order, of the account's equity.
"""

from patriot.domain.leverage import is_above
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.words import about


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The order's leverage is at most the maximum, and so is the gross exposure with it over the equity."""
    maximum = context.limits.maximum_leverage
    if maximum is None or not context.increases:
        return None
    if is_above(context.multiple, maximum):
        chosen = f"{context.order.instrument} is traded at {context.multiple}x, the limit is {about(maximum)}x"
        return "leverage", f"{chosen}: choose less with `patriot account leverage`"
    if context.standing is None:
        return "account_id", "the leverage of the account is not known now"
    added = quote_value(context.known_instrument, context.open_quantity, context.known_price.fair)
    leverage = context.standing.share(context.standing.gross_exposure + added)
    if leverage <= maximum:
        return None
    return "quantity", f"the account would be leveraged {about(leverage)} times, the limit is {about(maximum)}"
