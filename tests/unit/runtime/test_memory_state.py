"""The State port of one process."""

from datetime import UTC, datetime, timedelta

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import PURGE_EVERY, MemoryState


async def test_keys_that_ran_out_and_that_nobody_asks_for_are_dropped():
    clock = VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    state = MemoryState(clock)
    await state.set("for ever", b"1")
    for number in range(PURGE_EVERY - 2):
        await state.set(f"brief {number}", b"1", seconds=1)
    clock.advance_to(clock.now() + timedelta(seconds=2))
    await state.set("later", b"1", seconds=1)
    assert set(state._entries) == {"for ever", "later"}
