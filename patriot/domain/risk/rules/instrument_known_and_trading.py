"""The instrument. Rule: only what the venue trades now can be ordered."""

from patriot.domain.risk.context import RiskContext, Stage, rule


@rule(Stage.GATE)
def check(context: RiskContext) -> tuple[str, str] | None:
    """The instrument exists and its venue trades it."""
    if context.instrument is None:
        return "instrument", f"{context.order.instrument} is not known"
    return None if context.instrument.trading else ("instrument", f"{context.instrument.id} is not trading now")
