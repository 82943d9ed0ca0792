"""Lots for tax: first in, first out, beside the average price. Rule: what is sold first is what was bought first.

Each fill opens a lot or closes the oldest ones; a short is a lot that was sold first. Fees belong to the lot: those of
its opening raise its cost, those of its closing lower the proceeds. Over a round trip the gains of the lots are exactly
the position's realised profit less its fees, only divided otherwise among the sales.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from patriot.domain.instrument import Instrument
from patriot.domain.money import exact, rounded
from patriot.domain.statistics.trips import Fill, fee_of, size_of
from schemas.types import Side


@dataclass(frozen=True, slots=True)
class Lot:
    """Still open. `cost` is what it took to open it, fees included, in the asset that the instrument earns."""

    instrument: str
    side: Side
    quantity: Decimal
    price: Decimal
    cost: Decimal
    opened_at: datetime


@dataclass(frozen=True, slots=True)
class Disposal:
    """A lot, or a part of one, that was closed."""

    instrument: str
    side: Side
    quantity: Decimal
    cost: Decimal
    proceeds: Decimal
    gain: Decimal
    opened_at: datetime
    closed_at: datetime


@exact
def first_in_first_out(fills: Iterable[Fill], instrument: Instrument) -> tuple[list[Lot], list[Disposal]]:
    """Fold the fills of one account in one instrument, oldest first: the open lots, and all disposals."""
    lots, disposals = deque[Lot](), list[Disposal]()
    for fill in fills:
        left = size = size_of(fill, instrument)
        fee = fee_of(fill, instrument)
        while left and lots and lots[0].side != fill.side:
            closed = min(left, lots[0].quantity)
            lot, lots[0] = _split(lots[0], closed)
            if not lots[0].quantity:
                lots.popleft()
            value = rounded(instrument.notional(closed, fill.price))
            disposals.append(_disposal(lot, value, rounded(fee * closed / size), fill.time, instrument))
            left -= closed
        if left:
            value = rounded(instrument.notional(left, fill.price))
            cost = _with_fee(value, rounded(fee * left / size), fill.side, instrument)
            lots.append(Lot(instrument.id, fill.side, left, fill.price, cost, fill.time))
    return list(lots), disposals


def _split(lot: Lot, quantity: Decimal) -> tuple[Lot, Lot]:
    """The part that is closed, and the rest; their costs add up to the lot's."""
    cost = lot.cost if quantity == lot.quantity else rounded(lot.cost * quantity / lot.quantity)
    return replace(lot, quantity=quantity, cost=cost), replace(
        lot, quantity=lot.quantity - quantity, cost=lot.cost - cost
    )


def _disposal(lot: Lot, value: Decimal, fee: Decimal, when: datetime, instrument: Instrument) -> Disposal:
    other: Side = "sell" if lot.side == "buy" else "buy"
    proceeds = _with_fee(value, fee, other, instrument)
    rises = (lot.side == "buy") == (instrument.kind != "inverse")
    gain = proceeds - lot.cost if rises else lot.cost - proceeds
    return Disposal(lot.instrument, lot.side, lot.quantity, lot.cost, proceeds, gain, lot.opened_at, when)


def _with_fee(value: Decimal, fee: Decimal, side: Side, instrument: Instrument) -> Decimal:
    """What is paid for a purchase and what is left of a sale; of an inverse contract the other way round."""
    return value + fee if (side == "buy") == (instrument.kind != "inverse") else value - fee
