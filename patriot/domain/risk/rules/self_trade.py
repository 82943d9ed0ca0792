"""Self-trade. Rule: where a level says so, an account's orders never meet each other at the venue."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The order is not priced to trade with a resting order of the same account."""
    own = context.best_opposite
    if not context.limits.prevent_self_trade or own is None:
        return None
    order, price = context.order, context.known_price
    reach = order.price or order.stop_price or (price.ask if order.side == "buy" else price.bid)
    meets = reach >= own if order.side == "buy" else reach <= own
    other = "sell" if order.side == "buy" else "buy"
    return ("price", f"would trade with your own {other} at {plain(own)}") if meets else None
