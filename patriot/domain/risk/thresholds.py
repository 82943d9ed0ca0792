"""Thresholds: what is told, and done, when a figure of an account passes one. Rule: told once, until it is back within.

What an action has blocked stays blocked until somebody resumes it: a figure that recovers for a moment proves nothing.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

from patriot.domain.risk.level import Level, fold, halt, set_limits
from patriot.domain.risk.standing import Standing
from patriot.domain.risk.stress import worst_loss
from schemas.risk_commands import Authority, Metric, SetLimits, Threshold
from schemas.risk_events import LevelEvent, RiskAlertCleared, RiskAlertRaised

Figures = Mapping[Metric, Decimal]
_NEVER = datetime.min.replace(tzinfo=UTC)  # a level does not look at the time


def figures_of(standing: Standing) -> dict[Metric, Decimal]:
    """The figures that thresholds may name; value at risk and shortfall come from the history of prices."""
    figures: dict[Metric, Decimal] = {
        "leverage": standing.leverage,
        "margin_ratio": standing.margin_ratio,
        "daily_loss": standing.daily_loss,
        "drawdown": standing.drawdown,
        "concentration": standing.concentration,
        "exposure": standing.gross_exposure,
        "stress_loss": worst_loss(standing.exposure),
    }
    if standing.liquidation_distance is not None:
        figures["liquidation_distance"] = standing.liquidation_distance
    return figures


def passed(threshold: Threshold, value: Decimal) -> bool:
    return value < threshold.limit if threshold.metric == "liquidation_distance" else value > threshold.limit


def decide(
    level: Level, thresholds: Mapping[Authority, Sequence[Threshold]], figures: Figures, user_id: UUID
) -> list[LevelEvent]:
    """What happens at the account's level; a figure that is not known changes nothing."""
    decided: list[LevelEvent] = []
    for authority, each in thresholds.items():
        for threshold in each:
            value = figures.get(threshold.metric)
            if value is None:
                continue
            for event in _events(level, authority, threshold, value, user_id):
                decided.append(event)
                level = fold(level, event, 0, _NEVER)
    return decided


def _events(
    level: Level, authority: Authority, threshold: Threshold, value: Decimal, user_id: UUID
) -> list[LevelEvent]:
    was, now = (threshold.metric, threshold.limit) in level.alerts, passed(threshold, value)
    told = {"scope": level.scope, "user_id": user_id, "metric": threshold.metric, "limit": threshold.limit}
    shown = _shown(value)
    if was and not now:
        return [RiskAlertCleared(**told, value=shown)]
    if was or not now:
        return []
    return [
        RiskAlertRaised(**told, value=shown, action=threshold.action),
        *_action(level, authority, threshold, user_id),
    ]


def _action(level: Level, authority: Authority, threshold: Threshold, user_id: UUID) -> list[LevelEvent]:
    if threshold.action == "block":
        return halt(level, level.scope, authority, f"{threshold.metric} passed {threshold.limit}", user_id)
    if threshold.action in {"reduce_only", "flatten"}:
        limits = level.limits.get(authority, SetLimits()).model_copy(update={"reduce_only": True})
        return set_limits(level, level.scope, authority, limits, user_id)
    return []


def _shown(value: Decimal) -> Decimal:
    """Eighteen decimals, and no more than an amount can be: a leverage without equity is endless."""
    return min(value, Decimal(10) ** 18).quantize(Decimal("1E-18")) if value.is_finite() else Decimal(10) ** 18
