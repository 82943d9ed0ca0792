"""Time that stands still until it is told to go on, and ids that repeat."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.runtime.clock import SeededIds, SystemClock, SystemIds, VirtualClock

START = datetime(2024, 8, 8, tzinfo=UTC)


async def sleepers(clock: VirtualClock, *pauses: float) -> list[int]:
    """Sleepers by number; the list fills as they wake."""
    woken: list[int] = []

    async def sleep(number: int, seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(number)

    for number, seconds in enumerate(pauses):
        task = asyncio.ensure_future(sleep(number, seconds))
        task.set_name(str(number))
        KEPT.add(task)
        task.add_done_callback(KEPT.discard)
    await settle()
    return woken


KEPT: set["asyncio.Future[None]"] = set()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@given(st.lists(st.floats(-1, 100), max_size=20))
def test_sleepers_wake_in_order_of_time_then_of_call(pauses: list[float]):
    async def run() -> list[int]:
        clock = VirtualClock(START)
        woken = await sleepers(clock, *pauses)
        while clock.next_wake is not None:
            clock.advance_to(clock.next_wake)
            await settle()
        return woken

    by_time = sorted(range(len(pauses)), key=lambda number: timedelta(seconds=max(0.0, pauses[number])))
    assert asyncio.run(run()) == by_time


async def test_time_moves_on_only_when_told():
    clock = VirtualClock(START)
    woken = await sleepers(clock, 10)
    assert clock.next_wake == START + timedelta(seconds=10)
    assert clock.advance_to(START + timedelta(seconds=9.999)) == 0
    await settle()
    assert woken == []
    assert clock.advance_to(START + timedelta(seconds=10)) == 1
    await settle()
    assert woken == [0]
    assert clock.monotonic() == 10
    assert clock.next_wake is None


def test_time_never_goes_back():
    clock = VirtualClock(START)
    clock.advance_to(START + timedelta(seconds=5))
    clock.advance_to(START)
    assert clock.now() == START + timedelta(seconds=5)


async def test_cancelled_sleeper_is_passed_over():
    clock = VirtualClock(START)
    sleeper = asyncio.create_task(clock.sleep(1))
    await settle()
    sleeper.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sleeper
    assert clock.advance_to(START + timedelta(seconds=2)) == 0


def test_one_seed_gives_one_sequence_of_ids():
    first, again, other = SeededIds(7), SeededIds(7), SeededIds(8)
    made = [first.uuid() for _ in range(100)]
    assert made == [again.uuid() for _ in range(100)]
    assert len({*made, *(other.uuid() for _ in range(100))}) == 200
    assert {one.version for one in made} == {4}


async def test_system_clock_is_utc_and_sleeps():
    clock = SystemClock()
    before = clock.monotonic()
    await clock.sleep(0.01)
    assert clock.monotonic() > before
    assert clock.now().utcoffset() == timedelta(0)
    assert SystemIds().uuid() != SystemIds().uuid()
