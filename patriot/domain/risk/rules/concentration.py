"""Concentration. Rule: exposure to one asset, over all its instruments, is a bounded share of the equity."""

from patriot.domain.money import ZERO
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value
from patriot.domain.risk.words import percent


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """With this order the exposure to the base asset is at most the maximum concentration of the equity."""
    maximum, instrument = context.limits.maximum_concentration, context.known_instrument
    if maximum is None or not context.increases:
        return None
    if context.standing is None:
        return "account_id", "the exposure of the account is not known now"
    value = quote_value(instrument, context.open_quantity, context.known_price.fair)
    held = context.standing.exposure.get(instrument.base, ZERO)
    share = context.standing.share(abs(held + (value if context.order.side == "buy" else -value)))
    if share <= maximum:
        return None
    return "quantity", f"{instrument.base} would be {percent(share)} of the equity, the limit is {percent(maximum)}"
