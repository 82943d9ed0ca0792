"""Value at risk of accounts, from the daily bars in `ohlc`. Rule: an asset with too short a history has no figure.

The draws of the Monte-Carlo method are made once for all accounts of one measurement; the seed is fixed, so the same
history gives the same figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np

from patriot.domain.risk.backtest import Backtest, backtest, hits_of
from patriot.domain.risk.value_at_risk import (
    CONFIDENCES,
    DAYS_MIN,
    HORIZONS_DAYS,
    Floats,
    Method,
    Risk,
    daily_returns,
    growths,
    measure,
)
from patriot.domain.worth import Market
from patriot.runtime.context import RequestContext
from patriot.store.api import Query

DAYS_MAX = 500
WINDOW_DAYS_MAX = 250
SEED = 1

Figures = Mapping[tuple[Method, float, int], Risk]


@dataclass(frozen=True, slots=True)
class History:
    """Daily returns of assets over days that all of them have, and the growth drawn from them by horizon."""

    assets: tuple[str, ...]
    returns: Floats
    draws: Mapping[int, Floats]

    def figures(self, exposures: Mapping[str, Decimal]) -> Figures | None:
        """None where an exposure has no history."""
        if not exposures:
            return {}
        if not set(exposures) <= set(self.assets):
            return None
        return measure(self._vector(exposures), self.returns, dict(self.draws))

    def backtests(self, exposures: Mapping[str, Decimal]) -> dict[float, Backtest]:
        """By confidence: the historical value at risk of what is held now, tried on each day after a window."""
        window = min(WINDOW_DAYS_MAX, len(self.returns) // 2)
        if window < DAYS_MIN or not set(exposures) <= set(self.assets):
            return {}
        profits = self.returns @ self._vector(exposures)
        return {each: backtest(hits_of(profits, each, window), each) for each in CONFIDENCES}

    def _vector(self, exposures: Mapping[str, Decimal]) -> Floats:
        return np.array([float(exposures.get(asset, 0)) for asset in self.assets])


async def history(context: RequestContext, assets: Sequence[str], market: Market) -> History:
    """Of those of the assets that have enough days."""
    closes: dict[str, dict[object, float]] = {}
    for asset in sorted(assets):
        names = [one.id for one in market.instruments.values() if one.base == asset and one.quote == market.currency]
        rows = await context.runtime.store.find(
            Query("ohlc", None, {"instrument": names, "interval": "1d"}, ["-time"], DAYS_MAX * max(1, len(names)))
        )
        found = {row["time"]: float(row["close"]) for row in rows}
        if len(found) > DAYS_MIN:
            closes[asset] = found
    return _history(closes)


def _history(closes: Mapping[str, Mapping[object, float]]) -> History:
    days = sorted(set.intersection(*map(set, closes.values()))) if closes else []  # type: ignore[type-var]
    if len(days) <= DAYS_MIN:
        return History((), np.empty((0, 0)), {})
    returns = daily_returns(np.array([[closes[asset][day] for asset in closes] for day in days[-DAYS_MAX:]]))
    return History(tuple(closes), returns, {days: growths(returns, days, SEED) for days in HORIZONS_DAYS})
