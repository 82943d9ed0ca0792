"""How a whole account stands: what the limits on leverage, loss and concentration look at.

Rule: money that comes in or goes out is no profit and no loss. All amounts are in one base currency.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal

from patriot.domain.money import ZERO, exact


@dataclass(frozen=True, slots=True)
class Standing:
    """`equity` is cash plus unrealised profit; `margin` what orders and positions bind of it.

    `exposure` is what the account holds of each asset but the base currency (signed: short < 0), `by_venue` all of it
    without signs; `day_equity` and `peak_equity` are the equity when the UTC day began and at its highest, adjusted for
    what came in or went out since.
    """

    equity: Decimal
    margin: Decimal = ZERO
    maintenance: Decimal = ZERO
    exposure: Mapping[str, Decimal] = field(default_factory=dict)
    by_venue: Mapping[str, Decimal] = field(default_factory=dict)
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
    def liquidation_distance(self) -> Decimal | None:
        """How far all prices may move against the account at once until it is liquidated, as a fraction; None: none."""
        return self.share_of_exposure(self.equity - self.maintenance) if self.maintenance else None

    @exact
    def distance_with(self, exposure: Decimal, maintenance: Decimal) -> Decimal:
        """The liquidation distance with so much more exposure and maintenance margin."""
        gross = self.gross_exposure + exposure
        return max(ZERO, (self.equity - self.maintenance - maintenance) / gross) if gross else Decimal(1)

    @exact
    def share_of_exposure(self, amount: Decimal) -> Decimal:
        return max(ZERO, amount / self.gross_exposure) if self.gross_exposure else ZERO

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


@dataclass(frozen=True, slots=True)
class Marks:
    """What is remembered of an account from one measurement to the next. `deposited` is all that came in, by asset."""

    day: date
    day_equity: Decimal
    peak_equity: Decimal
    deposited: Mapping[str, Decimal]


Worth = Callable[[str, Decimal], Decimal | None]
"""What an amount of an asset is worth now; None where nobody knows."""


@exact
def advanced(
    before: Marks | None, equity: Decimal, deposited: Mapping[str, Decimal], worth: Worth, now: datetime
) -> Marks:
    """The marks after a measurement: money that came in since lifts them, a new day and a new peak set them."""
    today = now.astimezone(UTC).date()
    if before is None:
        return Marks(today, equity, equity, deposited)
    changes = {
        name: deposited.get(name, ZERO) - before.deposited.get(name, ZERO) for name in {**before.deposited, **deposited}
    }
    values = [worth(name, change) for name, change in changes.items() if change]
    if None in values:
        return before  # until the price is known
    moved = sum((value for value in values if value is not None), ZERO)
    marks = replace(
        before, day_equity=before.day_equity + moved, peak_equity=before.peak_equity + moved, deposited=deposited
    )
    if today > before.day:
        marks = replace(marks, day=today, day_equity=equity)
    return replace(marks, peak_equity=max(marks.peak_equity, equity))
