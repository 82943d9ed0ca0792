"""Cancel rate. Rule: cancels always pass; but who sends too many of them gets no new orders until it is quieter."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The account has sent at most the maximum number of cancels within the last second."""
    maximum = context.limits.maximum_cancels_per_second
    if maximum is None or context.cancels_last_second <= maximum:
        return None
    return "account_id", f"sent {context.cancels_last_second} cancels in the last second, the limit is {maximum}"
