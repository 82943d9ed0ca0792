"""One level of limits: what owner and manager have set and halted there, folded from its events.

Rule: neither loosens what the other has tightened. A manager may end an owner's halt, an owner never a manager's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType
from typing import Any
from uuid import UUID, uuid5

from patriot.domain.errors import InvalidTransition
from schemas.risk_commands import Authority, SetLimits
from schemas.risk_events import (
    LevelEvent,
    RiskAlertCleared,
    RiskAlertRaised,
    RiskHalted,
    RiskLimitsChanged,
    RiskResumed,
)

_LEVELS = UUID("2f6d1a34-7c1f-5a7e-8a0d-93c1b0a5e6d2")


def level_id(scope: str) -> UUID:
    """The id of the level's stream."""
    return uuid5(_LEVELS, scope)


@dataclass(frozen=True, slots=True)
class Level:
    """One level after its events. `alerts` are the figures that are beyond a threshold now, with their limits."""

    scope: str
    limits: Mapping[Authority, SetLimits] = field(default_factory=lambda: MappingProxyType({}))
    halts: Mapping[Authority, str] = field(default_factory=lambda: MappingProxyType({}))
    alerts: frozenset[tuple[str, Decimal]] = frozenset()

    @property
    def halted(self) -> bool:
        return bool(self.halts)

    def settings_changed(self, before: "Level") -> bool:
        """Whether what orders are judged by is another than before; alerts alone are not."""
        return (self.limits, self.halted) != (before.limits, before.halted)

    @property
    def settings(self) -> dict[str, Any]:
        """The limits as the level's guard keeps them."""
        return {who: limits.model_dump(mode="json", exclude_none=True) for who, limits in self.limits.items()}


def fold(level: Level | None, event: LevelEvent, _version: int, _when: datetime) -> Level:
    level = level or Level(event.scope)
    match event:
        case RiskLimitsChanged():
            return replace(level, limits=MappingProxyType({**level.limits, event.authority: event.limits}))
        case RiskHalted():
            return replace(level, halts=MappingProxyType({**level.halts, event.authority: event.reason}))
        case RiskResumed():
            ended = {"owner", event.authority}
            left = {who: why for who, why in level.halts.items() if who not in ended}
            return replace(level, halts=MappingProxyType(left))
        case RiskAlertRaised():
            return replace(level, alerts=level.alerts | {(event.metric, event.limit)})
        case RiskAlertCleared():
            return replace(level, alerts=level.alerts - {(event.metric, event.limit)})
        case _:
            return level


def set_limits(
    level: Level | None, scope: str, authority: Authority, limits: SetLimits, user_id: UUID | None
) -> list[LevelEvent]:
    """Replace what the authority has set; [] where that is what stands."""
    if level is not None and level.limits.get(authority) == limits:
        return []
    return [RiskLimitsChanged(scope=scope, authority=authority, limits=limits, user_id=user_id)]


def halt(level: Level | None, scope: str, authority: Authority, reason: str, user_id: UUID | None) -> list[LevelEvent]:
    """Throw the kill switch; [] where the same authority has done so."""
    if level is not None and authority in level.halts:
        return []
    return [RiskHalted(scope=scope, authority=authority, reason=reason, user_id=user_id)]


def resume(
    level: Level | None, scope: str, authority: Authority, reason: str, user_id: UUID | None
) -> list[LevelEvent]:
    """Let trading go on; [] where it is not halted. Raises InvalidTransition where only a manager may."""
    if level is None or not level.halted:
        return []
    if authority == "owner" and "manager" in level.halts:
        raise InvalidTransition(f"a manager has halted {scope}: {level.halts['manager']}")
    return [RiskResumed(scope=scope, authority=authority, reason=reason, user_id=user_id)]
