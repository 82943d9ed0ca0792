"""Margin. Rule: orders and positions bind at most a part of the equity; the rest is for losses."""

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.words import percent


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Bound margin with this order is at most the maximum margin usage of the equity."""
    maximum, instrument = context.limits.maximum_margin_usage, context.known_instrument
    if maximum is None or not instrument.is_derivative or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "the margin of the account is not known now"
    needed = quote_value(instrument, context.open_quantity, context.known_price.fair) / context.multiple
    usage = context.standing.share(context.standing.margin + needed)
    if usage <= maximum:
        return None
    return "quantity", f"{percent(usage)} of the equity would be bound as margin, the limit is {percent(maximum)}"
