"""Reduce-only. Rule: such an order closes, it never opens."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """A reduce-only order has an opposite position, and is not larger than it."""
    position, order = context.position_quantity, context.order
    if not order.reduce_only:
        return None
    if position == 0 or (position > 0) == (order.side == "buy"):
        return "reduce_only", f"there is no position for a {order.side} to reduce: it is {plain(position)}"
    if context.open_quantity > abs(position):
        return "quantity", f"a reduce-only order is not larger than the position, {plain(abs(position))}"
    return None
