"""Statistics against a benchmark. Rule: both are measured over the same periods; without a benchmark all are NaN."""

import math

import numpy as np

from patriot.domain.statistics.record import Bools, Floats, Record, deviation, mean, ratio, statistic
from patriot.domain.statistics.returns import cagr, compounded, grown


def _pair(record: Record) -> tuple[Floats, Floats]:
    """Excess returns of the record and of its benchmark; both empty where there is none."""
    other = record.benchmark_returns
    if other.size != record.returns.size or other.size < 2:
        return np.empty(0), np.empty(0)
    return record.excess, other - record.risk_free / record.periods_per_year


@statistic("percent")
def benchmark_return(record: Record) -> float:
    """What the benchmark gained over the same time."""
    return compounded(record.benchmark_returns)


@statistic("ratio")
def beta(record: Record) -> float:
    """Covariance with the benchmark / its variance. Sharpe, Capital Asset Prices, Journal of Finance 19 (1964)."""
    own, other = _pair(record)
    if not own.size:
        return math.nan
    centred = other - other.mean()
    return ratio(float((centred * own).mean()), float((centred * centred).mean()))


@statistic("percent")
def alpha(record: Record) -> float:
    """What beta does not explain, annualised: Jensen, The Performance of Mutual Funds, Journal of Finance 23 (1968)."""
    own, other = _pair(record)
    if not own.size:
        return math.nan
    return grown(1.0 + mean(own - beta(record) * other), record.periods_per_year) - 1.0


@statistic("ratio")
def correlation(record: Record) -> float:
    """Pearson's r with the benchmark."""
    own, other = _pair(record)
    return float(np.corrcoef(own, other)[0, 1]) if own.size and own.std() and other.std() else math.nan


@statistic("ratio")
def r_squared(record: Record) -> float:
    """Share of the variance that the benchmark explains."""
    return correlation(record) ** 2


@statistic("percent")
def tracking_error(record: Record) -> float:
    """Deviation of the difference to the benchmark, annualised. Grinold & Kahn, Active Portfolio Management (1999)."""
    own, other = _pair(record)
    return deviation(own - other) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def information_ratio(record: Record) -> float:
    """Mean difference to the benchmark / its deviation, annualised. Goodwin, FAJ 54 (1998)."""
    own, other = _pair(record)
    return ratio(mean(own - other), deviation(own - other)) * math.sqrt(record.periods_per_year)


@statistic("ratio")
def treynor_ratio(record: Record) -> float:
    """CAGR over the risk-free rate / beta. Treynor, How to Rate Management of Investment Funds, HBR 43 (1965)."""
    return ratio(cagr(record) - record.risk_free, beta(record))


@statistic("ratio")
def up_capture(record: Record) -> float:
    """Annual return in the periods in which the benchmark rose / the benchmark's. Morningstar (2011)."""
    return _capture(record, record.benchmark_returns > 0)


@statistic("ratio")
def down_capture(record: Record) -> float:
    """Annual return in the periods in which the benchmark fell / the benchmark's. Morningstar (2011)."""
    return _capture(record, record.benchmark_returns < 0)


def _capture(record: Record, chosen: Bools) -> float:
    other = record.benchmark_returns
    if not other.size or not chosen.any():
        return math.nan
    exponent = record.periods_per_year / float(chosen.sum())
    own, base = record.returns[chosen], other[chosen]
    return ratio(grown(1.0 + compounded(own), exponent) - 1.0, grown(1.0 + compounded(base), exponent) - 1.0)


@statistic("percent")
def batting_average(record: Record) -> float:
    """Share of the periods that beat the benchmark. Bacon (2008), 3.11."""
    own, other = _pair(record)
    return ratio(float((own > other).sum()), own.size)
