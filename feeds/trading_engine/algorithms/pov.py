"""Participation of volume. Rule: never more than a share of what the market trades meanwhile."""

from decimal import Decimal

from pydantic import Field

from feeds.trading_engine.algorithm import Algorithm, View


class Pov(Algorithm):
    """A share of the traded volume, our own included, until the quantity or the time is over."""

    NAME = "pov"

    class Parameters(Algorithm.Parameters):
        participation: float = Field(0.1, gt=0, le=0.5)
        finish: bool = Field(False, description="send what is left when the time is over")

    parameters: Parameters

    def target(self, view: View) -> Decimal:
        return min(self.parent.quantity, view.volume * Decimal(str(self.parameters.participation)))

    def is_over(self, view: View) -> bool:
        return self.parameters.finish and super().is_over(view)

    def gives_up(self, view: View) -> bool:
        return not self.parameters.finish and super().is_over(view)
