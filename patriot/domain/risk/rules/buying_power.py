"""Buying power. Rule: an order is backed by what the account has available. The store asks again when it commits."""

from patriot.domain.money import ZERO, plain
from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.reservation import reservation_for


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """What the order must reserve, less what it holds already, is available."""
    needed = reservation_for(context)
    available = context.available.get(needed.asset, ZERO)
    missing = needed.amount - context.reserved
    if missing <= max(available, ZERO):
        return None
    return "quantity", f"needs {plain(missing)} {needed.asset}, {plain(available)} is available"
