"""Duplicate order. Rule: what reads like an order of a moment ago is taken for a slip, where a level says so.

A client that repeats a request sends the same idempotency key and never comes here twice.
"""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """No order of the same instrument, side, type, quantity and price was sent within the duplicate window."""
    seconds, age = context.limits.duplicate_seconds, context.same_order_seconds
    if seconds is None or age is None or age >= seconds:
        return None
    return "quantity", f"the same order was sent {age:.1f} s ago; duplicates are refused for {seconds} s"
