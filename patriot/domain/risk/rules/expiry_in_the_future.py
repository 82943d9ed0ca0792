"""Expiry. Rule: an order is not over before it begins."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ORDER)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The expiry of a GTD order lies in the future."""
    expire_at = context.order.expire_at
    if expire_at is None or expire_at > context.now:
        return None
    return "expire_at", f"must be later than now, {context.now.isoformat()}"
