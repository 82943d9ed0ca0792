"""What is measured: equity at even times, what was put in or taken out, closed round trips, and a benchmark.

Rule: a return is what trading made, never what a deposit or withdrawal did (time-weighted; Bacon, Practical Portfolio
Performance Measurement and Attribution, ch. 2). Figures are floats: they describe money, they never are money.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

import numpy as np
import numpy.typing as npt

from patriot.domain.statistics.trips import RoundTrip

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Unit = Literal["ratio", "percent", "money", "seconds", "count"]

YEAR_SECONDS = 365 * 86_400  # crypto and forex of a broker know no closing bell that all share
NOISE = 1e-12
NOTHING: Floats = np.empty(0)


@dataclass(frozen=True)
class Trips:
    """Round trips as columns, in the order in which they closed. Money in one currency.

    `held` is how long each was open, in seconds; `closed` in UTC seconds. `profit` is after fees; `adverse` <= 0 and
    `favourable` >= 0 are the furthest that the open profit went.
    """

    profit: Floats = field(default_factory=lambda: NOTHING)
    fees: Floats = field(default_factory=lambda: NOTHING)
    cost: Floats = field(default_factory=lambda: NOTHING)
    held: Floats = field(default_factory=lambda: NOTHING)
    closed: Floats = field(default_factory=lambda: NOTHING)
    is_long: Bools = field(default_factory=lambda: np.empty(0, bool))
    adverse: Floats = field(default_factory=lambda: NOTHING)
    favourable: Floats = field(default_factory=lambda: NOTHING)

    @classmethod
    def of(cls, trips: Sequence[RoundTrip]) -> "Trips":
        ordered = sorted(trips, key=lambda trip: trip.closed_at)
        return cls(
            profit=np.array([float(trip.profit) for trip in ordered]),
            fees=np.array([float(trip.fees) for trip in ordered]),
            cost=np.array([float(trip.cost) for trip in ordered]),
            held=np.array([(trip.closed_at - trip.opened_at).total_seconds() for trip in ordered]),
            closed=np.array([trip.closed_at.timestamp() for trip in ordered]),
            is_long=np.array([trip.side == "buy" for trip in ordered], bool),
            adverse=np.array([float(trip.adverse) for trip in ordered]),
            favourable=np.array([float(trip.favourable) for trip in ordered]),
        )

    @property
    def wins(self) -> Floats:
        return self.profit[self.profit > 0]

    @property
    def losses(self) -> Floats:
        return self.profit[self.profit < 0]


@dataclass(frozen=True)
class Record:
    """`equity`, `flows` and `benchmark` are aligned with `times`, `seconds` apart; `flows[i]` came in before `i`.

    `benchmark` holds prices, or nothing. `risk_free` is a rate per year. `traded` is the value of all fills.
    """

    times: Floats
    equity: Floats
    seconds: float
    flows: Floats = field(default_factory=lambda: NOTHING)
    trips: Trips = field(default_factory=Trips)
    benchmark: Floats = field(default_factory=lambda: NOTHING)
    risk_free: float = 0.0
    orders: int = 0
    traded: float = 0.0
    open_trips: int = 0
    open_profit: float = 0.0

    @cached_property
    def returns(self) -> Floats:
        """One per period: (equity after - what came in - equity before) / equity before."""
        before, after = self.equity[:-1], self.equity[1:]
        gained = after - before - (self.flows[1:] if self.flows.size else 0.0)
        return np.divide(gained, before, out=np.zeros_like(gained), where=before > 0)

    @cached_property
    def index(self) -> Floats:
        """What one unit became, without deposits and withdrawals; the first entry is 1."""
        return np.concatenate(([1.0], np.cumprod(1.0 + self.returns)))

    @cached_property
    def drawdown(self) -> Floats:
        """How far the index lies below its highest point so far, as a fraction <= 0."""
        return self.index / np.maximum.accumulate(self.index) - 1.0

    @cached_property
    def excess(self) -> Floats:
        """Returns over the risk-free rate of a period (arithmetic)."""
        return self.returns - self.risk_free / self.periods_per_year

    @cached_property
    def benchmark_returns(self) -> Floats:
        return self.benchmark[1:] / self.benchmark[:-1] - 1.0 if self.benchmark.size else NOTHING

    @property
    def periods_per_year(self) -> float:
        return YEAR_SECONDS / self.seconds

    @property
    def years(self) -> float:
        return self.returns.size / self.periods_per_year

    @property
    def days(self) -> float:
        return self.returns.size * self.seconds / 86_400


@dataclass(frozen=True, slots=True)
class Statistic:
    """One figure: its name, group (the module that defines it), unit, and the formula with its source in `text`."""

    name: str
    group: str
    unit: Unit
    text: str
    compute: Callable[[Record], float]

    @property
    def title(self) -> str:
        return self.name.replace("_", " ").capitalize() if self.name != "cagr" else "CAGR"


STATISTICS: dict[str, Statistic] = {}


def statistic(unit: Unit) -> Callable[[Callable[[Record], float]], Callable[[Record], float]]:
    """Enter a function into `STATISTICS` under its own name."""

    def enter(function: Callable[[Record], float]) -> Callable[[Record], float]:
        name, group = function.__name__, function.__module__.rpartition(".")[2]
        assert name not in STATISTICS, f"two statistics are called {name}"
        STATISTICS[name] = Statistic(name, group, unit, " ".join((function.__doc__ or "").split()), function)
        return function

    return enter


def ratio(part: float, whole: float) -> float:
    """`part / whole`, NaN where that says nothing."""
    return float(part / whole) if whole else math.nan


def mean(values: Floats) -> float:
    return float(values.mean()) if values.size else math.nan


def deviation(values: Floats) -> float:
    """The sample standard deviation (n - 1); zero for values that differ by their last digits only."""
    if values.size < 2:
        return math.nan
    spread = float(values.std(ddof=1))
    return spread if spread > NOISE * abs(values).max() else 0.0


def median(values: Floats) -> float:
    return float(np.median(values)) if values.size else math.nan


def smallest(values: Floats) -> float:
    return float(values.min()) if values.size else math.nan


def largest(values: Floats) -> float:
    return float(values.max()) if values.size else math.nan
