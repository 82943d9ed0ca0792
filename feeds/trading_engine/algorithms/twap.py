"""Time-weighted average price. Rule: equal parts at equal intervals, each a little early or late if asked."""

from decimal import Decimal

from pydantic import Field

from feeds.trading_engine.algorithm import Algorithm, View


class Twap(Algorithm):
    """The quantity in equal parts, one each `seconds / slices`."""

    NAME = "twap"

    class Parameters(Algorithm.Parameters):
        slices: int = Field(10, ge=1, le=10_000)
        jitter: float = Field(0.0, ge=0, le=0.9, description="share of an interval by which a part may be late")

    parameters: Parameters

    def target(self, view: View) -> Decimal:
        """Part k is due at its interval's begin, plus its chance of the jitter."""
        interval = self.parameters.seconds / self.parameters.slices
        begun = view.seconds / interval - view.chance * self.parameters.jitter
        return self.share((int(begun) + 1 if begun >= 0 else 0) / self.parameters.slices)
