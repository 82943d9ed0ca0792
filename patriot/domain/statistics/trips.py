"""Round trips: from flat to flat. Rule: a fill that flips a position closes one trip and opens the next, pro rata.

Profit is what came out less what went in, less every fee of the trip. A spot fee that was kept in the base asset is
worth what the fill's price says; as in `position.py` it makes the position smaller.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO, exact, rounded
from schemas.types import Side


class Fill(NamedTuple):
    """One execution as the table `trades` has it. `label` names who traded, for example a strategy."""

    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    time: datetime
    label: str = ""


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """One closed trip. `quantity` is the largest that was held, `cost` its value at the entry; both are positive.

    Money is in the asset that the instrument earns: quote for spot, else the settlement asset.
    """

    instrument: str
    side: Side
    quantity: Decimal
    cost: Decimal
    entry_price: Decimal
    exit_price: Decimal
    gross: Decimal
    fees: Decimal
    opened_at: datetime
    closed_at: datetime
    fills: int
    label: str = ""
    adverse: Decimal = ZERO
    favourable: Decimal = ZERO

    @property
    def profit(self) -> Decimal:
        return self.gross - self.fees


@dataclass(slots=True)
class OpenTrip:
    """A trip under way: how much went in and came out so far, and what that was worth."""

    instrument: Instrument
    side: Side
    opened_at: datetime
    label: str
    entered: Decimal = ZERO
    left: Decimal = ZERO
    paid: Decimal = ZERO
    received: Decimal = ZERO
    largest: Decimal = ZERO
    fees: Decimal = ZERO
    fills: int = 0

    @property
    def held(self) -> Decimal:
        return self.entered - self.left

    def enter(self, quantity: Decimal, price: Decimal) -> None:
        self.entered += quantity
        self.paid += self.instrument.notional(quantity, price)
        self.largest = max(self.largest, self.held)

    def leave(self, quantity: Decimal, price: Decimal) -> None:
        self.left += quantity
        self.received += self.instrument.notional(quantity, price)

    def closed(self, when: datetime) -> RoundTrip:
        entry = _average(self.entered, self.paid, self.instrument)
        return RoundTrip(
            instrument=self.instrument.id,
            side=self.side,
            quantity=self.largest,
            cost=rounded(self.instrument.notional(self.largest, entry)),
            entry_price=entry,
            exit_price=_average(self.left, self.received, self.instrument),
            gross=rounded(_gain(self.side, self.paid, self.received, self.instrument)),
            fees=rounded(self.fees),
            opened_at=self.opened_at,
            closed_at=when,
            fills=self.fills,
            label=self.label,
        )


@exact
def round_trips(fills: Iterable[Fill], instrument: Instrument) -> tuple[list[RoundTrip], OpenTrip | None]:
    """Fold the fills of one account in one instrument, oldest first: the closed trips, and the one still open."""
    closed = list[RoundTrip]()
    trip: OpenTrip | None = None
    for fill in fills:
        size, fee = size_of(fill, instrument), fee_of(fill, instrument)
        rest = size
        if trip is not None and trip.side != fill.side:
            out = min(size, trip.held)
            rest = size - out
            trip.leave(out, fill.price)
            trip.fees += fee * out / size
            trip.fills += 1
            if not trip.held:
                closed.append(trip.closed(fill.time))
                trip = None
        if rest:
            trip = trip or OpenTrip(instrument, fill.side, fill.time, fill.label)
            trip.enter(rest, fill.price)
            trip.fees += fee * rest / size
            trip.fills += 1
    return closed, trip


@exact
def with_excursion(trip: RoundTrip, lowest: Decimal, highest: Decimal, instrument: Instrument) -> RoundTrip:
    """The trip with the furthest that its open profit went, given the extremes of the price while it was open.

    Sweeney, Campaign Trading (1996): maximum adverse and favourable excursion.
    """
    extremes = min(lowest, trip.entry_price, trip.exit_price), max(highest, trip.entry_price, trip.exit_price)
    values = [instrument.notional(trip.quantity, price) for price in extremes]
    gains = [rounded(_gain(trip.side, trip.cost, value, instrument)) for value in values]
    return replace(trip, adverse=min(*gains, ZERO), favourable=max(*gains, ZERO))


def fee_of(fill: Fill, instrument: Instrument) -> Decimal:
    """In the asset that the instrument earns; a fee in a third asset is left to the ledger."""
    earned = instrument.settle if instrument.is_derivative else instrument.quote
    if fill.fee_asset == earned:
        return fill.fee
    return fill.fee * fill.price if fill.fee_asset == instrument.base else ZERO


def size_of(fill: Fill, instrument: Instrument) -> Decimal:
    kept_in_base = fill.fee if instrument.kind == "spot" and fill.fee_asset == instrument.base else ZERO
    return fill.quantity - kept_in_base if fill.side == "buy" else fill.quantity + kept_in_base


def _average(quantity: Decimal, value: Decimal, instrument: Instrument) -> Decimal:
    """The price; harmonic for inverse contracts, whose value is quantity / price."""
    contracts = quantity * instrument.contract_size
    return rounded(contracts / value if instrument.kind == "inverse" else value / contracts)


def _gain(side: Side, paid: Decimal, received: Decimal, instrument: Instrument) -> Decimal:
    rises = (side == "buy") == (instrument.kind != "inverse")
    return received - paid if rises else paid - received
