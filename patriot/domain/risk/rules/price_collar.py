"""The price collar. Rule: no order may trade much worse than the market; a better price is the client's affair.

A buy may not be priced more than the collar above the reference, a sell not more than the collar below it. Prices on
the other side only rest. The reference is the fair price; for an order that waits for its stop price, the stop price.
"""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.words import percent


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """A limit price is at most the collar worse than the reference price."""
    order, collar = context.order, context.limits.price_collar
    if order.price is None or collar is None:
        return None
    reference = order.stop_price or context.known_price.fair
    if order.side == "buy" and order.price > reference * (1 + collar):
        return "price", f"is more than {percent(collar)} above the reference price {plain(reference)}"
    if order.side == "sell" and order.price < reference * (1 - collar):
        return "price", f"is more than {percent(collar)} below the reference price {plain(reference)}"
    return None
