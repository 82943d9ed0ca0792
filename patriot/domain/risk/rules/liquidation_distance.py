"""Liquidation distance. Rule: all prices may move against an account by so much before its venue closes it."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.words import percent


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """With this order the account stays at least the minimum liquidation distance away from liquidation."""
    minimum, instrument = context.limits.minimum_liquidation_distance, context.known_instrument
    if minimum is None or not instrument.is_derivative or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "how far the account is from liquidation is not known now"
    added = quote_value(instrument, context.open_quantity, context.known_price.fair)
    distance = context.standing.distance_with(added, added * instrument.maintenance_margin_rate)
    if distance >= minimum:
        return None
    return (
        "quantity",
        f"the account would be {percent(distance)} from liquidation, the limit is {percent(minimum)}",
    )
