"""An instrument: what is traded, where, and in which steps. Decimal outside, integers inside feeds and venue.

The integers are the decimal scaled by a power of ten that is fixed per version of the definition:
price 61234.50 with `price_decimals=2` is 6123450. A value with more decimals than the scale is refused.
"""

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from patriot.domain.errors import InvalidValue
from patriot.domain.money import EXACT, ZERO, exact

Kind = Literal["spot", "linear", "inverse"]


@dataclass(frozen=True, slots=True)
class Instrument:
    """One version of an instrument's definition.

    `id` is venue + ccxt symbol ("BINANCE:BTC/USDT:USDT"), `native_symbol` the venue's own name ("BTCUSDT").
    `tick_size` and `lot_size` are price and quantity steps; `minimum_notional` is in the quote asset.
    Fees are fractions of the notional. A quantity limit of zero means none.
    """

    id: str
    native_symbol: str
    base: str
    quote: str
    settle: str
    kind: Kind
    tick_size: Decimal
    lot_size: Decimal
    price_decimals: int
    quantity_decimals: int
    minimum_quantity: Decimal = ZERO
    maximum_quantity: Decimal = ZERO
    minimum_notional: Decimal = ZERO
    contract_size: Decimal = Decimal(1)
    maker_fee: Decimal = ZERO
    taker_fee: Decimal = ZERO
    maximum_leverage: int = 1
    maintenance_margin_rate: Decimal = ZERO
    trading: bool = True
    version: int = 1

    @property
    def venue(self) -> str:
        return self.id.partition(":")[0]

    @property
    def symbol(self) -> str:
        """The ccxt symbol, "BTC/USDT:USDT"."""
        return self.id.partition(":")[2]

    @property
    def is_derivative(self) -> bool:
        return self.kind != "spot"

    def price_units(self, price: Decimal) -> int:
        """Price -> integer. Raises InvalidValue where the scale cannot hold it."""
        return _units(price, self.price_decimals, "price")

    def quantity_units(self, quantity: Decimal) -> int:
        """Quantity -> integer. Raises InvalidValue where the scale cannot hold it."""
        return _units(quantity, self.quantity_decimals, "quantity")

    def price_of(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.price_decimals, context=EXACT)

    def quantity_of(self, units: int) -> Decimal:
        return Decimal(units).scaleb(-self.quantity_decimals, context=EXACT)

    @exact
    def notional(self, quantity: Decimal, price: Decimal) -> Decimal:
        """Value in the quote asset (in the base asset for inverse contracts)."""
        if self.kind == "inverse":
            return quantity * self.contract_size / price
        return quantity * self.contract_size * price


def decimals_of(step: Decimal) -> int:
    """How many decimals a step needs: 0.010 -> 2, 1 -> 0, 10 -> 0."""
    exponent = step.normalize().as_tuple().exponent
    assert isinstance(exponent, int), "a step is finite"
    return max(0, -exponent)


def _units(number: Decimal, decimals: int, field: str) -> int:
    scaled = number.scaleb(decimals, context=EXACT)
    units = int(scaled)
    if units != scaled:
        raise InvalidValue(field, f"has more than {decimals} decimals")
    return units
