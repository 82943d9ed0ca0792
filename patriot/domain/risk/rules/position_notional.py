"""Position notional. Rule: even if everything that is open fills, the position stays within the account's limit."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Position after the order, plus the open orders, is worth at most the maximum position notional.

    Open orders count fully whatever their side: they could fill alone. What brings the position closer to zero passes.
    """
    maximum, order = context.limits.maximum_position_notional, context.order
    if maximum is None:
        return None
    signed = context.open_quantity if order.side == "buy" else -context.open_quantity
    after = abs(context.position_quantity + signed)
    if after <= abs(context.position_quantity):
        return None
    value = quote_value(context.known_instrument, after, context.known_price.fair) + context.open_notional
    return (
        ("quantity", f"the position could be worth {value:f}, more than the limit {maximum}")
        if value > maximum
        else None
    )
