"""Follows a trend by two exponential moving averages: long above, flat (or short, on derivatives) below.

A demonstration of the machinery, not of an edge: crossing averages lose to fees on short bars.
"""

from collections.abc import Iterable
from decimal import Decimal

from pydantic import Field

from patriot.domain.money import ZERO
from patriot.strategy import Intent, Strategy, StrategyBar


class EmaCross(Strategy):
    """Trades one position of `notional` when the fast average crosses the slow one."""

    NAME = "ema_cross"

    class Parameters(Strategy.Parameters):
        fast: int = Field(8, ge=1, le=1000)
        slow: int = Field(21, ge=2, le=5000)

    parameters: Parameters
    _fast: Decimal = ZERO
    _slow: Decimal = ZERO
    _bars: int = 0

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        self._average(bar.close)
        self._bars += 1
        if self._bars < self.parameters.slow:
            return ()
        return self.change_to(self._wanted(bar.close))

    def _average(self, price: Decimal) -> None:
        if not self._bars:
            self._fast = self._slow = price
            return
        self._fast += (price - self._fast) * 2 / (self.parameters.fast + 1)
        self._slow += (price - self._slow) * 2 / (self.parameters.slow + 1)

    def _wanted(self, price: Decimal) -> Decimal:
        """The position to hold; the size is kept while the direction stays."""
        if self._fast > self._slow:
            return self.position if self.position > 0 else self.size(price)
        if not self.instrument.is_derivative:
            return ZERO
        return self.position if self.position < 0 else -self.size(price)
