"""The quantity range. Rule: the venue's smallest and largest order hold. A maximum of zero means none."""

from patriot.domain.money import plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The quantity lies between the instrument's minimum and maximum."""
    instrument, quantity = context.known_instrument, context.order.quantity
    if quantity < instrument.minimum_quantity:
        return "quantity", f"must be at least {plain(instrument.minimum_quantity)}"
    if instrument.maximum_quantity and quantity > instrument.maximum_quantity:
        return "quantity", f"must be at most {plain(instrument.maximum_quantity)}"
    return None
