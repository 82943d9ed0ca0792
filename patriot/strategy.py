"""What a strategy is: one class in one file, pure, told of bars, answering with orders. The same file runs in replay,
paper and live.

    class Momentum(Strategy):
        \"\"\"Buys what rises.\"\"\"
        class Parameters(Strategy.Parameters):
            length: int = 20
        def on_bar(self, bar: StrategyBar) -> Iterable[Intent]: ...

Put it into `feeds/strategies/catalog/<name>.py`; it is found there. A strategy has no clock, no I/O and no randomness:
given the same bars it gives the same intents, which is what makes a replay worth something.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, round_down
from patriot.protocols.market import Bar
from schemas.types import OrderType, Side, TimeInForce


@dataclass(frozen=True, slots=True)
class StrategyBar:
    """A closed bar in decimals. `open_ms` is UTC milliseconds."""

    instrument: str
    seconds: int
    open_ms: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal

    @classmethod
    def of(cls, bar: Bar, instrument: Instrument) -> "StrategyBar":
        price = instrument.price_of
        return cls(
            bar.instrument,
            bar.seconds,
            bar.open_ms,
            price(bar.open),
            price(bar.high),
            price(bar.low),
            price(bar.close),
            instrument.quantity_of(bar.volume),
        )


@dataclass(frozen=True, slots=True)
class Intent:
    """An order that the strategy wants. It passes the same rules as any other order."""

    instrument: str
    side: Side
    quantity: Decimal
    order_type: OrderType = "market"
    price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    reduce_only: bool = False


class Strategy:
    """Base of all strategies. One instance trades one instrument of one account."""

    NAME: ClassVar[str] = ""

    class Parameters(BaseModel):
        """What a user may set. `bar_seconds` is the length of the bars that `on_bar` gets."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        bar_seconds: int = Field(60, ge=1, le=86_400)
        notional: Decimal = Field(Decimal(100), gt=0, description="size of a position in the quote asset")

    def __init__(self, instrument: Instrument, parameters: Parameters) -> None:
        self.instrument = instrument
        self.parameters = parameters
        self.position = ZERO

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        """Called for each closed bar, in order."""
        raise NotImplementedError

    def on_position(self, quantity: Decimal) -> None:
        """Called when fills have changed the position (signed)."""
        self.position = quantity

    def change_to(self, wanted: Decimal) -> list[Intent]:
        """The market order that brings the position to `wanted`, in whole lots; none for a remainder too small."""
        change = wanted - self.position
        quantity = round_down(abs(change), self.instrument.lot_size)
        if quantity < max(self.instrument.minimum_quantity, self.instrument.lot_size):
            return []
        return [Intent(self.instrument.id, "buy" if change > 0 else "sell", quantity)]

    def size(self, price: Decimal) -> Decimal:
        """The quantity that `notional` buys at `price`, in whole lots, never below the venue's minimum."""
        lot, minimum = self.instrument.lot_size, self.instrument.minimum_quantity
        quantity = round_down(self.parameters.notional / price / self.instrument.contract_size, lot)
        return max(quantity, minimum)
