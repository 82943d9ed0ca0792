"""A deployed strategy: what it trades on is what its events assigned; what changes nothing makes no event."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from patriot.domain import deployment as decide
from patriot.domain.deployment import Deployment, fold
from patriot.domain.errors import InvalidTransition, InvalidValue
from schemas.events import Event
from schemas.strategy_events import StrategyDeployed, StrategyStarted
from tests.unit.domain.examples import ACCOUNT, NOW, USER

STRATEGY, OTHER = UUID(int=5), UUID(int=6)

pytestmark = pytest.mark.requirement("P12")


def after(deployment: Deployment | None, events: Sequence[Event]) -> Deployment:
    for event in events:
        deployment = fold(deployment, event, deployment.version + 1 if deployment else 1, NOW)
    assert deployment is not None
    return deployment


@pytest.fixture
def deployed() -> Deployment:
    event = StrategyDeployed(
        strategy_id=STRATEGY,
        user_id=USER,
        kind="ema_cross",
        name="mine",
        instruments=("BINANCE:BTC/USDT",),
        parameters="{}",
    )
    return after(None, [event])


def test_life_from_deployed_to_stopped_and_on(deployed: Deployment):
    assert deployed.status == "deployed"
    running = after(after(deployed, decide.assign(deployed, ACCOUNT, USER)), [])
    for step, status in ((decide.start, "running"), (decide.pause, "paused"), (decide.start, "running")):
        running = after(running, step(running))
        assert running.status == status
        assert step(running) == [], "what changes nothing makes no event"
    stopped = after(running, decide.stop(running))
    assert (stopped.status, decide.stop(stopped), stopped.version) == ("stopped", [], 6)


def test_accounts_come_and_go(deployed: Deployment):
    both = after(after(deployed, decide.assign(deployed, ACCOUNT, USER)), decide.assign(deployed, OTHER, USER))
    assert both.accounts == (ACCOUNT, OTHER)
    assert decide.assign(both, ACCOUNT, USER) == []
    one = after(both, decide.unassign(both, ACCOUNT))
    assert one.accounts == (OTHER,)
    assert decide.unassign(one, ACCOUNT) == []


def test_what_may_place_nothing_is_held(deployed: Deployment):
    one = after(deployed, [*decide.assign(deployed, ACCOUNT, USER), *decide.assign(deployed, OTHER, USER)])
    assert not one.held
    running = after(one, decide.start(one))
    assert not running.held
    for step in (decide.pause, decide.stop):
        assert after(running, step(running)).held == {ACCOUNT, OTHER}
    taken_off = after(running, decide.unassign(running, OTHER))
    assert taken_off.held == {OTHER}
    assert not after(taken_off, decide.assign(taken_off, OTHER, USER)).held


def test_parameters_change_at_rest_only(deployed: Deployment):
    assert decide.change_parameters(deployed, "{}") == []
    changed = after(deployed, decide.change_parameters(deployed, '{"a":1}'))
    assert changed.parameters == '{"a":1}'
    running = after(
        after(changed, decide.assign(changed, ACCOUNT, USER)),
        decide.start(after(changed, decide.assign(changed, ACCOUNT, USER))),
    )
    with pytest.raises(InvalidTransition, match="pause or stop"):
        decide.change_parameters(running, "{}")


def test_what_cannot_be_is_refused(deployed: Deployment):
    with pytest.raises(InvalidValue, match="assign"):
        decide.start(deployed)
    with pytest.raises(InvalidTransition, match="cannot be paused"):
        decide.pause(deployed)
    with pytest.raises(InvalidTransition, match=r"before strategy\.deployed"):
        fold(None, StrategyStarted(strategy_id=STRATEGY, user_id=USER), 1, NOW)
