"""Value at risk and expected shortfall of a portfolio. Rule: losses are positive; a shortfall is never below its VaR.

Exposures are a vector (what is held of each asset, in one currency, short < 0), returns a matrix (a row a day, a column
an asset). Three ways to the distribution of the portfolio's profit over a horizon:

historical      the profits that the past days would have made (Hull, Risk Management, ch. 13)
parametric      normal, with mean and covariance of the past days (RiskMetrics technical document, 1996)
Monte Carlo     days drawn from the multivariate normal with that mean and covariance, compounded over the horizon
                (Glasserman, Monte Carlo Methods in Financial Engineering, ch. 9)

Over more than a day the historical and the parametric loss grow with the square root of time (the mean of the
parametric with time itself).
"""

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Method = Literal["historical", "parametric", "monte_carlo"]

DAYS_MIN = 30
PATHS = 10_000
METHODS: tuple[Method, ...] = ("historical", "parametric", "monte_carlo")
CONFIDENCES = (0.95, 0.99)
HORIZONS_DAYS = (1, 10)


@dataclass(frozen=True, slots=True)
class Risk:
    """`value_at_risk` is exceeded on a share of 1 - confidence of all days; `expected_shortfall` is the mean then."""

    value_at_risk: float
    expected_shortfall: float


def historical(profits: Floats, confidence: float, days: int = 1) -> Risk:
    """From the profits themselves. The quantile is the empirical one: the worst share of days, rounded up."""
    count = max(1, math.ceil(round(profits.size * (1 - confidence), 9)))
    worst = np.partition(profits, count - 1)[:count]
    scale = math.sqrt(days)
    return _risk(-float(worst.max()) * scale, -float(worst.mean()) * scale)


def parametric(mean: float, deviation: float, confidence: float, days: int = 1) -> Risk:
    """From mean and standard deviation of a day's profit."""
    normal, scale = NormalDist(), math.sqrt(days)
    z = normal.inv_cdf(confidence)
    value = deviation * scale * z - mean * days
    shortfall = deviation * scale * normal.pdf(z) / (1 - confidence) - mean * days
    return _risk(value, shortfall)


def growths(returns: Floats, days: int, seed: int, paths: int = PATHS) -> Floats:
    """What each asset gains over the horizon, a row a path: days drawn one by one and compounded."""
    generator = np.random.default_rng(seed)
    factor = _factor(np.cov(returns, rowvar=False, ddof=1).reshape(returns.shape[1], -1))
    growth = np.ones((paths, returns.shape[1]))
    for _ in range(days):
        growth *= 1 + returns.mean(axis=0) + generator.standard_normal(growth.shape) @ factor.T
    return growth - 1


def _factor(covariance: Floats) -> Floats:
    """A square root of the covariance, also where assets move as one and it has no Cholesky factor."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray(vectors * np.sqrt(np.clip(values, 0, None)))


def _risk(value: float, shortfall: float) -> Risk:
    return Risk(max(0.0, value), max(0.0, shortfall, value))


def measure(exposures: Floats, returns: Floats, draws: dict[int, Floats]) -> dict[tuple[Method, float, int], Risk]:
    """Every method, confidence and horizon. `draws` are `growths` by horizon, shared by all portfolios."""
    profits = _profits(returns, exposures)
    mean, deviation = float(profits.mean()), float(profits.std(ddof=1))
    found: dict[tuple[Method, float, int], Risk] = {}
    for days in HORIZONS_DAYS:
        simulated = _profits(draws[days], exposures)
        for confidence in CONFIDENCES:
            found["historical", confidence, days] = historical(profits, confidence, days)
            found["parametric", confidence, days] = parametric(mean, deviation, confidence, days)
            found["monte_carlo", confidence, days] = historical(simulated, confidence)
    return found


def _profits(changes: Floats, exposures: Floats) -> Floats:
    """`changes @ exposures`, in this thread: BLAS starts its own for it, and on busy processors waits for them."""
    return np.asarray(np.einsum("ij,j->i", changes, exposures))


def daily_returns(closes: Floats) -> Floats:
    """A row a day from closing prices, a row a day, a column an asset."""
    return np.asarray(closes[1:] / closes[:-1] - 1)
