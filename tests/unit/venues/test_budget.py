"""One budget, many replicas: never more than the venue allows, a fifth for cancels, silence that all obey."""

import asyncio
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import MemoryState
from patriot.runtime.ports import StateEntry
from patriot.venues.budget import Budget, Held, SharedBudget

START = datetime(2026, 1, 1, tzinfo=UTC)
BUDGET = Budget("spot", 1000, 60)

pytestmark = pytest.mark.requirement("A5")


class Deaf(MemoryState):
    """A state store that does not answer."""

    async def get(self, key: str) -> StateEntry | None:
        raise ConnectionError(key)


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


def replicas(clock: VirtualClock, count: int, budget: Budget = BUDGET) -> list[SharedBudget]:
    state = MemoryState(clock)
    return [SharedBudget("budget", budget, state, clock) for _ in range(count)]


def advance(clock: VirtualClock, seconds: float) -> None:
    clock.advance_to(clock.now() + timedelta(seconds=seconds))


async def drained(one: SharedBudget, *, for_cancel: bool = False) -> int:
    count = 0
    while await one.take(1, for_cancel=for_cancel) is None:
        count += 1
    return count


async def test_a_fifth_of_the_budget_is_kept_for_cancels(clock: VirtualClock):
    first, second = replicas(clock, 2)
    assert await drained(first) == 50
    assert await drained(second) == 0, "the other replica's share is the same bucket"
    assert await drained(second, for_cancel=True) == 200
    assert await drained(first, for_cancel=True) == 0


async def test_held_call_may_leave_after_the_time_it_was_told(clock: VirtualClock):
    (one,) = replicas(clock, 1)
    while (held := await one.take(6, for_cancel=False)) is None:
        pass
    assert held.code == "rate_limited"
    advance(clock, held.seconds * 0.99)
    assert await one.take(6, for_cancel=False) is not None
    advance(clock, held.seconds * 0.02)
    assert await one.take(6, for_cancel=False) is None


async def test_every_replica_is_silent_within_half_a_second(clock: VirtualClock):
    first, second, third = replicas(clock, 3)
    assert [await one.take(1, for_cancel=False) for one in (first, second, third)] == [None] * 3
    await first.silence(60)
    assert await first.take(1, for_cancel=True) == Held("silenced", 60)
    advance(clock, 0.5)
    for one in (second, third):
        assert await one.take(1, for_cancel=True) == Held("silenced", 59.5)


async def test_replicas_that_draw_at_once_do_not_draw_the_same(clock: VirtualClock):
    dice = random.Random(7)

    class Slow:
        """Answers late: in between others may have written."""

        async def get(self, key: str) -> StateEntry | None:
            entry = await told.get(key)
            for _ in range(dice.randint(0, 5)):
                await asyncio.sleep(0)
            return entry

        async def set(self, key: str, value: bytes, **more: Any) -> None:
            await told.set(key, value, **more)

    told = MemoryState(clock)
    state: Any = Slow()
    await SharedBudget("budget", BUDGET, state, clock).take(1, for_cancel=True)
    many = [SharedBudget("budget", BUDGET, state, clock) for _ in range(4)]
    assert sum(await asyncio.gather(*(drained(one, for_cancel=True) for one in many))) == 249


async def test_without_the_state_store_only_cancels_leave(clock: VirtualClock):
    one = SharedBudget("budget", BUDGET, Deaf(clock), clock)
    held = await one.take(1, for_cancel=False)
    assert held is not None
    assert held.code == "rate_limited"
    assert await one.take(1, for_cancel=True) is None
    await one.silence(5)
    assert await one.take(1, for_cancel=True) == Held("silenced", 5), "its own knowledge it obeys"


async def test_clocks_that_differ_refill_nothing_twice(clock: VirtualClock):
    state = MemoryState(clock)
    ahead = VirtualClock(START + timedelta(seconds=10))
    here, there = (SharedBudget("budget", BUDGET, state, one) for one in (clock, ahead))
    await drained(here, for_cancel=True)
    refilled = await drained(there, for_cancel=True)
    assert refilled == int(BUDGET.rate * 10)
    assert await drained(here, for_cancel=True) + await drained(there, for_cancel=True) == 0


async def test_a_clock_that_was_far_ahead_does_not_stop_the_refill_for_ever(clock: VirtualClock):
    state = MemoryState(clock)
    await SharedBudget("budget", BUDGET, state, VirtualClock(START + timedelta(days=1))).take(1, for_cancel=True)
    one = SharedBudget("budget", BUDGET, state, clock)
    await drained(one, for_cancel=True)
    advance(clock, 1)
    assert await drained(one, for_cancel=True) == int(BUDGET.rate)


async def test_no_window_of_the_venue_sees_more_than_its_budget(clock: VirtualClock):
    """Five replicas, as greedy as they get for half an hour; the venue's minutes may begin at any second."""
    many, dice = replicas(clock, 5), random.Random(7)
    sent = [0] * 1800
    for second in range(1800):
        advance(clock, 1)
        for one in dice.sample(many, 5):
            while await one.take(10, for_cancel=dice.random() < 0.5) is None:
                sent[second] += 10
    windows = [sum(sent[start : start + 60]) for start in range(1740)]
    assert max(windows) <= 1000
    assert min(windows) > 650, "and it is not far from it either"
