"""Statistics of returns. Rule: annualised by the number of periods in a year of 365 days, never by 252."""

import math

import numpy as np

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

HALF_LIFE = 120.0  # periods, of the exponentially weighted ratio


def grown(base: float, exponent: float) -> float:
    """A power, NaN where that is beyond all measure: minutes are no base for a year."""
    try:
        return math.pow(base, exponent)
    except (OverflowError, ValueError):
        return math.nan


def compounded(returns: Floats) -> float:
    return float(np.prod(1.0 + returns) - 1.0) if returns.size else math.nan


def below(returns: Floats) -> float:
    """Root of the mean squared shortfall below zero, over all periods. Sortino & van der Meer, JPM 17 (1991)."""
    return math.sqrt(mean(np.square(np.minimum(returns, 0.0)))) if returns.size else math.nan


@statistic("percent")
def total_return(record: Record) -> float:
    """What one unit gained: the product of (1 + return) - 1 (time-weighted; GIPS 2020, 2.A.20)."""
    return compounded(record.returns)


@statistic("percent")
def cagr(record: Record) -> float:
    """Compound annual growth rate: (1 + total return) ^ (1 / years) - 1. LEAN: Compounding Annual Return."""
    return grown(1.0 + total_return(record), 1.0 / record.years) - 1.0 if record.returns.size else math.nan


@statistic("percent")
def average_return(record: Record) -> float:
    """Arithmetic mean of the returns per period. NautilusTrader: returns_avg."""
    return mean(record.returns)


@statistic("percent")
def average_gain(record: Record) -> float:
    """Mean of the positive returns. NautilusTrader: returns_avg_win."""
    return mean(record.returns[record.returns > 0])


@statistic("percent")
def average_shortfall(record: Record) -> float:
    """Mean of the negative returns. NautilusTrader: returns_avg_loss."""
    return mean(record.returns[record.returns < 0])


@statistic("percent")
def best_period(record: Record) -> float:
    """The largest return of one period."""
    return largest(record.returns)


@statistic("percent")
def worst_period(record: Record) -> float:
    """The smallest return of one period."""
    return smallest(record.returns)


@statistic("percent")
def positive_periods(record: Record) -> float:
    """Share of the periods with a gain."""
    return ratio(float((record.returns > 0).sum()), record.returns.size)


@statistic("percent")
def annual_volatility(record: Record) -> float:
    """Sample standard deviation times the root of the periods in a year. LEAN: Annual Standard Deviation."""
    return deviation(record.returns) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def annual_variance(record: Record) -> float:
    """The square of the annual volatility. LEAN: Annual Variance."""
    return annual_volatility(record) ** 2


@statistic("percent")
def downside_deviation(record: Record) -> float:
    """Annualised root of the mean squared shortfall. Sortino & van der Meer, Downside Risk, JPM 17 (1991)."""
    return below(record.excess) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def sharpe_ratio(record: Record) -> float:
    """Mean excess return / its standard deviation, annualised. Sharpe, The Sharpe Ratio, JPM 21 (1994)."""
    return ratio(mean(record.excess), deviation(record.excess)) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def weighted_sharpe_ratio(record: Record) -> float:
    """The Sharpe ratio with exponential weights, half-life 120 periods, unbiased. vn.py: ewm_sharpe."""
    returns = record.excess
    if not deviation(returns) > 0:
        return math.nan
    weights = 0.5 ** (np.arange(returns.size - 1, -1, -1) / HALF_LIFE)
    weights /= weights.sum()
    centre = float(weights @ returns)
    variance = float(weights @ np.square(returns - centre)) / (1.0 - float(weights @ weights))
    return ratio(centre, math.sqrt(variance)) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def sortino_ratio(record: Record) -> float:
    """Mean excess return / downside deviation, annualised. Sortino & Price, Journal of Investing 3 (1994)."""
    return ratio(mean(record.excess) * record.periods_per_year, downside_deviation(record))


@statistic("ratio")
def risk_return_ratio(record: Record) -> float:
    """Mean / standard deviation of the returns, not annualised. NautilusTrader: risk_return_ratio."""
    return ratio(mean(record.returns), deviation(record.returns))


@statistic("ratio")
def omega_ratio(record: Record) -> float:
    """Gains / losses around the risk-free rate. Keating & Shadwick, A Universal Performance Measure (2002)."""
    excess = record.excess
    return ratio(float(excess[excess > 0].sum()), -float(excess[excess < 0].sum()))


@statistic("ratio")
def gain_to_pain_ratio(record: Record) -> float:
    """Sum of all returns / sum of the losses. Schwager, Market Sense and Nonsense (2012), p. 335."""
    return ratio(float(record.returns.sum()), -float(record.returns[record.returns < 0].sum()))


@statistic("ratio")
def skewness(record: Record) -> float:
    """Adjusted Fisher-Pearson coefficient G1. Joanes & Gill, The Statistician 47 (1998)."""
    returns, count = record.returns, record.returns.size
    if count < 3:
        return math.nan
    centred = returns - returns.mean()
    moment = ratio(mean(centred**3), mean(centred**2) ** 1.5)
    return moment * math.sqrt(count * (count - 1)) / (count - 2)


@statistic("ratio")
def kurtosis(record: Record) -> float:
    """Adjusted excess kurtosis G2: zero for the normal distribution. Joanes & Gill, The Statistician 47 (1998)."""
    returns, count = record.returns, record.returns.size
    if count < 4:
        return math.nan
    centred = returns - returns.mean()
    excess = ratio(mean(centred**4), mean(centred**2) ** 2) - 3.0
    return (count - 1) / ((count - 2) * (count - 3)) * ((count + 1) * excess + 6.0)


@statistic("percent")
def probabilistic_sharpe_ratio(record: Record) -> float:
    """Probability that the true Sharpe ratio is above zero. Bailey & López de Prado, Journal of Risk 15 (2012)."""
    returns, count = record.excess, record.excess.size
    spread = float(returns.std()) if count > 1 else 0.0
    if not spread:
        return math.nan
    centred = (returns - returns.mean()) / spread
    sharpe = mean(returns) / deviation(returns)
    doubt = 1.0 - mean(centred**3) * sharpe + (mean(centred**4) - 1.0) / 4.0 * sharpe**2
    return 0.5 * (1.0 + math.erf(sharpe * math.sqrt((count - 1) / doubt) / math.sqrt(2.0))) if doubt > 0 else math.nan


@statistic("percent")
def value_at_risk_95(record: Record) -> float:
    """The return that one period in twenty falls below (historical). Jorion, Value at Risk (2006), ch. 5."""
    return float(np.percentile(record.returns, 5)) if record.returns.size else math.nan


@statistic("percent")
def value_at_risk_99(record: Record) -> float:
    """The return that one period in a hundred falls below (historical). LEAN: ValueAtRisk99."""
    return float(np.percentile(record.returns, 1)) if record.returns.size else math.nan


@statistic("percent")
def expected_shortfall_95(record: Record) -> float:
    """Mean of the worst twentieth of the returns. Acerbi & Tasche, Journal of Banking & Finance 26 (2002)."""
    count = int((record.returns.size - 1) * 0.05) + 1
    return mean(np.sort(record.returns)[:count]) if record.returns.size else math.nan


@statistic("ratio")
def tail_ratio(record: Record) -> float:
    """95th percentile / absolute 5th percentile of the returns. Konstantinov & Chorus (2014), as in empyrical."""
    if not record.returns.size:
        return math.nan
    return ratio(abs(float(np.percentile(record.returns, 95))), abs(float(np.percentile(record.returns, 5))))


@statistic("ratio")
def stability(record: Record) -> float:
    """R² of a straight line through the logarithm of the equity: one for steady growth. As in empyrical."""
    logs = np.log1p(record.returns[record.returns > -1.0]).cumsum()
    if logs.size < 2 or not logs.std():
        return math.nan
    return float(np.corrcoef(np.arange(logs.size), logs)[0, 1] ** 2)


@statistic("percent")
def median_return(record: Record) -> float:
    """The return that half of the periods exceed."""
    return median(record.returns)


@statistic("ratio")
def autocorrelation(record: Record) -> float:
    """Correlation of each return with the one before: smoothing shows here. Lo, FAJ 58 (2002)."""
    before, after = record.returns[:-1], record.returns[1:]
    if before.size < 2 or not before.std() or not after.std():
        return math.nan
    return float(np.corrcoef(before, after)[0, 1])
