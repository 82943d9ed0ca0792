"""The cache of folded states: newest version wins, bounded, dropped by the losers of races."""

from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from patriot.runtime.states import StateCache
from patriot.store.api import StreamId


def stream(number: int) -> StreamId:
    return StreamId(UUID(int=1), "order", UUID(int=number))


def test_unknown_stream_is_unknown():
    states = StateCache()
    assert states.get(stream(1)) is None
    states.drop(stream(1))


def test_older_version_never_replaces_a_newer_one():
    states = StateCache()
    states.put(stream(1), 2, "new")
    states.put(stream(1), 1, "old")
    assert states.get(stream(1)) == (2, "new")
    states.put(stream(1), 2, "same version")
    assert states.get(stream(1)) == (2, "same version")


def test_dropped_state_is_gone():
    states = StateCache()
    states.put(stream(1), 2, "x")
    states.drop(stream(1))
    assert states.get(stream(1)) is None
    states.put(stream(1), 1, "reloaded")
    assert states.get(stream(1)) == (1, "reloaded")


def test_least_recently_used_leaves_first():
    states = StateCache(states_max=2)
    states.put(stream(1), 1, "one")
    states.put(stream(2), 1, "two")
    states.get(stream(1))
    states.put(stream(3), 1, "three")
    assert states.get(stream(2)) is None
    assert states.get(stream(1)) == (1, "one")


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(1, 5)), max_size=100))
def test_cache_is_bounded_and_holds_the_newest(puts: list[tuple[int, int]]):
    states = StateCache(states_max=4)
    for number, version in puts:
        states.put(stream(number), version, version)
        held = states.get(stream(number))
        assert held is not None
        assert held[0] == held[1] >= version
    assert sum(states.get(stream(number)) is not None for number in range(10)) <= 4
