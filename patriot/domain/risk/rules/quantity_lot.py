"""The quantity step. Rule: a quantity lies on the venue's grid."""

from patriot.domain.money import is_multiple, plain
from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The quantity is a whole number of lots."""
    lot_size = context.known_instrument.lot_size
    if is_multiple(context.order.quantity, lot_size):
        return None
    return "quantity", f"must be a multiple of the lot size {plain(lot_size)}"
