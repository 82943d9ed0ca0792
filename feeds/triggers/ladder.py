"""The stops of one instrument in one direction. Rule: a tick costs O(log n) and what fires, however many stops rest.

Prices are mirrored (see `domain.py`): a stop fires when the price falls to it. Three structures, each a heap whose head
alone is compared with a tick:

* `falls`: stops that stand still, highest first.
* `rises`: prices at which something changes (an activation, the next move of a stop that moves in jumps), lowest first.
* `Trail`: stops that follow every new best price. Those with the same best price form a group, ordered by distance. A
  new best price takes all groups below it together (the smaller into the larger), so a group moves by one number.

What is removed stays in its heaps, dead, until it comes to the head or the heap is swept.
"""

from collections.abc import Callable
from heapq import heapify, heappop, heappush
from typing import NamedTuple
from uuid import UUID

from feeds.triggers.domain import MILLIONTHS, Terms, moves_at, stop_at

SWEEP_MIN = 1024


class Fired(NamedTuple):
    """Mirrored prices: what traded, and the stop that it reached."""

    identifier: UUID
    price: int
    stop: int


class Resting:
    """One stop. `stop` is where it stands, without what a trail adds; `best` counts from activation on."""

    __slots__ = ("activation", "alive", "best", "group", "identifier", "stop", "terms")

    def __init__(
        self,
        identifier: UUID,
        stop: int | None = None,
        terms: Terms | None = None,
        activation: int | None = None,
        best: int | None = None,
    ) -> None:
        self.identifier, self.stop, self.terms, self.activation, self.best = identifier, stop, terms, activation, best
        self.group: _Group | None = None
        self.alive = True

    @property
    def best_now(self) -> int | None:
        return self.group.best if self.group is not None else self.best

    @property
    def stop_now(self) -> int | None:
        """The tightest that it has come to."""
        if self.terms is None or (best := self.best_now) is None:
            return self.stop
        found = stop_at(self.terms, best)
        return found if self.stop is None else self.stop if found is None else max(found, self.stop)


class _Group:
    """Stops with one best price; `members` = (distance, number, stop)."""

    __slots__ = ("best", "members")

    def __init__(self, best: int) -> None:
        self.best = best
        self.members: list[tuple[int, int, Resting]] = []

    def nearest(self) -> int | None:
        """The shortest distance that is alive."""
        while self.members and not self.members[0][2].alive:
            heappop(self.members)
        return self.members[0][0] if self.members else None


class Trail:
    """Stops that follow every new best price, all by the same rule `stop(best, distance)`."""

    def __init__(self, stop: Callable[[int, int], int]) -> None:
        self._stop = stop
        self._groups: dict[int, _Group] = {}
        self._bests: list[int] = []
        self._tops: list[tuple[int, int]] = []  # (-stop, best) of each group, and of groups that have moved on

    def add(self, resting: Resting, distance: int, number: int, best: int) -> None:
        group = self._groups.get(best)
        if group is None:
            group = self._groups[best] = _Group(best)
            heappush(self._bests, best)
        heappush(group.members, (distance, number, resting))
        resting.group = group
        if group.members[0][2] is resting:
            self._tell(group)

    def follow(self, price: int) -> None:
        """A new best price for every group below it."""
        if not self._bests or self._bests[0] >= price:
            return
        merged = self._groups.get(price)
        known = merged is not None
        while self._bests and self._bests[0] < price:
            group = self._groups.pop(heappop(self._bests))
            merged = group if merged is None else _merged(merged, group)
        assert merged is not None
        merged.best = price
        self._groups[price] = merged
        if not known:
            heappush(self._bests, price)
        self._tell(merged)
        if len(self._tops) > 2 * len(self._groups) + SWEEP_MIN:
            self._sweep()

    def due(self, price: int) -> tuple[Resting, int] | None:
        """The next stop at or above the price, and where it stood."""
        while self._tops and -self._tops[0][0] >= price:
            stop, best = -self._tops[0][0], self._tops[0][1]
            group = self._groups.get(best)
            nearest = group.nearest() if group is not None else None
            if group is None or nearest is None or self._stop(best, nearest) != stop:
                heappop(self._tops)  # moved on, or its nearest is gone
                if group is not None and nearest is not None and self._stop(best, nearest) < stop:
                    self._tell(group)
                continue
            resting = heappop(group.members)[2]
            resting.alive = False
            return resting, stop
        return None

    def _tell(self, group: _Group) -> None:
        nearest = group.nearest()
        if nearest is not None:
            heappush(self._tops, (-self._stop(group.best, nearest), group.best))

    def _sweep(self) -> None:
        self._groups = {best: group for best, group in self._groups.items() if group.nearest() is not None}
        self._bests = list(self._groups)
        heapify(self._bests)
        self._tops = []
        for group in self._groups.values():
            self._tell(group)


def _merged(one: _Group, other: _Group) -> _Group:
    small, large = (one, other) if len(one.members) < len(other.members) else (other, one)
    for entry in small.members:
        if entry[2].alive:
            entry[2].group = large
            heappush(large.members, entry)
    return large


class Ladder:
    """All stops of one instrument that fire when the mirrored price falls to them."""

    def __init__(self) -> None:
        self._falls: list[tuple[int, int, Resting]] = []
        self._rises: list[tuple[int, int, Resting]] = []
        self._trails = {
            "offset": Trail(lambda best, distance: best - distance),
            "percent": Trail(lambda best, distance: best - abs(best) * distance // MILLIONTHS),
        }
        self._number = 0
        self.alive = 0

    def add(self, resting: Resting, price: int | None) -> None:
        """`price` is the last one; where none is known yet, what trails begins with the first tick."""
        self.alive += 1
        if resting.stop is not None:
            self._fall(resting, resting.stop)
        if resting.terms is None:
            return
        if resting.activation is not None and resting.best is None:
            self._rise(resting, resting.activation)
        elif resting.best is not None or price is not None:
            self._activate(resting, _higher(resting.best, price))
        else:
            self._rise(resting, -(1 << 62))

    def remove(self, resting: Resting) -> None:
        if resting.alive:
            resting.alive = False
            self.alive -= 1

    def move(self, price: int) -> list[Fired]:
        """Take a trade; return what it fires, the tightest stop first."""
        while self._rises and self._rises[0][0] <= price:
            resting = heappop(self._rises)[2]
            if resting.alive:
                self._activate(resting, price)
        for trail in self._trails.values():
            trail.follow(price)
        fired: list[Fired] = []
        while self._falls and -self._falls[0][0] >= price:
            negative, _, resting = heappop(self._falls)
            if resting.alive and resting.stop == -negative:
                resting.alive = False
                fired.append(Fired(resting.identifier, price, -negative))
        for trail in self._trails.values():
            while (due := trail.due(price)) is not None:
                fired.append(Fired(due[0].identifier, price, due[1]))
        self.alive -= len(fired)
        return fired

    def _activate(self, resting: Resting, price: int) -> None:
        """From here on it follows; or it has come to its next jump."""
        terms = resting.terms
        assert terms is not None
        best = _higher(resting.best, price)
        resting.best = best
        if terms.is_smooth:
            self._number += 1
            self._trails[terms.rule].add(resting, terms.distance, self._number, best)
            return
        stop = resting.stop_now
        if stop is not None and stop != resting.stop:
            resting.stop = stop
            self._fall(resting, stop)
        following = moves_at(terms, best)
        if following is not None:
            self._rise(resting, following)

    def _fall(self, resting: Resting, stop: int) -> None:
        self._number += 1
        heappush(self._falls, (-stop, self._number, resting))
        if len(self._falls) > 2 * self.alive + SWEEP_MIN:
            self._falls = [one for one in self._falls if one[2].alive and one[2].stop == -one[0]]
            heapify(self._falls)

    def _rise(self, resting: Resting, price: int) -> None:
        self._number += 1
        heappush(self._rises, (price, self._number, resting))
        if len(self._rises) > 2 * self.alive + SWEEP_MIN:
            self._rises = [one for one in self._rises if one[2].alive]
            heapify(self._rises)


def _higher(one: int | None, other: int | None) -> int:
    return max(price for price in (one, other) if price is not None)
