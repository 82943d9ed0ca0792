"""Iceberg. Rule: the market sees one small slice at a time, and no two alike."""

from decimal import Decimal

from pydantic import Field

from feeds.trading_engine.algorithm import Algorithm, View


class Iceberg(Algorithm):
    """Slices of `display` (a share of the quantity), each larger or smaller by up to `variance`; the next when one is
    over. With a limit price they rest, without one they join the best price of their side.
    """

    NAME = "iceberg"

    class Parameters(Algorithm.Parameters):
        seconds: int = Field(86_400, ge=1, le=7 * 86_400)
        display: float = Field(0.1, gt=0, le=1)
        variance: float = Field(0.3, ge=0, le=0.9)
        patience_seconds: float = Field(30.0, gt=0)

    parameters: Parameters

    def target(self, view: View) -> Decimal:
        size = self.parameters.display * (1 + self.parameters.variance * (2 * view.chance - 1))
        return min(self.parent.quantity, view.filled + self.share(size))

    def price(self, view: View) -> Decimal | None:
        return self.parent.limit_price or (view.bid if self.parent.side == "buy" else view.ask)

    def is_over(self, view: View) -> bool:
        """Never sent at the market: when the time is up, it ends with what is done."""
        del view
        return False

    def gives_up(self, view: View) -> bool:
        return super().is_over(view)
