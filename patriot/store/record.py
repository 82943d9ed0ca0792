"""A commit's events as they stand in the store. Positions follow the order of the commit's appends, without holes."""

from collections.abc import Sequence

from patriot.store.api import Commit, RecordedEvent

ANSWER_HOURS = 24  # how long an idempotency record is kept


def recorded(commit: Commit, position: int) -> Sequence[RecordedEvent]:
    """The events of `commit`, the first of them at `position`."""
    events: list[RecordedEvent] = []
    for append in commit.appends:
        version = append.expected_version
        for event in append.events:
            version += 1
            events.append(
                RecordedEvent(
                    append.stream, version, event.type, event.schema_version, event.data,
                    commit.occurred_at, commit.origin, position + len(events),
                )
            )  # fmt: skip
    return events
