"""Order rate. Rule: an account sends a bounded number of orders per second."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """With this order the account has sent at most the maximum number of orders within the last second."""
    maximum = context.limits.maximum_orders_per_second
    if maximum is None or context.orders_last_second < maximum:
        return None
    return "account_id", f"sent {context.orders_last_second} orders in the last second, the limit is {maximum}"
