"""Bets on the return to the mean: buys what is far below its average, in units of its own deviation (z-score).

Honest about what it is: it wins often and little, and loses seldom and much, when a move is no noise. `stop` bounds
that. Source of the idea: Poterba & Summers, Mean Reversion in Stock Prices, JFE 22 (1988).
"""

from collections.abc import Iterable
from decimal import Decimal

from pydantic import Field

from patriot.domain.money import ZERO
from patriot.strategy import Intent, Strategy, StrategyBar


class MeanReversion(Strategy):
    """Enters at `entry` deviations from the mean of `length` bars, leaves at `exit`, gives up at `stop`."""

    NAME = "mean_reversion"

    class Parameters(Strategy.Parameters):
        length: int = Field(20, ge=3, le=1000)
        entry: Decimal = Field(Decimal(2), gt=0, le=10, description="deviations from the mean")
        exit: Decimal = Field(Decimal("0.25"), ge=0, le=10)
        stop: Decimal = Field(Decimal(4), gt=0, le=20)

    class State(Strategy.State):
        closes: list[Decimal] = []  # noqa: RUF012 - msgspec copies it for each state

    parameters: Parameters
    state: State

    @property
    def warm_up(self) -> int:
        return self.parameters.length

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        closes = self.state.closes
        score = self.score(bar.close)
        closes.append(bar.close)
        del closes[: -self.parameters.length]
        return () if score is None else self.change_to(self._wanted(score, bar.close))

    def score(self, price: Decimal) -> Decimal | None:
        """How many deviations `price` lies above the mean of the bars before; None until there are enough."""
        closes = self.state.closes
        if len(closes) < self.parameters.length:
            return None
        mean = sum(closes, ZERO) / len(closes)
        variance = sum(((close - mean) ** 2 for close in closes), ZERO) / (len(closes) - 1)
        return (price - mean) / variance.sqrt() if variance else None

    def _wanted(self, score: Decimal, price: Decimal) -> Decimal:
        distance = abs(score)
        if self.position:
            is_over = distance <= self.parameters.exit or distance >= self.parameters.stop
            has_turned = (score > 0) == (self.position > 0)
            return ZERO if is_over or has_turned else self.position
        if not self.parameters.entry <= distance < self.parameters.stop:
            return ZERO
        if score < 0:
            return self.size(price)
        return -self.size(price) if self.instrument.is_derivative else ZERO
