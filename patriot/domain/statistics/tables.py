"""Tables of a report: returns by month, trips by what they share, how profits are spread. Rule: times are UTC."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from patriot.domain.money import ZERO, exact
from patriot.domain.statistics.record import Record
from patriot.domain.statistics.returns import compounded
from patriot.domain.statistics.trips import RoundTrip

KEYS: dict[str, Callable[[RoundTrip], str]] = {
    "strategy": lambda trip: trip.label or "by hand",
    "symbol": lambda trip: trip.instrument,
    "venue": lambda trip: trip.instrument.partition(":")[0],
    "hour": lambda trip: f"{trip.opened_at.astimezone(UTC):%H}",
    "weekday": lambda trip: f"{trip.opened_at.astimezone(UTC):%a}",
    "side": lambda trip: "long" if trip.side == "buy" else "short",
}
"""What trips can be grouped by. Hours and weekdays are those of the entry, in UTC."""


@dataclass(frozen=True, slots=True)
class Group:
    """The trips that share a key. Sums are exact."""

    key: str
    trips: int
    wins: int
    profit: Decimal
    fees: Decimal
    best: Decimal
    worst: Decimal

    @property
    def win_rate(self) -> float:
        return self.wins / self.trips


@exact
def grouped(trips: Sequence[RoundTrip], by: str) -> list[Group]:
    """One row per key, in order of the key. Raises KeyError for what trips cannot be grouped by."""
    groups: dict[str, list[RoundTrip]] = {}
    for trip in trips:
        groups.setdefault(KEYS[by](trip), []).append(trip)
    return [_group(key, groups[key]) for key in sorted(groups)]


def _group(key: str, trips: Sequence[RoundTrip]) -> Group:
    profits = [trip.profit for trip in trips]
    return Group(
        key,
        len(trips),
        sum(profit > 0 for profit in profits),
        sum(profits, ZERO),
        sum((trip.fees for trip in trips), ZERO),
        max(profits),
        min(profits),
    )


def by_month(record: Record) -> dict[tuple[int, int], float]:
    """(year, month) -> return; a period belongs to the month in which its middle lies."""
    months = _moments(record).astype("datetime64[M]").astype(int)
    return {(1970 + month // 12, month % 12 + 1): gain for month, gain in _compounded(record, months).items()}


def by_hour(record: Record) -> dict[int, float]:
    """Hour of the day -> return, over all days."""
    return _compounded(record, _moments(record).astype("datetime64[h]").astype(int) % 24)


def _moments(record: Record) -> npt.NDArray[np.datetime64]:
    return (record.times[1:] - record.seconds / 2).astype("datetime64[s]")


def _compounded(record: Record, keys: npt.NDArray[np.int64]) -> dict[int, float]:
    return {int(key): compounded(record.returns[keys == key]) for key in np.unique(keys)}


def histogram(values: Sequence[float], bins: int = 21) -> list[tuple[float, float, int]]:
    """(from, to, how many) in even steps around zero, so that no bin holds gains and losses."""
    if not values:
        return []
    low, high = min(*values, 0.0), max(*values, 0.0)
    step = (high - low) / bins or 1.0
    edges = np.arange(np.floor(low / step), np.ceil(high / step) + 1) * step
    counts, edges = np.histogram(values, edges if edges.size > 1 else np.array([0.0, step]))
    return [(float(edges[index]), float(edges[index + 1]), int(count)) for index, count in enumerate(counts)]
