"""What is held back, and for how long, on a clock that stands still."""

from dataclasses import dataclass
from typing import get_args

import pytest

from patriot.venues.gate import FAILURES_MAX, OPEN_SECONDS, OPEN_SECONDS_MAX, Budget, Gate, Held, Step

NEW: tuple[Step, ...] = ("create", "modify")
OTHERS: tuple[Step, ...] = tuple(step for step in get_args(Step) if step not in NEW)

pytestmark = pytest.mark.requirement("A5")


@dataclass
class Time:
    seconds: float = 1000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def gate(time: Time) -> Gate:
    return Gate(Budget(1000, 60), time)


def fail(gate: Gate, times: int) -> list[bool]:
    return [gate.unanswered() for _ in range(times)]


def test_breaker_opens_after_calls_in_a_row_without_an_answer(gate: Gate):
    assert fail(gate, FAILURES_MAX) == [False] * (FAILURES_MAX - 1) + [True]
    assert gate.is_open
    for step in NEW:
        assert gate.admit(step, 1) == Held("venue_unavailable", OPEN_SECONDS)
    assert [gate.admit(step, 1) for step in OTHERS] == [None] * len(OTHERS)


def test_answer_between_failures_keeps_the_breaker_closed(gate: Gate):
    fail(gate, FAILURES_MAX - 1)
    gate.answered()
    assert not any(fail(gate, FAILURES_MAX - 1))
    assert gate.admit("create", 1) is None


def test_first_answer_closes_the_breaker(gate: Gate):
    fail(gate, FAILURES_MAX)
    gate.answered()
    assert gate.admit("create", 1) is None


def test_breaker_lets_one_try_after_its_time_and_waits_twice_as_long(gate: Gate, time: Time):
    waits, expected = [], OPEN_SECONDS
    fail(gate, FAILURES_MAX)
    for _ in range(6):
        held = gate.admit("create", 1)
        assert held is not None
        waits.append(held.seconds)
        time.seconds += held.seconds
        assert gate.admit("create", 1) is None
        assert gate.unanswered()
    assert waits == [min(expected * 2**number, OPEN_SECONDS_MAX) for number in range(6)]


def test_silence_holds_everything_back_and_never_shortens(gate: Gate, time: Time):
    gate.silence(60)
    gate.silence(1)
    for step in get_args(Step):
        assert gate.admit(step, 1) == Held("silenced", 60)
    time.seconds += 60
    assert gate.admit("cancel", 1) is None


def test_a_fifth_of_the_burst_is_kept_for_cancels(gate: Gate):
    sent = 0
    while gate.admit("create", 1) is None:
        sent += 1
    cancelled = 0
    while gate.admit("cancel", 1) is None:
        cancelled += 1
    assert (sent, cancelled) == (200, 50)


def test_held_call_may_leave_after_the_time_it_was_told(gate: Gate, time: Time):
    while (held := gate.admit("open", 6)) is None:
        pass
    assert held.code == "rate_limited"
    time.seconds += held.seconds * 0.99
    assert gate.admit("open", 6) is not None
    time.seconds += held.seconds * 0.02
    assert gate.admit("open", 6) is None


def test_no_window_of_the_venue_sees_more_than_its_budget(gate: Gate, time: Time):
    """As greedy as it gets for an hour; the venue's minutes may begin at any second."""
    sent_at: list[float] = []
    for _ in range(3600):
        time.seconds += 1
        while gate.admit("cancel", 10) is None:
            sent_at.append(time.seconds)
    for start in range(1000, 4600, 7):
        assert sum(10 for at in sent_at if start < at <= start + 60) <= 1000
    assert len(sent_at) * 10 > 0.6 * 1000 * 60, "and it is not far from it either"
