"""Open orders. Rule: an account has a bounded number of them."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """With this order the account has at most the maximum number of open orders."""
    maximum = context.limits.maximum_open_orders
    if maximum is None or context.open_orders < maximum:
        return None
    return "account_id", f"has {context.open_orders} open orders, the limit is {maximum}"
