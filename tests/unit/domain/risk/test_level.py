"""A level: owner and manager beside each other, neither loosening what the other has tightened."""

from decimal import Decimal
from uuid import UUID

import pytest

from patriot.domain.errors import InvalidTransition
from patriot.domain.risk.level import Level, fold, halt, level_id, resume, set_limits
from schemas.risk_commands import SetLimits
from schemas.risk_events import LevelEvent, RiskAlertCleared, RiskAlertRaised
from tests.unit.domain.examples import NOW

SCOPE, ADA = "account:1", UUID(int=7)
TIGHT, LOOSE = SetLimits(maximum_open_orders=1), SetLimits(maximum_open_orders=9)


def after(level: Level | None, *events: LevelEvent) -> Level:
    for number, event in enumerate(events, 1):
        level = fold(level, event, number, NOW)
    assert level is not None
    return level


@pytest.mark.requirement("P11", "P22")
def test_owner_and_manager_each_replace_their_own_figures_only():
    level = after(None, *set_limits(None, SCOPE, "manager", TIGHT, ADA))
    level = after(level, *set_limits(level, SCOPE, "owner", LOOSE, ADA))
    assert level.limits == {"manager": TIGHT, "owner": LOOSE}
    assert level.settings == {"manager": {"maximum_open_orders": 1}, "owner": {"maximum_open_orders": 9}}
    assert set_limits(level, SCOPE, "owner", LOOSE, ADA) == []


@pytest.mark.requirement("P11")
def test_a_managers_halt_is_not_the_owners_to_end():
    level = after(None, *halt(None, SCOPE, "owner", "holiday", ADA))
    level = after(level, *halt(level, SCOPE, "manager", "odd orders", ADA))
    assert halt(level, SCOPE, "manager", "again", ADA) == []
    with pytest.raises(InvalidTransition, match="odd orders"):
        resume(level, SCOPE, "owner", "back", ADA)
    assert not after(level, *resume(level, SCOPE, "manager", "explained", ADA)).halted


@pytest.mark.requirement("P11")
def test_owner_ends_their_own_halt_and_resuming_twice_is_harmless():
    level = after(None, *halt(None, SCOPE, "owner", "holiday", ADA))
    assert level.halted
    level = after(level, *resume(level, SCOPE, "owner", "back", ADA))
    assert not level.halted
    assert resume(level, SCOPE, "owner", "back", ADA) == resume(None, SCOPE, "owner", "back", ADA) == []


def test_alerts_stand_until_they_are_cleared():
    told = {"scope": SCOPE, "metric": "drawdown", "value": Decimal("0.12"), "limit": Decimal("0.1")}
    level = after(None, RiskAlertRaised(**told, action="warn"))
    assert level.alerts == {("drawdown", Decimal("0.1"))}
    assert after(level, RiskAlertCleared(**told)).alerts == frozenset()


def test_every_level_has_a_stream_of_its_own():
    assert len({level_id(scope) for scope in ("platform", "tenant", "user:1", "account:1")}) == 4
