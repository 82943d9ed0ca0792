"""How a whole account stands: what the limits on leverage, loss and concentration look at.

Rule: money that comes in or goes out is no profit and no loss. All amounts are in one base currency.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from patriot.domain.money import ZERO, exact


@dataclass(frozen=True, slots=True)
class Standing:
    """`equity` is cash plus unrealised profit; `margin` what orders and positions bind of it.

    `exposure` is what the account holds of each asset but the base currency (signed: short < 0); `day_equity` and
    `peak_equity` are the equity when the UTC day began and at its highest, adjusted for deposits since.
    """

    equity: Decimal
    margin: Decimal = ZERO
    maintenance: Decimal = ZERO
    exposure: Mapping[str, Decimal] = field(default_factory=dict)
    day_equity: Decimal = ZERO
    peak_equity: Decimal = ZERO

    @property
    def gross_exposure(self) -> Decimal:
        return sum((abs(value) for value in self.exposure.values()), ZERO)

    @property
    def daily_loss(self) -> Decimal:
        """Zero on a day with a profit."""
        return max(ZERO, self.day_equity - self.equity)

    @property
    @exact
    def drawdown(self) -> Decimal:
        """Fraction lost since the peak."""
        return max(ZERO, 1 - self.equity / self.peak_equity) if self.peak_equity > 0 else ZERO

    @property
    def leverage(self) -> Decimal:
        return self.share(self.gross_exposure)

    @property
    def margin_ratio(self) -> Decimal:
        """Maintenance margin over equity: at 1 the venue liquidates."""
        return self.share(self.maintenance)

    @property
    def concentration(self) -> Decimal:
        """The largest exposure to one asset, as a share of the equity."""
        return self.share(max((abs(value) for value in self.exposure.values()), default=ZERO))

    @exact
    def share(self, amount: Decimal) -> Decimal:
        """`amount` over the equity. Without equity anything is too much."""
        if not amount:
            return ZERO
        return amount / self.equity if self.equity > 0 else Decimal("Infinity")
