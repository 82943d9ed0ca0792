"""Every statistic of a record, by group. Rule: what cannot be told is None, never NaN or infinity."""

import math

import numpy as np

from patriot.domain.statistics import benchmark, drawdowns, durations, excursions, profits, returns, trades
from patriot.domain.statistics.record import STATISTICS, Record

__all__ = ("GROUPS", "STATISTICS", "summary")

GROUPS = tuple(
    module.__name__.rpartition(".")[2]
    for module in (returns, drawdowns, profits, trades, durations, excursions, benchmark)
)


def summary(record: Record) -> dict[str, float | None]:
    """Name -> figure, in the order of the groups; `STATISTICS` tells unit and formula of each name."""
    with np.errstate(all="ignore"):
        figures = {name: float(one.compute(record)) for name, one in STATISTICS.items()}
    ordered = sorted(figures, key=lambda name: GROUPS.index(STATISTICS[name].group))
    return {name: figures[name] if math.isfinite(figures[name]) else None for name in ordered}
