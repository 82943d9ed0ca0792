"""Position notional. Rule: even if everything that is open on its side fills, the position stays within the limit.

A position on the other side is closed first, so it counts less. The store counts again when it commits: there the
limit is a quantity, at the fair price of the judgement.
"""

from decimal import Decimal

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Position, open orders of the same side and this order are worth at most the maximum position notional."""
    maximum = context.limits.maximum_position_notional
    quantity = context.side_quantity + context.open_quantity
    if maximum is None:
        return None
    value = quote_value(context.known_instrument, quantity, context.known_price.fair)
    if value <= maximum:
        return None
    asset = context.known_instrument.quote
    return "quantity", f"the position could come to {plain(value)} {asset}, the limit is {plain(maximum)}"


def maximum_quantity(context: RiskContext) -> Decimal | None:
    """The limit as a quantity of the instrument."""
    maximum = context.limits.maximum_position_notional
    if maximum is None:
        return None
    return maximum / quote_value(context.known_instrument, Decimal(1), context.known_price.fair)
