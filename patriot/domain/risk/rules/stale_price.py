"""The reference price. Rule: without a fresh price nobody can say what an order costs, so it is refused."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.GATE)
def check(context: RiskContext) -> tuple[str, str] | None:
    """There is a price with both sides, above zero, and not older than the limits allow."""
    price = context.price
    if price is None or min(price.bid, price.ask) <= 0:
        return "instrument", f"there is no price of {context.order.instrument}"
    age_seconds = (context.now - price.as_of).total_seconds()
    if price.stale or age_seconds > context.limits.price_age_seconds_max:
        return "instrument", f"the price of {context.order.instrument} is stale: {age_seconds:.1f} s old"
    return None
