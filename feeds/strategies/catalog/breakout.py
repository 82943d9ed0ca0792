"""Buys new highs, sells new lows, on two timeframes: a Donchian channel, in the direction of the longer trend.

The rules of the turtles (Faith, Way of the Turtle, 2007): enter at the extreme of `entry` bars, leave at the opposite
extreme of `exit` bars. The long bars only say which side may be entered. It loses small sums often and lives on few
long moves; sideways markets cost it dearly.
"""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec
from pydantic import Field

from patriot.domain.money import ZERO
from patriot.strategy import Intent, Strategy, StrategyBar


class Channel(msgspec.Struct):
    """Highs and lows of the newest bars."""

    highs: list[Decimal] = []
    lows: list[Decimal] = []

    def add(self, bar: StrategyBar, length: int) -> None:
        self.highs.append(bar.high)
        self.lows.append(bar.low)
        del self.highs[:-length], self.lows[:-length]


class Breakout(Strategy):
    """Long above the channel while the long bars rise, short below it while they fall (on derivatives)."""

    NAME = "breakout"

    class Parameters(Strategy.Parameters):
        entry: int = Field(20, ge=2, le=1000)
        exit: int = Field(10, ge=1, le=1000)
        long_bars: int = Field(10, ge=2, le=1440, description="how many short bars make a long one")
        trend: int = Field(5, ge=2, le=1000, description="long bars that the trend is measured over")

    class State(Strategy.State):
        channel: Channel = msgspec.field(default_factory=Channel)
        trend: list[Decimal] = []  # noqa: RUF012 - msgspec copies it for each state

    parameters: Parameters
    state: State

    @property
    def timeframes(self) -> Sequence[int]:
        return (self.parameters.bar_seconds, self.parameters.bar_seconds * self.parameters.long_bars)

    @property
    def warm_up(self) -> int:
        return max(self.parameters.entry, self.parameters.exit, self.parameters.trend)

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        if bar.seconds != self.parameters.bar_seconds:
            self.state.trend.append(bar.close)
            del self.state.trend[: -self.parameters.trend]
            return ()
        wanted = self._wanted(bar.close)
        self.state.channel.add(bar, max(self.parameters.entry, self.parameters.exit))
        return self.change_to(wanted)

    def _wanted(self, price: Decimal) -> Decimal:
        highs, lows = self.state.channel.highs, self.state.channel.lows
        entry, out = self.parameters.entry, self.parameters.exit
        if self.position > 0:
            return ZERO if price < min(lows[-out:], default=price) else self.position
        if self.position < 0:
            return ZERO if price > max(highs[-out:], default=price) else self.position
        if len(highs) < entry or len(self.state.trend) < self.parameters.trend:
            return ZERO
        rises = self.state.trend[-1] > self.state.trend[0]
        if rises and price > max(highs[-entry:]):
            return self.size(price)
        if not rises and price < min(lows[-entry:]) and self.instrument.is_derivative:
            return -self.size(price)
        return ZERO
