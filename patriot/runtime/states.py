"""Folded aggregates of this process. Only a shortcut: the store checks every version at the append."""

from collections import OrderedDict
from typing import Any

from patriot.store.api import StreamId

STATES_MAX = 100_000


class StateCache:
    """Folded aggregates of this process, newest version each. A loser of a version race drops its entry."""

    def __init__(self, states_max: int = STATES_MAX) -> None:
        self._states: OrderedDict[StreamId, tuple[int, Any]] = OrderedDict()
        self._states_max = states_max

    def get(self, stream: StreamId) -> tuple[int, Any] | None:
        entry = self._states.get(stream)
        if entry is not None:
            self._states.move_to_end(stream)
        return entry

    def put(self, stream: StreamId, version: int, state: object) -> None:
        known = self._states.get(stream)
        if known is not None and known[0] > version:
            return
        self._states[stream] = (version, state)
        self._states.move_to_end(stream)
        if len(self._states) > self._states_max:
            self._states.popitem(last=False)

    def drop(self, stream: StreamId) -> None:
        self._states.pop(stream, None)
