"""Makes a market: rests buys below and sells above the price, and leans against what it already holds.

The distance follows the bars' own range, and the whole grid is moved by the position (Avellaneda & Stoikov,
High-frequency Trading in a Limit Order Book, Quantitative Finance 8, 2008, in its simplest form). It earns the spread
as long as prices swing, and holds the wrong side when they run: `maximum_position` bounds how much.
"""

from collections.abc import Iterable
from decimal import Decimal

from pydantic import Field

from patriot.domain.money import ZERO, round_down
from patriot.strategy import Intent, Strategy, StrategyBar
from schemas.types import Side


class Grid(Strategy):
    """`levels` orders of `notional` on each side, `width` mean ranges apart, all replaced together."""

    NAME = "grid"
    QUOTES = True

    class Parameters(Strategy.Parameters):
        levels: int = Field(2, ge=1, le=20)
        width: Decimal = Field(Decimal(1), gt=0, le=100, description="distance of two levels in mean ranges of a bar")
        lean: Decimal = Field(Decimal("0.5"), ge=0, le=10, description="levels that a full position moves the grid")
        maximum_position: Decimal = Field(Decimal(4), gt=0, le=100, description="in orders of `notional`")
        length: int = Field(20, ge=1, le=1000, description="bars that the mean range is taken over")

    class State(Strategy.State):
        ranges: list[Decimal] = []  # noqa: RUF012 - msgspec copies it for each state

    parameters: Parameters
    state: State

    @property
    def warm_up(self) -> int:
        return self.parameters.length

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        ranges = self.state.ranges
        ranges.append(bar.high - bar.low)
        del ranges[: -self.parameters.length]
        if len(ranges) < self.parameters.length:
            return []
        step = max(sum(ranges, ZERO) / len(ranges) * self.parameters.width, self.instrument.tick_size)
        size = self.size(bar.close)
        held = self.position / (size * self.parameters.maximum_position)
        centre = bar.close - held * self.parameters.lean * step
        return [*self._side("buy", centre, step, size), *self._side("sell", centre, step, size)]

    def _side(self, side: Side, centre: Decimal, step: Decimal, size: Decimal) -> Iterable[Intent]:
        sign = 1 if side == "sell" else -1
        room = size * self.parameters.maximum_position + sign * self.position
        if not self.instrument.is_derivative and side == "sell":
            room = self.position
        for level in range(1, self.parameters.levels + 1):
            if level * size > room:
                return
            price = round_down(centre + sign * level * step, self.instrument.tick_size)
            yield Intent(self.instrument.id, side, size, "limit", price, post_only=True)
