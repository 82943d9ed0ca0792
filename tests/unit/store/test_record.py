"""A commit's events as recorded: versions follow each stream, positions the commit."""

from patriot.store.api import Append
from patriot.store.record import recorded
from tests.store_samples import NOW, commit, events, origin, stream


def test_recorded_numbers_events_in_order():
    order, position = stream(), stream("position")
    made = commit(appends=[Append(order, 3, events(2)), Append(position, 0, events())])
    found = recorded(made, 40)
    assert [(event.stream, event.version, event.position) for event in found] == [
        (order, 4, 40),
        (order, 5, 41),
        (position, 1, 42),
    ]
    assert {(event.origin, event.occurred_at, event.id.partition(":")[2]) for event in found} == {
        (origin(), NOW, "4"),
        (origin(), NOW, "5"),
        (origin(), NOW, "1"),
    }
    assert recorded(commit(), 1) == []
