"""Position notional. Rule: even if everything that is open on its side fills, the position stays within the limit."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Position, open orders of the same side and this order are worth at most the maximum position notional.

    All of them count in the direction of the order: a position on the other side is closed first, so it counts less.
    """
    maximum, side = context.limits.maximum_position_notional, 1 if context.order.side == "buy" else -1
    if maximum is None:
        return None
    quantity = side * context.position_quantity + context.open_quantity
    value = quote_value(context.known_instrument, quantity, context.known_price.fair) + context.open_notional
    return (
        ("quantity", f"the position could be worth {value:f}, more than the limit {maximum}")
        if value > maximum
        else None
    )
