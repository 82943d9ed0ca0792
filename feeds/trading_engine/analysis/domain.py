"""Market analysis from minute bars and a book. Rule: figures that describe, computed the same for everybody.

Statistics are floats: no money is counted with them.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import log, sqrt
from statistics import correlation, fmean, median, pstdev
from typing import Final, Literal

Regime = Literal["calm", "normal", "turbulent", "unknown"]
Trend = Literal["up", "down", "sideways", "unknown"]
MINUTES_PER_YEAR: Final = 365 * 1440
TIMEFRAMES: Final = {"5m": 5, "15m": 15, "1h": 60, "4h": 240}
CALM, TURBULENT = 0.5, 2.0  # of the usual volatility
TREND_MIN = 2.0  # how many standard errors the slope must be from zero
SHORT, LEAST = 15, 30


def returns(closes: Sequence[float]) -> list[float]:
    """Logarithmic, from one bar to the next."""
    return [log(after / before) for before, after in pairwise(closes) if before > 0 and after > 0]


def volatility(closes: Sequence[float]) -> float:
    """Standard deviation of minute returns, for a year; 0 where there are fewer than two."""
    found = returns(closes)
    return pstdev(found) * sqrt(MINUTES_PER_YEAR) if len(found) > 1 else 0.0


def regime(closes: Sequence[float]) -> Regime:
    """The last quarter of an hour against what is usual in these bars (the median of its like)."""
    if len(closes) < 2 * LEAST:
        return "unknown"
    windows = [volatility(closes[at : at + SHORT]) for at in range(0, len(closes) - SHORT, SHORT)]
    usual, now = median(windows), volatility(closes[-SHORT:])
    if not usual:
        return "unknown"
    return "calm" if now < CALM * usual else "turbulent" if now > TURBULENT * usual else "normal"


def trend(closes: Sequence[float], minutes: int) -> Trend:
    """The slope of a line through the closes, where it is further from zero than chance would have it."""
    found = closes[-minutes:]
    if len(found) < min(minutes, 4):
        return "unknown"
    slope, error = _slope(found)
    if abs(slope) <= TREND_MIN * error or not slope:
        return "sideways"
    return "up" if slope > 0 else "down"


def _slope(values: Sequence[float]) -> tuple[float, float]:
    """Least squares slope and its standard error."""
    count, mean = len(values), fmean(values)
    middle = (count - 1) / 2
    spread = sum((at - middle) ** 2 for at in range(count))
    slope = sum((at - middle) * (value - mean) for at, value in enumerate(values)) / spread
    rest = sum((value - mean - slope * (at - middle)) ** 2 for at, value in enumerate(values))
    return slope, sqrt(rest / max(1, count - 2) / spread)


def volume_profile(bars: Sequence[tuple[float, float]], levels: int = 10) -> tuple[float, list[float]]:
    """(price, volume) pairs -> the price where most was traded, and the share of volume by equal steps of price."""
    prices = [price for price, _ in bars]
    total = sum(volume for _, volume in bars)
    if not bars or not total:
        return 0.0, []
    low, width = min(prices), (max(prices) - min(prices)) / levels or 1.0
    shares = [0.0] * levels
    for price, volume in bars:
        shares[min(levels - 1, int((price - low) / width))] += volume / total
    return low + (shares.index(max(shares)) + 0.5) * width, shares


def spread_and_depth(
    bids: Sequence[tuple[float, float]], asks: Sequence[tuple[float, float]]
) -> tuple[float, float, float]:
    """Spread in basis points, and the quote value of the levels that are shown on each side."""
    if not bids or not asks:
        return 0.0, 0.0, 0.0
    middle = (bids[0][0] + asks[0][0]) / 2
    depths = [sum(price * quantity for price, quantity in side) for side in (bids, asks)]
    return (asks[0][0] - bids[0][0]) / middle * 10_000, depths[0], depths[1]


def correlations(closes: Mapping[str, Mapping[int, float]], of: str) -> dict[str, float]:
    """Of the minute returns with every other instrument, over the minutes that both have traded."""
    own, found = closes[of], {}
    for other, theirs in closes.items():
        minutes = sorted(own.keys() & theirs.keys())
        pairs = returns([own[at] for at in minutes]), returns([theirs[at] for at in minutes])
        if other != of and len(minutes) > LEAST and all(pstdev(one) for one in pairs):
            found[other] = correlation(*pairs)
    return found
