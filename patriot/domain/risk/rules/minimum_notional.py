"""The smallest order value. Rule: the venue's minimum holds, except for what only reduces a derivative position."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import quote_value


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The order is worth the instrument's minimum at its own price, or at the fair price where it has none."""
    instrument, order = context.known_instrument, context.order
    price = order.price or order.stop_price or context.known_price.fair
    value = quote_value(instrument, order.quantity, price)
    closes = order.reduce_only and instrument.is_derivative
    if closes or value >= instrument.minimum_notional:
        return None
    least = plain(instrument.minimum_notional)
    return "quantity", f"the order is worth {plain(value)} {instrument.quote}, the venue takes no less than {least}"
