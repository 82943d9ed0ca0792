"""Case 8 of the reliability cases: our clock jumps and drifts against the venue's.

The machine's clock stands behind each timestamp that ccxt signs; the venue keeps the true time.
"""

import time
from datetime import timedelta
from functools import partial
from uuid import UUID, uuid4

import pytest
from ccxt.base.exchange import BaseExchange

from patriot.domain.venue import Accepted, Rejected
from patriot.runtime.aggregates import USER
from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.edge import system_context
from patriot.runtime.function import Context, Function
from schemas.events import UserProfileChanged, UserRegistered
from schemas.topics import USER_EVENTS
from tests.integration.venues.world import MARKETS, World, now_ms, order, world
from tests.support.host import TENANT, running_host, until_idle

JUMPS_SECONDS = (10, -10, -10, 10, 10, 10, -20)
RESYNC_SECONDS_MAX = 2.0
USER_ID = UUID(int=2)
DRIFT_STEP_MS, DRIFT_STEPS = 250, 40

pytestmark = pytest.mark.alone


class Skew:
    """How far our clock is ahead of the venue's."""

    ms = 0.0


@pytest.fixture
def skew(monkeypatch: pytest.MonkeyPatch) -> Skew:
    given = Skew()
    monkeypatch.setattr(BaseExchange, "milliseconds", staticmethod(lambda: now_ms() + int(given.ms)))
    return given


async def refusals(there: World, venue: str, symbol: str) -> int:
    """How many orders are refused until one is taken."""
    for refused in range(5):
        answer = await there.adapter.create(order(venue, symbol, uuid4().hex))
        if isinstance(answer, Accepted):
            return refused
        assert isinstance(answer, Rejected), "a timestamp that was refused made no order: that is proof"
    raise AssertionError("the clock was not measured anew")


@pytest.mark.requirement("P7")
@pytest.mark.parametrize(("venue", "symbol"), MARKETS)
async def test_each_jump_of_ten_seconds_costs_at_most_one_request(venue, symbol, skew: Skew):
    worst_seconds, costs = 0.0, []
    async with world() as there:
        assert await refusals(there, venue, symbol) == 0
        for jump_seconds in JUMPS_SECONDS:
            skew.ms += jump_seconds * 1000
            started = time.monotonic()
            costs.append(await refusals(there, venue, symbol))
            worst_seconds = max(worst_seconds, time.monotonic() - started)
    print(f"\nclock jumps {venue}:{symbol}: refused {costs}, resync at most {worst_seconds * 1000:.0f} ms")
    assert set(costs) == {1}, "none would mean that the venue did not look at the time"
    assert worst_seconds <= RESYNC_SECONDS_MAX


@pytest.mark.requirement("P7")
@pytest.mark.parametrize("direction", [1, -1])
@pytest.mark.parametrize(("venue", "symbol"), MARKETS[::2])
async def test_drift_costs_one_request_for_each_time_it_leaves_the_window(venue, symbol, direction, skew: Skew):
    """Ten seconds in steps of a quarter; a venue allows a second ahead and five behind."""
    async with world() as there:
        costs = []
        for _ in range(DRIFT_STEPS):
            costs.append(await refusals(there, venue, symbol))
            skew.ms += direction * DRIFT_STEP_MS
    print(f"\nclock drift {venue} {direction:+}: {sum(costs)} of {DRIFT_STEPS} refused")
    assert max(costs) == 1
    assert 1 <= sum(costs) <= (DRIFT_STEPS * DRIFT_STEP_MS // 1000 if direction > 0 else 2)


async def changed(context: Context, number: int) -> Proposal[None]:
    loaded = await context.load(USER, USER_ID)
    registered = UserRegistered(user_id=USER_ID, username="ada", role="user")
    event = UserProfileChanged(user_id=USER_ID, telegram_id=number) if loaded.version else registered
    return Proposal([Change(loaded, [event])], None)


@pytest.mark.requirement("A6")
async def test_events_keep_their_order_when_our_clock_jumps(monkeypatch: pytest.MonkeyPatch):
    """Their order is the store's, not the clock's."""
    jumped, true_now, seen, part = Skew(), SystemClock.now, list[CloudEvent](), Function("order-probe")
    monkeypatch.setattr(SystemClock, "now", lambda clock: true_now(clock) + timedelta(milliseconds=jumped.ms))

    @part.on(USER_EVENTS, UserRegistered, UserProfileChanged)
    async def take(_: object, context: Context) -> None:
        assert context.event is not None
        seen.append(context.event)

    async with running_host(parts=[part]) as host:
        context = system_context(host.runtime, "order-probe", TENANT)
        for number, jump_seconds in enumerate((0, *JUMPS_SECONDS)):
            jumped.ms += jump_seconds * 1000
            await context.decide(partial(changed, context, number))
        await until_idle(host)
    times = [event.time for event in seen]
    assert [event.streamversion for event in seen] == list(range(1, len(JUMPS_SECONDS) + 2))
    assert times != sorted(times), "the jumps are in their times"
