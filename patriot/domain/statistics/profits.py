"""Statistics of how much closed round trips made. Rule: profits are after fees, losses are figures below zero.

Names and formulas of LEAN (TradeStatistics.cs), NautilusTrader (analysis/statistics) and Jesse (metrics.py).
"""

import math

from patriot.domain.statistics.record import (
    Floats,
    Record,
    deviation,
    largest,
    mean,
    median,
    ratio,
    smallest,
    statistic,
)
from patriot.domain.statistics.returns import below


@statistic("money")
def start_equity(record: Record) -> float:
    """What the account was worth at the beginning. LEAN: Start Equity; Jesse: starting_balance."""
    return float(record.equity[0]) if record.equity.size else math.nan


@statistic("money")
def end_equity(record: Record) -> float:
    """What the account was worth at the end, open positions at their mark price. LEAN: End Equity."""
    return float(record.equity[-1]) if record.equity.size else math.nan


@statistic("money")
def net_profit(record: Record) -> float:
    """Sum of the profits after fees. LEAN: TotalProfitLoss; Jesse: net_profit."""
    return float(record.trips.profit.sum())


@statistic("percent")
def net_profit_percent(record: Record) -> float:
    """Net profit / start equity. Jesse: net_profit_percentage."""
    return ratio(net_profit(record), start_equity(record))


@statistic("money")
def open_profit(record: Record) -> float:
    """Unrealised profit of what is still open. Jesse: open_pl."""
    return record.open_profit


@statistic("money")
def gross_profit(record: Record) -> float:
    """Sum of the winning trips. LEAN: TotalProfit."""
    return float(record.trips.wins.sum())


@statistic("money")
def gross_loss(record: Record) -> float:
    """Sum of the losing trips, <= 0. LEAN: TotalLoss."""
    return float(record.trips.losses.sum())


@statistic("money")
def total_fees(record: Record) -> float:
    """What the trips cost in fees. LEAN: Total Fees; Jesse: fee."""
    return float(record.trips.fees.sum())


@statistic("ratio")
def turnover(record: Record) -> float:
    """Value of all fills / mean equity, per day. LEAN: Portfolio Turnover."""
    return ratio(record.traded, mean(record.equity) * record.days)


@statistic("money")
def average_trade(record: Record) -> float:
    """Mean profit of a trip. LEAN: AverageProfitLoss."""
    return mean(record.trips.profit)


@statistic("money")
def median_trade(record: Record) -> float:
    """The profit that half of the trips exceed."""
    return median(record.trips.profit)


@statistic("money")
def average_win(record: Record) -> float:
    """Mean of the winning trips. NautilusTrader: winner_avg; LEAN: AverageProfit."""
    return mean(record.trips.wins)


@statistic("money")
def average_loss(record: Record) -> float:
    """Mean of the losing trips, < 0. NautilusTrader: loser_avg; LEAN: AverageLoss."""
    return mean(record.trips.losses)


@statistic("money")
def largest_win(record: Record) -> float:
    """The best trip. NautilusTrader: winner_max; LEAN: LargestProfit."""
    return largest(record.trips.wins)


@statistic("money")
def smallest_win(record: Record) -> float:
    """The least of the winning trips. NautilusTrader: winner_min."""
    return smallest(record.trips.wins)


@statistic("money")
def largest_loss(record: Record) -> float:
    """The worst trip. NautilusTrader: loser_max; LEAN: LargestLoss."""
    return smallest(record.trips.losses)


@statistic("money")
def smallest_loss(record: Record) -> float:
    """The least of the losing trips. NautilusTrader: loser_min."""
    return largest(record.trips.losses)


@statistic("percent")
def average_win_percent(record: Record) -> float:
    """Mean profit / cost of the winning trips. LEAN: AverageWinRate."""
    return mean(_yields(record)[record.trips.profit > 0])


@statistic("percent")
def average_loss_percent(record: Record) -> float:
    """Mean profit / cost of the losing trips. LEAN: AverageLossRate."""
    return mean(_yields(record)[record.trips.profit < 0])


def _yields(record: Record) -> Floats:
    return record.trips.profit / record.trips.cost


@statistic("money")
def profit_deviation(record: Record) -> float:
    """Sample standard deviation of the trips' profits. LEAN: ProfitLossStandardDeviation."""
    return deviation(record.trips.profit)


@statistic("money")
def profit_downside_deviation(record: Record) -> float:
    """Root of the mean squared loss, over all trips. LEAN: ProfitLossDownsideDeviation."""
    return below(record.trips.profit)
