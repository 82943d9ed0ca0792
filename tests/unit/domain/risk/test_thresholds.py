"""Thresholds: told once, acted upon once, by the word of whoever set them."""

from decimal import Decimal
from uuid import UUID

import pytest

from patriot.domain.risk.level import Level, fold
from patriot.domain.risk.standing import Standing
from patriot.domain.risk.thresholds import decide, figures_of, passed
from schemas.risk_commands import SetLimits, Threshold
from schemas.risk_events import LevelEvent, RiskAlertCleared, RiskAlertRaised, RiskHalted, RiskLimitsChanged
from tests.unit.domain.examples import NOW

D = Decimal
SCOPE, ADA = "account:1", UUID(int=7)


def threshold(action: str = "warn", limit: str = "3", metric: str = "leverage") -> Threshold:
    return Threshold(metric=metric, limit=D(limit), action=action)


def after(level: Level, events: list[LevelEvent]) -> Level:
    for event in events:
        level = fold(level, event, 1, NOW)
    return level


@pytest.mark.requirement("P11")
def test_alert_is_raised_once_and_cleared_once():
    level, thresholds = Level(SCOPE), {"owner": [threshold()]}
    raised = decide(level, thresholds, {"leverage": D("3.1")}, ADA)
    assert [type(event) for event in raised] == [RiskAlertRaised]
    level = after(level, raised)
    assert decide(level, thresholds, {"leverage": D(9)}, ADA) == []
    cleared = decide(level, thresholds, {"leverage": D(3)}, ADA)
    assert [type(event) for event in cleared] == [RiskAlertCleared]
    assert decide(after(level, cleared), thresholds, {"leverage": D(3)}, ADA) == []


@pytest.mark.requirement("P11")
@pytest.mark.parametrize(
    ("action", "kind"), [("block", RiskHalted), ("reduce_only", RiskLimitsChanged), ("flatten", RiskLimitsChanged)]
)
def test_action_comes_with_the_alert_by_the_same_authority(action: str, kind: type[LevelEvent]):
    set_before = SetLimits(maximum_open_orders=3)
    level = Level(SCOPE, limits={"manager": set_before})
    events = decide(level, {"manager": [threshold(action)]}, {"leverage": D(4)}, ADA)
    assert [type(event) for event in events] == [RiskAlertRaised, kind]
    assert events[1].authority == "manager"
    if kind is RiskLimitsChanged:
        assert events[1].limits == SetLimits(maximum_open_orders=3, reduce_only=True)


def test_two_thresholds_of_one_figure_each_have_their_say():
    thresholds = {"owner": [threshold(limit="2"), threshold("block")], "manager": [threshold("block", "5")]}
    level = Level(SCOPE)
    kinds = [type(event) for event in decide(level, thresholds, {"leverage": D(4)}, ADA)]
    assert kinds == [RiskAlertRaised, RiskAlertRaised, RiskHalted]


def test_figure_that_is_not_known_changes_nothing():
    raised = after(Level(SCOPE), decide(Level(SCOPE), {"owner": [threshold()]}, {"leverage": D(4)}, ADA))
    assert decide(raised, {"owner": [threshold()]}, {}, ADA) == []


def test_distance_to_liquidation_alerts_when_it_falls():
    near = threshold(metric="liquidation_distance", limit="0.1")
    assert passed(near, D("0.09"))
    assert not passed(near, D("0.1"))
    assert not passed(threshold(), D(3))


def test_leverage_without_equity_is_shown_as_the_largest_amount():
    figures = figures_of(Standing(D(0), exposure={"BTC": D(5)}))
    (alert,) = decide(Level(SCOPE), {"owner": [threshold()]}, figures, ADA)
    assert alert.value == D(10) ** 18
