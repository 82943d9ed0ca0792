"""Statistics of closed round trips: how many, and how good. Rule: a trip of exactly zero is neither won nor lost.

Profits are after fees. The figures are those of LEAN (TradeStatistics.cs), NautilusTrader (analysis/statistics) and
Jesse (metrics.py), whose names differ; where they disagree about a formula the docstring says whose it is.
"""

import math

from patriot.domain.statistics.profits import (
    average_loss,
    average_trade,
    average_win,
    gross_loss,
    gross_profit,
    profit_deviation,
    profit_downside_deviation,
    start_equity,
)
from patriot.domain.statistics.record import Record, deviation, ratio, statistic

DAY, WEEK, MONTH = 86_400.0, 604_800.0, 2_629_800.0  # a month of 365.25 / 12 days


@statistic("count")
def total_trades(record: Record) -> float:
    """Closed round trips. LEAN: TotalNumberOfTrades."""
    return record.trips.profit.size


@statistic("count")
def winning_trades(record: Record) -> float:
    """Trips with a profit after fees."""
    return record.trips.wins.size


@statistic("count")
def losing_trades(record: Record) -> float:
    """Trips with a loss after fees."""
    return record.trips.losses.size


@statistic("count")
def long_trades(record: Record) -> float:
    """Trips that began with a buy. Jesse: longs_count."""
    return float(record.trips.is_long.sum())


@statistic("count")
def short_trades(record: Record) -> float:
    """Trips that began with a sale. Jesse: shorts_count."""
    return float((~record.trips.is_long).sum())


@statistic("percent")
def long_ratio(record: Record) -> float:
    """Share of long trips. NautilusTrader: long_ratio; Jesse: longs_percentage."""
    return ratio(long_trades(record), total_trades(record))


@statistic("percent")
def short_ratio(record: Record) -> float:
    """Share of short trips. Jesse: shorts_percentage."""
    return ratio(short_trades(record), total_trades(record))


@statistic("count")
def open_trades(record: Record) -> float:
    """Trips that are still open. Jesse: total_open_trades."""
    return record.open_trips


@statistic("count")
def total_orders(record: Record) -> float:
    """Orders that were created. LEAN: Total Orders."""
    return record.orders


@statistic("ratio")
def trades_per_day(record: Record) -> float:
    """Closed trips per day of the record. Jesse: avg_trades_per_day."""
    return _per(record, DAY)


@statistic("ratio")
def trades_per_week(record: Record) -> float:
    """Closed trips per week of the record. Jesse: avg_trades_per_week."""
    return _per(record, WEEK)


@statistic("ratio")
def trades_per_month(record: Record) -> float:
    """Closed trips per month (365.25 / 12 days) of the record. Jesse: avg_trades_per_month."""
    return _per(record, MONTH)


def _per(record: Record, seconds: float) -> float:
    return ratio(total_trades(record) * seconds, record.returns.size * record.seconds)


@statistic("percent")
def win_rate(record: Record) -> float:
    """Share of the trips that won. All three peers."""
    return ratio(winning_trades(record), total_trades(record))


@statistic("percent")
def loss_rate(record: Record) -> float:
    """Share of the trips that lost. LEAN: LossRate."""
    return ratio(losing_trades(record), total_trades(record))


@statistic("percent")
def win_rate_long(record: Record) -> float:
    """Share of the long trips that won. Jesse: win_rate_longs."""
    return ratio(float((record.trips.profit[record.trips.is_long] > 0).sum()), long_trades(record))


@statistic("percent")
def win_rate_short(record: Record) -> float:
    """Share of the short trips that won. Jesse: win_rate_shorts."""
    return ratio(float((record.trips.profit[~record.trips.is_long] > 0).sum()), short_trades(record))


@statistic("ratio")
def win_loss_ratio(record: Record) -> float:
    """Winning trips / losing trips. LEAN: WinLossRatio."""
    return ratio(winning_trades(record), losing_trades(record))


@statistic("ratio")
def profit_loss_ratio(record: Record) -> float:
    """Average win / absolute average loss. LEAN: ProfitLossRatio; Jesse: ratio_avg_win_loss."""
    return ratio(average_win(record), -average_loss(record))


@statistic("ratio")
def profit_factor(record: Record) -> float:
    """Gross profit / absolute gross loss. All three peers."""
    return ratio(gross_profit(record), -gross_loss(record))


@statistic("money")
def expectancy(record: Record) -> float:
    """Win rate x average win + loss rate x average loss. Tharp, Trade Your Way to Financial Freedom (1998)."""
    won = win_rate(record) * average_win(record) if winning_trades(record) else 0.0
    lost = loss_rate(record) * average_loss(record) if losing_trades(record) else 0.0
    return won + lost if total_trades(record) else math.nan


@statistic("ratio")
def expectancy_ratio(record: Record) -> float:
    """Win rate x profit-loss ratio - loss rate: profit per unit risked. LEAN: Expectancy."""
    return win_rate(record) * profit_loss_ratio(record) - loss_rate(record)


@statistic("percent")
def expectancy_percent(record: Record) -> float:
    """Expectancy / start equity. Jesse: expectancy_percentage."""
    return ratio(expectancy(record), start_equity(record))


@statistic("money")
def expected_per_100_trades(record: Record) -> float:
    """A hundred times the expectancy. Jesse: expected_net_profit_every_100_trades."""
    return 100.0 * expectancy(record)


@statistic("ratio")
def system_quality_number(record: Record) -> float:
    """Root of the number of trips x mean / deviation of their profits. Tharp, Definitive Guide to Position Sizing."""
    return math.sqrt(total_trades(record)) * ratio(average_trade(record), deviation(record.trips.profit))


@statistic("percent")
def kelly_fraction(record: Record) -> float:
    """Win rate - loss rate / profit-loss ratio. Kelly, Bell System Technical Journal 35 (1956)."""
    return win_rate(record) - ratio(loss_rate(record), profit_loss_ratio(record))


@statistic("ratio")
def trade_sharpe_ratio(record: Record) -> float:
    """Mean / deviation of the trips' profits. LEAN: TradeStatistics.SharpeRatio."""
    return ratio(average_trade(record), profit_deviation(record))


@statistic("ratio")
def trade_sortino_ratio(record: Record) -> float:
    """Mean / downside deviation of the trips' profits. LEAN: TradeStatistics.SortinoRatio."""
    return ratio(average_trade(record), profit_downside_deviation(record))
