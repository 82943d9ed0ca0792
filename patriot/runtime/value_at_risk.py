"""Value at risk of accounts, from the daily bars in `ohlc`. Rule: an asset with too short a history has no figure.

The history and the draws of the Monte-Carlo method are made once for all accounts and, once whole, kept a minute.
The seed is fixed, so the same history gives the same figures.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
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
KEPT_SECONDS = 60.0
HISTORIES_MAX = 100

Figures = Mapping[tuple[Method, float, int], Risk]


@dataclass(frozen=True, slots=True)
class History:
    """Daily returns of assets over days that all of them have, and the growth drawn from them by horizon.

    `closes` tells how many days are known, also of assets that have too few of them.
    """

    assets: tuple[str, ...]
    returns: Floats
    draws: Mapping[int, Floats]
    closes: Mapping[str, int]

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
    wanted, now = tuple(sorted(assets)), context.runtime.clock.monotonic()
    kept = context.runtime.local.setdefault("histories", {})
    assert isinstance(kept, dict)
    known = kept.get(wanted)
    if known is None or known[0] <= now:
        if len(kept) > HISTORIES_MAX:
            kept.clear()
        closes = {asset: await _closes(context, asset, market) for asset in wanted}
        found = _history(closes)
        known = kept[wanted] = (now + (KEPT_SECONDS if found.assets == wanted else 0), found)
    past: History = known[1]
    return past


async def _closes(context: RequestContext, asset: str, market: Market) -> Mapping[datetime, float]:
    """Of the instrument of the asset that is known longest: days of several must not be mixed, they differ a little."""
    names = [one.id for one in market.instruments.values() if one.base == asset and one.quote == market.currency]
    where = {"instrument": names, "interval": "1d"}
    rows = await context.runtime.store.find(Query("ohlc", None, where, ["-time"], DAYS_MAX * max(1, len(names))))
    found: dict[str, dict[datetime, float]] = {}
    for row in rows:
        found.setdefault(row["instrument"], {})[row["time"]] = float(row["close"])
    return max((found[name] for name in sorted(found)), key=len, default={})


def _history(closes: Mapping[str, Mapping[datetime, float]]) -> History:
    counts = {asset: len(days) for asset, days in closes.items()}
    long = {asset: days for asset, days in closes.items() if len(days) > DAYS_MIN}
    days = sorted(set.intersection(*map(set, long.values()))) if long else []
    if len(days) <= DAYS_MIN:
        return History((), np.empty((0, 0)), {}, counts)
    returns = daily_returns(np.array([[long[asset][day] for asset in long] for day in days[-DAYS_MAX:]]))
    return History(tuple(long), returns, {days: growths(returns, days, SEED) for days in HORIZONS_DAYS}, counts)
