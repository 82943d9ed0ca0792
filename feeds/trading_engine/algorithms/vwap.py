"""Volume-weighted average price. Rule: follow the volume that the market usually trades in these minutes."""

from collections.abc import Sequence
from decimal import Decimal

from pydantic import Field

from feeds.trading_engine.algorithm import Algorithm, View

DAY_MINUTES = 1440


class Vwap(Algorithm):
    """Parts in proportion to the recorded volume profile of the day; without a recording, as TWAP."""

    NAME = "vwap"

    class Parameters(Algorithm.Parameters):
        slices: int = Field(20, ge=1, le=10_000, description="parts of the time; each is sent at its begin")

    parameters: Parameters

    def target(self, view: View) -> Decimal:
        interval = self.parameters.seconds / self.parameters.slices
        until = min(self.parameters.seconds, (int(view.seconds / interval) + 1) * interval)
        whole = volume_between(view.profile, view.minute, self.parameters.seconds / 60)
        done = volume_between(view.profile, view.minute, until / 60)
        return self.share(done / whole if whole else until / self.parameters.seconds)


def volume_between(profile: Sequence[float], minute: float, minutes: float) -> float:
    """Share of the day's volume from `minute` on, for so many minutes; days repeat."""
    total, position, left = 0.0, minute, minutes
    while left > 1e-9 and profile:
        step = min(left, 1 - position % 1)
        total += profile[int(position) % DAY_MINUTES] * step
        position, left = position + step, left - step
    return total
