"""Compliance. Rule: where a level asks for it, only who is verified opens positions; reducing goes on."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The user's compliance status is verified, where a limit demands it of such an account."""
    demanded = context.limits.verified_only
    concerned = demanded == "all" or (demanded == "live" and context.account_mode == "live")
    if not concerned or context.compliance == "verified" or not context.increases:
        return None
    return (
        "account_id",
        f"only verified users may trade on a {context.account_mode} account: you are {context.compliance}",
    )
