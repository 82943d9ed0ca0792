"""Statistics of how long round trips lasted, and of wins and losses in a row. Rule: in order of their end."""

import numpy as np

from patriot.domain.statistics.record import Bools, Record, mean, median, statistic


@statistic("seconds")
def average_duration(record: Record) -> float:
    """Mean time that a trip was open. LEAN: AverageTradeDuration; Jesse: average_holding_period."""
    return mean(record.trips.held)


@statistic("seconds")
def average_winning_duration(record: Record) -> float:
    """Mean time that a winning trip was open."""
    return mean(record.trips.held[record.trips.profit > 0])


@statistic("seconds")
def average_losing_duration(record: Record) -> float:
    """Mean time that a losing trip was open."""
    return mean(record.trips.held[record.trips.profit < 0])


@statistic("seconds")
def median_duration(record: Record) -> float:
    """The time that half of the trips were open for longer. LEAN: MedianTradeDuration."""
    return median(record.trips.held)


@statistic("seconds")
def median_winning_duration(record: Record) -> float:
    """The same of the winning trips."""
    return median(record.trips.held[record.trips.profit > 0])


@statistic("seconds")
def median_losing_duration(record: Record) -> float:
    """The same of the losing trips."""
    return median(record.trips.held[record.trips.profit < 0])


@statistic("count")
def longest_winning_streak(record: Record) -> float:
    """Wins in a row. LEAN: MaxConsecutiveWinningTrades; Jesse: winning_streak."""
    return _streak(record.trips.profit > 0)


@statistic("count")
def longest_losing_streak(record: Record) -> float:
    """Losses in a row. LEAN: MaxConsecutiveLosingTrades; Jesse: losing_streak."""
    return _streak(record.trips.profit < 0)


@statistic("count")
def current_streak(record: Record) -> float:
    """The newest wins (> 0) or losses (< 0) in a row. Jesse: current_streak."""
    signs = np.sign(record.trips.profit)
    if not signs.size or not signs[-1]:
        return 0.0
    others = np.flatnonzero(signs != signs[-1])
    return float(signs[-1] * (signs.size - (others[-1] + 1 if others.size else 0)))


def _streak(hits: Bools) -> int:
    edges = np.flatnonzero(np.diff(np.concatenate(([0], hits, [0]))))
    return int((edges[1::2] - edges[::2]).max()) if edges.size else 0
