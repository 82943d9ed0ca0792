"""Trading hours. Rule: outside the sessions of any level above it nothing new is sent; reducing goes on."""

from datetime import UTC

from patriot.domain.risk.context import RiskContext, Stage, rule
from patriot.domain.risk.limits import is_open


@rule(Stage.ACCOUNT)
def check(context: RiskContext) -> tuple[str, str] | None:
    """Each level that names sessions has one open now, in UTC."""
    now = context.now.astimezone(UTC)
    closed = [level for level in context.limits.sessions if not any(is_open(session, now) for session in level)]
    if not closed or not context.increases:
        return None
    return "account_id", f"trading is closed now, {now:%a %H:%M} UTC; it is open {', '.join(closed[0])}"
