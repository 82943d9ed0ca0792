"""Implementation shortfall. Rule: trade faster the more waiting risks, slower the more haste costs.

The optimal schedule of Almgren and Chriss (2000), "Optimal execution of portfolio transactions", eq. 16-18: what is
still held at time t of T is X sinh(kappa (T - t)) / sinh(kappa T), with kappa^2 = lambda sigma^2 / eta.
"""

from decimal import Decimal
from math import sinh, sqrt

from pydantic import Field

from feeds.trading_engine.algorithm import Algorithm, View

KAPPA_T_MAX = 50.0  # beyond it, everything is sent at once, and sinh grows out of all numbers


class Shortfall(Algorithm):
    """`urgency` is lambda / eta in the units of the price's own variance: 0 trades as TWAP."""

    NAME = "shortfall"

    class Parameters(Algorithm.Parameters):
        slices: int = Field(20, ge=1, le=10_000)
        urgency: float = Field(1.0, ge=0, le=1_000_000, description="risk aversion over temporary impact, lambda / eta")
        volatility: float = Field(0.0, ge=0, description="of a second's return; 0: as measured, else 0.0001")

    parameters: Parameters

    def target(self, view: View) -> Decimal:
        seconds = self.parameters.seconds
        interval = seconds / self.parameters.slices
        until = min(seconds, (int(view.seconds / interval) + 1) * interval)
        return self.share(1 - held(until / seconds, self._kappa_t(view)))

    def _kappa_t(self, view: View) -> float:
        sigma = self.parameters.volatility or view.volatility or 0.0001
        whole = sigma * sqrt(self.parameters.seconds)  # of the whole time
        return min(KAPPA_T_MAX, sqrt(self.parameters.urgency) * whole * 100)


def held(time: float, kappa_t: float) -> float:
    """The share still held at `time` (0 to 1) of the whole."""
    if kappa_t < 1e-6:
        return 1 - time
    return sinh(kappa_t * (1 - time)) / sinh(kappa_t)
