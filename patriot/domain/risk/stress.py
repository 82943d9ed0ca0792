"""What past crashes would do to a portfolio. Rule: the figures were measured on recorded candles and are dated.

Each scenario is the worst fall of BTC's price within its window, and the same rise for those who are short. An asset
without a figure of its own falls like BTC times its beta, 1 where none is known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from patriot.domain.money import ZERO, exact


@dataclass(frozen=True, slots=True)
class Scenario:
    """`fall` is the fraction of its price that BTC lost from the peak to the low that followed within `hours`."""

    name: str
    fall: Decimal
    hours: int
    since: date
    source: str


SCENARIOS = (
    Scenario("black thursday, an hour", Decimal("0.2485"), 1, date(2020, 3, 12), "Binance BTC/USDT, 15 minutes"),
    Scenario("black thursday, a day", Decimal("0.5132"), 24, date(2020, 3, 12), "Binance BTC/USDT, 15 minutes"),
    Scenario("end of the 2017 rally", Decimal("0.3246"), 24, date(2017, 12, 22), "Bitfinex BTC/USD, 1 minute"),
    Scenario("hash war", Decimal("0.1871"), 24, date(2018, 11, 19), "Bitfinex BTC/USD, 1 minute"),
    Scenario("bank run", Decimal("0.1038"), 24, date(2023, 3, 9), "Binance.US BTC/USDT, 1 minute"),
)


@exact
def loss(exposures: Mapping[str, Decimal], scenario: Scenario, betas: Mapping[str, Decimal] | None = None) -> Decimal:
    """What is lost of the exposures (by asset, short < 0); negative where it is a gain."""
    known = betas or {}
    return sum((value * scenario.fall * known.get(asset, Decimal(1)) for asset, value in exposures.items()), ZERO)


@exact
def worst_loss(exposures: Mapping[str, Decimal]) -> Decimal:
    """The largest loss over all scenarios, each as a fall and as a rise; zero where none loses."""
    losses = [loss(exposures, scenario) for scenario in SCENARIOS]
    return max([ZERO, *losses, *(-each for each in losses)])
