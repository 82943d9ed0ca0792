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

    class State(Strategy.State):
        fast: Decimal = ZERO
        slow: Decimal = ZERO
        bars: int = 0

    parameters: Parameters
    state: State

    @property
    def warm_up(self) -> int:
        return 3 * self.parameters.slow

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        self._average(bar.close)
        self.state.bars += 1
        if self.state.bars < self.parameters.slow:
            return ()
        return self.change_to(self._wanted(bar.close))

    def _average(self, price: Decimal) -> None:
        state = self.state
        if not state.bars:
            state.fast = state.slow = price
            return
        state.fast += (price - state.fast) * 2 / (self.parameters.fast + 1)
        state.slow += (price - state.slow) * 2 / (self.parameters.slow + 1)

    def _wanted(self, price: Decimal) -> Decimal:
        """The position to hold; the size is kept while the direction stays."""
        if self.state.fast > self.state.slow:
            return self.position if self.position > 0 else self.size(price)
        if not self.instrument.is_derivative:
            return ZERO
        return self.position if self.position < 0 else -self.size(price)
