"""Statistics of what was lost from a peak. Rule: a drawdown lasts until the peak is reached again, or is open."""

import math
from dataclasses import dataclass

import numpy as np

from patriot.domain.statistics.record import Floats, Record, deviation, largest, mean, ratio, statistic
from patriot.domain.statistics.returns import annual_volatility, cagr, total_return

NORMAL_5_PERCENT = -1.6448536269514722  # where 5 % of the standard normal distribution lie below


@dataclass(frozen=True, slots=True)
class Drawdown:
    """From a peak to its recovery, in indices of the record's times; `end` is None while it is open."""

    start: int
    trough: int
    end: int | None
    depth: float


def drawdowns(record: Record) -> list[Drawdown]:
    """All of them, the deepest first."""
    under = record.drawdown < 0
    edges = np.flatnonzero(np.diff(np.concatenate(([False], under, [False])).astype(np.int8)))
    found = [_between(record.drawdown, int(first), int(last)) for first, last in edges.reshape(-1, 2)]
    return sorted(found, key=lambda drawdown: drawdown.depth)


def _between(drawdown: Floats, first: int, last: int) -> Drawdown:
    trough = first + int(drawdown[first:last].argmin())
    return Drawdown(first - 1, trough, last if last < drawdown.size else None, float(drawdown[trough]))


@statistic("percent")
def max_drawdown(record: Record) -> float:
    """The deepest fall of the equity from a peak, as a fraction <= 0. Magdon-Ismail & Atiya, Risk 17 (2004)."""
    return float(record.drawdown.min()) if record.returns.size else math.nan


@statistic("money")
def max_drawdown_amount(record: Record) -> float:
    """The largest fall of the equity from a peak, in money, without what was paid in and out. vn.py: max_drawdown."""
    if not record.equity.size:
        return math.nan
    gained = record.equity - (record.flows.cumsum() if record.flows.size else 0.0)
    return float((gained - np.maximum.accumulate(gained)).min())


@statistic("percent")
def average_drawdown(record: Record) -> float:
    """Mean depth of all drawdowns. Bacon (2008), 4.4."""
    return mean(np.array([drawdown.depth for drawdown in drawdowns(record)]))


@statistic("seconds")
def max_underwater(record: Record) -> float:
    """The longest time from a peak until it was reached again, or until now. Jesse: max_underwater_period."""
    return largest(_lengths(record))


@statistic("seconds")
def drawdown_recovery(record: Record) -> float:
    """The longest time from a trough back to its peak. LEAN: Drawdown Recovery."""
    recovered = [(one.end - one.trough) * record.seconds for one in drawdowns(record) if one.end is not None]
    return largest(np.array(recovered, float))


@statistic("percent")
def time_underwater(record: Record) -> float:
    """Share of the time spent below a peak."""
    return ratio(float((record.drawdown[1:] < 0).sum()), record.returns.size)


@statistic("ratio")
def calmar_ratio(record: Record) -> float:
    """CAGR / absolute maximum drawdown. Young, Calmar Ratio: A Smoother Tool, Futures (1991)."""
    return ratio(cagr(record), abs(max_drawdown(record)))


@statistic("ratio")
def recovery_factor(record: Record) -> float:
    """Total return / absolute maximum drawdown. vn.py: return_drawdown_ratio."""
    return ratio(total_return(record), abs(max_drawdown(record)))


@statistic("percent")
def ulcer_index(record: Record) -> float:
    """Root of the mean squared drawdown. Martin & McCann, The Investor's Guide to Fidelity Funds (1989)."""
    return math.sqrt(mean(np.square(record.drawdown[1:]))) if record.returns.size else math.nan


@statistic("ratio")
def martin_ratio(record: Record) -> float:
    """CAGR over the risk-free rate / ulcer index. Martin & McCann (1989)."""
    return ratio(cagr(record) - record.risk_free, ulcer_index(record))


@statistic("percent")
def pain_index(record: Record) -> float:
    """Mean absolute drawdown. Becker, The Zephyr Pain Index (2006)."""
    return abs(mean(record.drawdown[1:]))


@statistic("ratio")
def pain_ratio(record: Record) -> float:
    """CAGR over the risk-free rate / pain index. Becker (2006)."""
    return ratio(cagr(record) - record.risk_free, pain_index(record))


@statistic("ratio")
def serenity_index(record: Record) -> float:
    """Sum of returns / (ulcer index x pitfall): KeyQuant, Introducing a New Risk-Adjusted Measure (2014).

    Pitfall = expected shortfall of the drawdowns below their normal 5 % quantile / deviation of returns; the ulcer
    index is over n - 1 periods. As in quantstats and Jesse.
    """
    under = record.drawdown[1:]
    if under.size < 2:
        return math.nan
    tail = under[under < under.mean() + NORMAL_5_PERCENT * deviation(under)]
    pitfall = ratio(-mean(tail), deviation(record.returns))
    ulcer = math.sqrt(float(np.square(under).sum()) / (under.size - 1))
    return ratio(float(record.returns.sum()), ulcer * pitfall)


@statistic("ratio")
def sterling_ratio(record: Record) -> float:
    """CAGR / (absolute maximum drawdown + 10 %). Kestner, Getting a Handle on True Performance, Futures (1996)."""
    return ratio(cagr(record), abs(max_drawdown(record)) + 0.1)


@statistic("ratio")
def drawdown_volatility_ratio(record: Record) -> float:
    """Absolute maximum drawdown / annual volatility: how much worse the path was than its daily noise."""
    return ratio(abs(max_drawdown(record)), annual_volatility(record))


def _lengths(record: Record) -> Floats:
    last = record.drawdown.size - 1
    return np.array(
        [((last if one.end is None else one.end) - one.start) * record.seconds for one in drawdowns(record)]
    )
