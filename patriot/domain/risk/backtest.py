"""Whether a value at risk was right: on how many days the loss exceeded it. Rule: a p-value tells, not a count.

Kupiec's test asks whether there were as many exceptions as there should be (Kupiec, 1995, Journal of Derivatives 3);
Christoffersen's whether one makes the next more likely, and both at once (Christoffersen, 1998, International Economic
Review 39). Each likelihood ratio is chi-squared with one degree of freedom, their sum with two.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from patriot.domain.risk.value_at_risk import Floats, historical

Hits = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Test:
    """A likelihood ratio, and how likely one as large is by chance. Below 0.05 the model is usually rejected."""

    ratio: float
    p_value: float


@dataclass(frozen=True, slots=True)
class Backtest:
    days: int
    exceptions: int
    expected: float
    kupiec: Test
    independence: Test
    coverage: Test


def backtest(hits: Hits, confidence: float) -> Backtest:
    """`hits` says of each day whether the loss was larger than the value at risk of the day before."""
    frequency, independence = kupiec(hits, confidence), christoffersen(hits)
    joint = frequency.ratio + independence.ratio
    expected = hits.size * (1 - confidence)
    coverage = Test(joint, math.exp(-joint / 2))
    return Backtest(hits.size, int(hits.sum()), expected, frequency, independence, coverage)


def kupiec(hits: Hits, confidence: float) -> Test:
    """Proportion of failures."""
    days, failures, wanted = hits.size, int(hits.sum()), 1 - confidence
    null = _log(days - failures, 1 - wanted) + _log(failures, wanted)
    seen = _log(days - failures, 1 - failures / days) + _log(failures, failures / days)
    return _one_degree(2 * (seen - null))


def christoffersen(hits: Hits) -> Test:
    """Independence: an exception is as likely after an exception as after none."""
    before, after = hits[:-1], hits[1:]
    calm = np.array([np.sum(~before & ~after), np.sum(~before & after)])
    hit = np.array([np.sum(before & ~after), np.sum(before & after)])
    both = calm + hit
    return _one_degree(2 * (_likelihood(calm) + _likelihood(hit) - _likelihood(both)))


def hits_of(profits: Floats, confidence: float, window: int) -> Hits:
    """Exceptions of the historical value at risk of a rolling window, a day ahead."""
    days = range(window, profits.size)
    levels = [historical(profits[day - window : day], confidence).value_at_risk for day in days]
    return np.asarray(-profits[window:] > np.asarray(levels))


def _likelihood(counts: NDArray[np.int64]) -> float:
    """Log likelihood of misses and hits at their own rate."""
    misses, hits = int(counts[0]), int(counts[1])
    total = misses + hits
    return _log(misses, misses / total) + _log(hits, hits / total) if total else 0.0


def _log(count: int, chance: float) -> float:
    return count * math.log(chance) if count else 0.0


def _one_degree(ratio: float) -> Test:
    ratio = max(0.0, ratio)
    return Test(ratio, math.erfc(math.sqrt(ratio / 2)))
