"""Statistics of what happened while trips were open, and between them. Rule: figures of loss are <= 0.

Definitions of LEAN (TradeStatistics.cs); excursions after Sweeney, Campaign Trading (1996). They need the extremes of
the price during each trip: without them the excursions reach from the entry to the exit price.
"""

import numpy as np

from patriot.domain.statistics.record import Floats, Record, largest, mean, ratio, smallest, statistic


@statistic("money")
def average_adverse_excursion(record: Record) -> float:
    """Mean of the furthest that the trips were under water. LEAN: AverageMAE."""
    return mean(record.trips.adverse)


@statistic("money")
def average_favourable_excursion(record: Record) -> float:
    """Mean of the best open profits. LEAN: AverageMFE."""
    return mean(record.trips.favourable)


@statistic("money")
def largest_adverse_excursion(record: Record) -> float:
    """The furthest that any trip was under water. LEAN: LargestMAE."""
    return smallest(record.trips.adverse)


@statistic("money")
def largest_favourable_excursion(record: Record) -> float:
    """The best open profit of any trip. LEAN: LargestMFE."""
    return largest(record.trips.favourable)


@statistic("money")
def average_given_back(record: Record) -> float:
    """Mean of profit - best open profit: what was given back at the exit. LEAN: AverageEndTradeDrawdown."""
    return mean(record.trips.profit - record.trips.favourable)


@statistic("money")
def largest_given_back(record: Record) -> float:
    """The most that a trip gave back of its best open profit. LEAN: MaximumEndTradeDrawdown."""
    return smallest(record.trips.profit - record.trips.favourable)


@statistic("money")
def closed_trade_drawdown(record: Record) -> float:
    """The deepest fall of the sum of closed profits from its peak. LEAN: MaximumClosedTradeDrawdown."""
    return smallest(_closed_drawdown(record))


@statistic("money")
def intra_trade_drawdown(record: Record) -> float:
    """The same with the open profits' extremes of each trip. LEAN: MaximumIntraTradeDrawdown."""
    before = np.concatenate(([0.0], record.trips.profit.cumsum()))[:-1]
    peak = np.maximum.accumulate(np.maximum(before + record.trips.favourable, 0.0))
    return smallest(np.minimum(before + record.trips.adverse - peak, 0.0))


@statistic("ratio")
def profit_to_drawdown_ratio(record: Record) -> float:
    """Net profit / absolute closed-trade drawdown. LEAN: ProfitToMaxDrawdownRatio."""
    return ratio(float(record.trips.profit.sum()), abs(closed_trade_drawdown(record)))


@statistic("seconds")
def closed_drawdown_duration(record: Record) -> float:
    """The longest time from a peak of the closed profits to the trip that passed it. LEAN: MaximumDrawdownDuration."""
    under = np.concatenate((_closed_drawdown(record) < 0, [False]))
    edges = np.flatnonzero(np.diff(np.concatenate(([0], under.astype(np.int8), [0]))))
    closed, last = record.trips.closed, record.trips.closed.size - 1
    lengths = [closed[min(end, last)] - closed[max(start - 1, 0)] for start, end in edges.reshape(-1, 2)]
    return largest(np.array(lengths))


def _closed_drawdown(record: Record) -> Floats:
    sums = record.trips.profit.cumsum()
    return sums - np.maximum(np.maximum.accumulate(sums), 0.0) if sums.size else sums
