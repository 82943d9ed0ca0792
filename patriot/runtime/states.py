"""Folded aggregates of this process. Only a shortcut: the store checks every version at the append.

Beside what is durable stands what is on its way: the state after commits that the store has not answered yet. Only
those who take turns at a stream look at it (see RequestContext.decide); a commit that fails takes it away again.

Where other processes write to the same store, nothing here is taken for the newest: what came after it is read.
"""

from collections import OrderedDict
from typing import Any

from patriot.store.api import StreamId, Ticket

STATES_MAX = 100_000

Entry = tuple[int, Any]
Coming = tuple[int, Any, Ticket]


class StateCache:
    """Folded aggregates, newest version each. A loser of a version race drops its entry.

    `alone`: no other process writes to the store, so what is known here is the newest.
    """

    def __init__(self, states_max: int = STATES_MAX, *, alone: bool = True) -> None:
        self.alone = alone
        self._states: OrderedDict[StreamId, Entry] = OrderedDict()
        self._states_max = states_max
        self._on_their_way: dict[StreamId, Coming] = {}

    def get(self, stream: StreamId) -> Entry | None:
        entry = self._states.get(stream)
        if entry is not None:
            self._states.move_to_end(stream)
        return entry

    def newest(self, stream: StreamId) -> Entry | Coming | None:
        """The state after everything that is on its way, and the commit that this hangs on."""
        return self._on_their_way.get(stream) or self.get(stream)

    def put(self, stream: StreamId, version: int, state: object) -> None:
        """This version is durable."""
        coming = self._on_their_way.get(stream)
        if coming is not None and coming[0] <= version:
            del self._on_their_way[stream]
        known = self._states.get(stream)
        if known is not None and known[0] > version:
            return
        self._states[stream] = (version, state)
        self._states.move_to_end(stream)
        if len(self._states) > self._states_max:
            self._states.popitem(last=False)

    def put_on_its_way(self, stream: StreamId, version: int, state: object, ticket: Ticket) -> None:
        self._on_their_way[stream] = (version, state, ticket)

    def drop_on_its_way(self, stream: StreamId) -> None:
        self._on_their_way.pop(stream, None)

    def drop(self, stream: StreamId) -> None:
        self._states.pop(stream, None)
        self.drop_on_its_way(stream)
