"""Order notional. Rule: one order is never worth more than the account's limit."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import dearest_price, quote_value


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The order is worth at most the maximum order notional, at the dearest price that it may trade at."""
    maximum = context.limits.maximum_order_notional
    if maximum is None:
        return None
    value = quote_value(context.known_instrument, context.order.quantity, dearest_price(context))
    if value <= maximum:
        return None
    asset = context.known_instrument.quote
    return "quantity", f"the order is worth up to {plain(value)} {asset}, the limit is {plain(maximum)}"
