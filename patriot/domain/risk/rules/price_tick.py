"""The price step. Rule: a price lies on the venue's grid."""

from patriot.domain.money import is_multiple, plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Price and stop price are whole numbers of ticks."""
    tick_size = context.known_instrument.tick_size
    for field in ("price", "stop_price"):
        price = getattr(context.order, field)
        if price is not None and not is_multiple(price, tick_size):
            return field, f"must be a multiple of the tick size {plain(tick_size)}"
    return None
