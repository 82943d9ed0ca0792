"""Post-only. Rule: an order that must rest is not priced to trade at once."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """A post-only buy is priced below the ask, a post-only sell above the bid."""
    order, price = context.order, context.known_price
    if not order.post_only or order.price is None:
        return None
    if order.side == "buy" and order.price >= price.ask:
        return "price", f"would trade at once: the ask is {plain(price.ask)}"
    if order.side == "sell" and order.price <= price.bid:
        return "price", f"would trade at once: the bid is {plain(price.bid)}"
    return None
