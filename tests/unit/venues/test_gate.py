"""What the breaker holds back, and for how long, on a clock that stands still."""

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import MemoryState
from patriot.venues.budget import Budget, Held, SharedBudget
from patriot.venues.gate import FAILURES_MAX, OPEN_SECONDS, OPEN_SECONDS_MAX, Gate, Step

NEW: tuple[Step, ...] = ("create", "modify", "leverage")
OTHERS: tuple[Step, ...] = tuple(step for step in get_args(Step) if step not in NEW)

pytestmark = pytest.mark.requirement("A5")


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def gate(clock: VirtualClock) -> Gate:
    return Gate(SharedBudget("budget", Budget("spot", 1000, 60), MemoryState(clock), clock), clock.monotonic)


def advance(clock: VirtualClock, seconds: float) -> None:
    clock.advance_to(clock.now() + timedelta(seconds=seconds))


def fail(gate: Gate, times: int) -> list[bool]:
    return [gate.unanswered() for _ in range(times)]


async def test_breaker_opens_after_calls_in_a_row_without_an_answer(gate: Gate):
    assert fail(gate, FAILURES_MAX) == [False] * (FAILURES_MAX - 1) + [True]
    assert gate.is_open
    for step in NEW:
        assert await gate.admit(step, 1) == Held("venue_unavailable", OPEN_SECONDS)
    assert [await gate.admit(step, 1) for step in OTHERS] == [None] * len(OTHERS)


async def test_answer_between_failures_keeps_the_breaker_closed(gate: Gate):
    fail(gate, FAILURES_MAX - 1)
    gate.answered()
    assert not any(fail(gate, FAILURES_MAX - 1))
    assert await gate.admit("create", 1) is None


async def test_first_answer_closes_the_breaker(gate: Gate):
    fail(gate, FAILURES_MAX)
    gate.answered()
    assert await gate.admit("create", 1) is None


async def test_breaker_lets_one_try_after_its_time_and_waits_twice_as_long(gate: Gate, clock: VirtualClock):
    waits, expected = [], OPEN_SECONDS
    fail(gate, FAILURES_MAX)
    for _ in range(6):
        held = await gate.admit("create", 1)
        assert held is not None
        waits.append(held.seconds)
        advance(clock, held.seconds)
        assert await gate.admit("create", 1) is None
        assert gate.unanswered()
    assert waits == [min(expected * 2**number, OPEN_SECONDS_MAX) for number in range(6)]


async def test_silence_holds_everything_back_and_never_shortens(gate: Gate, clock: VirtualClock):
    await gate.silence(60)
    await gate.silence(1)
    for step in get_args(Step):
        assert await gate.admit(step, 1) == Held("silenced", 60)
    advance(clock, 60)
    assert await gate.admit("cancel", 1) is None
