"""From rows to a `Record`. Rule: a curve is even in time; between two samples an account is worth what it was."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from patriot.domain.instrument import Instrument
from patriot.domain.money import EXACT, ZERO
from patriot.domain.statistics.record import Floats
from patriot.domain.statistics.trips import Fill, OpenTrip, RoundTrip, round_trips, with_excursion
from patriot.domain.valuation import Valuation
from patriot.domain.worth import earned_asset

STEPS_SECONDS = (1, 10, 60, 300, 900, 3600, 14_400, 86_400)
POINTS_MAX = 1_500

Point = tuple[float, float]  # (UTC seconds, value)
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class AccountTrip:
    """A trip of one account, and what its asset is worth in the currency of the report."""

    account_id: UUID
    trip: RoundTrip
    rate: Decimal

    def valued(self) -> RoundTrip:
        """The trip with its money in the currency of the report."""
        trip, rate = self.trip, self.rate
        if rate == 1:
            return trip
        return replace(
            trip,
            cost=EXACT.multiply(trip.cost, rate),
            gross=EXACT.multiply(trip.gross, rate),
            fees=EXACT.multiply(trip.fees, rate),
            adverse=EXACT.multiply(trip.adverse, rate),
            favourable=EXACT.multiply(trip.favourable, rate),
        )


@dataclass(slots=True)
class Trading:
    """All closed trips, those still open, the value of all fills, and how many trips had no price to count them in."""

    trips: list[AccountTrip] = field(default_factory=list)
    still_open: list[OpenTrip] = field(default_factory=list)
    traded: float = 0.0
    unpriced: int = 0


def step_of(points: Sequence[Point], sampled_seconds: float) -> float:
    """The shortest step, no shorter than the sampling, that gives at most `POINTS_MAX` points."""
    span = points[-1][0] - points[0][0] if points else 0.0
    fitting = [step for step in STEPS_SECONDS if step >= sampled_seconds and span / step <= POINTS_MAX]
    return float(max(fitting[0] if fitting else STEPS_SECONDS[-1], sampled_seconds))


def grid_of(points: Sequence[Point], seconds: float) -> Floats:
    """Even times from the first sample to the last."""
    if not points:
        return np.empty(0)
    first, last = points[0][0] // seconds * seconds, points[-1][0]
    return np.arange(np.ceil((last - first) / seconds) + 1) * seconds + first


def on_grid(points: Sequence[Point], grid: Floats) -> Floats:
    """The newest value at each time; before the first sample the first one."""
    if not points:
        return np.empty(0)
    times, values = np.array([time for time, _ in points]), np.array([value for _, value in points])
    return np.asarray(values[np.maximum(np.searchsorted(times, grid, side="right") - 1, 0)], float)


def summed_on_grid(points: Iterable[Point], grid: Floats) -> Floats:
    """What happened up to each time of the grid since the one before; what came before the first does not count."""
    sums = np.zeros(grid.size)
    for time, value in points:
        at = int(np.searchsorted(grid, time))
        if 0 < at < grid.size:
            sums[at] += value
    return sums


def at_samples(flows: Iterable[Point], points: Sequence[Point]) -> list[Point]:
    """Each flow at the first sample that has it. What the first sample has is where the curve begins."""
    times = [time for time, _ in points]
    found = [(bisect_left(times, time), value) for time, value in flows]
    return [(times[at], value) for at, value in found if 0 < at < len(times)]


def totals(snapshots: Iterable[Row]) -> list[Point]:
    """Account totals (rows of `portfolio_snapshots`, by time) added up; a time with an unknown one is left out."""
    sums: dict[float, Decimal | None] = {}
    for row in snapshots:
        when = row["time"].timestamp()
        known, value = sums.get(when, ZERO), row["value_usd"]
        sums[when] = None if known is None or value is None else EXACT.add(known, value)
    return [(when, float(value)) for when, value in sums.items() if value is not None]


def flows(
    entries: Iterable[Row], rates: Mapping[str, Sequence[Point]], valuation: Valuation, currency: str
) -> list[Point]:
    """(when, what came in) of ledger entries of `external`: at the price of the next sample, else at today's."""
    return [
        (entry["posted_at"].timestamp(), -float(entry["amount"]) * _rate(entry, rates, valuation, currency))
        for entry in entries
    ]


def _rate(entry: Row, rates: Mapping[str, Sequence[Point]], valuation: Valuation, currency: str) -> float:
    if entry["asset"] == currency:
        return 1.0
    sampled = rates.get(entry["asset"], ())
    if sampled:
        after = bisect_right(sampled, (entry["posted_at"].timestamp(), 0.0))
        return sampled[min(after, len(sampled) - 1)][1]
    return float(valuation.rate(entry["asset"], currency) or ZERO)


def trading(
    trades: Iterable[Row],
    labels: Mapping[UUID, str],
    instruments: Mapping[str, Instrument],
    valuation: Valuation,
    currency: str,
) -> Trading:
    """Trips of rows of `trades`, oldest first. Each strategy's fills make trips of their own."""
    found = Trading()
    for (account_id, name, _), rows in _by_trader(trades, labels).items():
        instrument = instruments[name]
        closed, still_open = round_trips((_fill(row, labels) for row in rows), instrument)
        rate = valuation.rate(earned_asset(instrument), currency)
        if rate is None:
            found.unpriced += len(closed)
            continue
        found.trips += [AccountTrip(account_id, trip, rate) for trip in closed]
        found.still_open += [still_open] if still_open else []
        value = sum((instrument.notional(row["quantity"], row["price"]) for row in rows), ZERO)
        found.traded += float(value * rate)
    found.trips.sort(key=lambda one: one.trip.closed_at)
    return found


def _by_trader(trades: Iterable[Row], labels: Mapping[UUID, str]) -> dict[tuple[UUID, str, str], list[Row]]:
    groups: dict[tuple[UUID, str, str], list[Row]] = {}
    for row in trades:
        key = (row["account_id"], row["instrument"], labels.get(row["order_id"], ""))
        groups.setdefault(key, []).append(row)
    return groups


def _fill(row: Row, labels: Mapping[UUID, str]) -> Fill:
    names = ("instrument", "side", "quantity", "price", "fee", "fee_asset")
    label = labels.get(row["order_id"], "")
    return Fill(**{name: row[name] for name in names}, time=row["executed_at"], label=label)


class Extremes:
    """The lowest and highest price between two times, from bars (rows of `ohlc`, by time)."""

    def __init__(self, bars: Sequence[Row]) -> None:
        self._bars = bars
        self._times = np.array([bar["time"].timestamp() for bar in bars])

    def widened(self, trip: RoundTrip, instrument: Instrument, seconds: float) -> RoundTrip:
        """The trip with its excursions; as it is where no bar lies in it."""
        first = np.searchsorted(self._times, trip.opened_at.timestamp() - seconds, side="right")
        last = np.searchsorted(self._times, trip.closed_at.timestamp(), side="right")
        inside = self._bars[int(first) : int(last)]
        if not inside:
            return with_excursion(trip, trip.entry_price, trip.exit_price, instrument)
        return with_excursion(trip, min(bar["low"] for bar in inside), max(bar["high"] for bar in inside), instrument)
