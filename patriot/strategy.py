"""What a strategy is: one class in one file, pure, told of bars, answering with orders. The same file runs in replay,
paper and live.

    class Momentum(Strategy):
        \"\"\"Buys what rises.\"\"\"
        NAME = "momentum"
        class Parameters(Strategy.Parameters):
            length: int = 20
        class State(Strategy.State):
            mean: Decimal = ZERO
        def on_bar(self, bar: StrategyBar) -> Iterable[Intent]: ...

Put it into `feeds/strategies/catalog/<name>.py`; it is found there. A strategy has no clock, no I/O and no randomness:
given the same bars it gives the same intents, which is what makes a replay worth something. What it remembers lies in
`state`: that is saved, and put back after a crash; bars that were missed meanwhile are shown again, without trading.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import ClassVar

import msgspec
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
    post_only: bool = False


class Strategy:
    """Base of all strategies. One instance trades for one account: one instrument, or several, also of other venues.

    `QUOTES`: its orders rest in the book and are replaced, instead of being waited for.
    """

    NAME: ClassVar[str] = ""
    QUOTES: ClassVar[bool] = False

    class Parameters(BaseModel):
        """What a user may set. `bar_seconds` is the length of the shortest bars that `on_bar` gets."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        bar_seconds: int = Field(60, ge=1, le=86_400)
        notional: Decimal = Field(Decimal(100), gt=0, description="size of a position in the quote asset")

    class State(msgspec.Struct):
        """What is remembered from bar to bar."""

    def __init__(self, instrument: Instrument, parameters: Parameters, others: Sequence[Instrument] = ()) -> None:
        self.instrument = instrument
        self.instruments = {one.id: one for one in (instrument, *others)}
        self.parameters = parameters
        self.positions = dict.fromkeys(self.instruments, ZERO)
        self.state = self.State()

    @property
    def position(self) -> Decimal:
        """The signed quantity of the first instrument."""
        return self.positions[self.instrument.id]

    @property
    def timeframes(self) -> Sequence[int]:
        """Lengths of the bars that `on_bar` gets, in seconds, each a multiple of the shortest."""
        return (self.parameters.bar_seconds,)

    @property
    def warm_up(self) -> int:
        """How many bars of each timeframe are shown before it may trade, where the store has them."""
        return 0

    def on_bar(self, bar: StrategyBar) -> Iterable[Intent]:
        """Called for each closed bar, in order; of bars that close together, the shortest comes first."""
        raise NotImplementedError

    def on_position(self, quantity: Decimal, instrument: str = "") -> None:
        """Called when fills have changed the position (signed), of the first instrument unless it is named."""
        self.positions[instrument or self.instrument.id] = quantity

    def snapshot(self) -> bytes:
        return msgspec.json.encode(self.state)

    def restore(self, saved: bytes) -> None:
        """Raises msgspec.DecodeError for the state of another version."""
        self.state = msgspec.json.decode(saved, type=self.State)

    def change_to(self, wanted: Decimal, instrument: str = "") -> list[Intent]:
        """The market order that brings the position to `wanted`, in whole lots; none for a remainder too small."""
        traded = self.instruments[instrument or self.instrument.id]
        change = wanted - self.positions[traded.id]
        quantity = round_down(abs(change), traded.lot_size)
        if quantity < max(traded.minimum_quantity, traded.lot_size):
            return []
        return [Intent(traded.id, "buy" if change > 0 else "sell", quantity)]

    def size(self, price: Decimal, instrument: str = "") -> Decimal:
        """The quantity that `notional` buys at `price`, in whole lots, never below the venue's minimum."""
        traded = self.instruments[instrument or self.instrument.id]
        quantity = round_down(self.parameters.notional / price / traded.contract_size, traded.lot_size)
        return max(quantity, traded.minimum_quantity)
