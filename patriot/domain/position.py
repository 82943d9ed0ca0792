"""One account's position in one instrument. Rule: what was paid is kept exactly; averages are only shown.

`quantity` is signed: long > 0, short < 0. `entry_value` is what the open quantity cost, with the same sign: in the
quote asset, for inverse contracts in the base asset. A fill opens, increases, reduces, closes or flips:

* opening adds the fill's value to the entry value;
* reducing takes out the entry value in proportion; the difference to the fill's value is the realised profit.
  A close takes out all that is left, so over a round trip the profit is exactly proceeds minus cost;
* a flip is a close and an opening at the same price.

The only division that must round is the proportional part (18 decimals, half to even); the rest stays in the entry
value. The average price is entry value / (quantity x contract size), or its inverse for inverse contracts.

Profit per kind, for a long: spot and linear exit - entry, inverse entry - exit (fewer coins are worth the same);
for a short the opposite. A spot position is the net quantity traded: it goes below zero where the account sells what
it was funded with. A spot fee kept in the base asset lowers it, so that what was bought can be sold completely.

Average cost depends on the order of the fills, and they may be told in another than they were made in. A late one takes
its place among the recent fills (by the venue's time, then trade id, the maker first where one trades with himself):
its event carries what it changes of the profit of those after it, so that the books become those of the venue.

A trade that its venue takes back leaves its place, and those after it are booked anew, as if it had never been. Its
event is a trade the other way at the same price; one that is not among the recent fills is closed out by that.

Initial margin = |entry value| / leverage for derivatives, nothing for spot. A position has the leverage of the order
that opened it until it is flat again: so what opens binds, and what closes gives back, by one figure.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import ROUND_UP, Decimal
from itertools import dropwhile
from types import MappingProxyType
from typing import NamedTuple
from uuid import UUID, uuid5

from msgspec import Struct, field
from msgspec.structs import replace

from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.instrument import Instrument
from patriot.domain.ledger import transfer
from patriot.domain.money import AMOUNT_MAX, ZERO, exact, rounded
from schemas.events import Filled, Hold, PositionUpdated, Posting
from schemas.types import Liquidity, Side

_POSITIONS = UUID("5d0c4d5c-6f6e-5a0e-9a0b-2f6a1c1f7b10")


def position_id(account_id: UUID, instrument: str) -> UUID:
    """The id of the position's stream."""
    return uuid5(_POSITIONS, f"{account_id}/{instrument}")


RECENT = 64
"""So many fills are kept to place a late one; what is older than all of them is booked as it comes."""

_UNTOLD = datetime.min.replace(tzinfo=UTC)


class Standing(NamedTuple):
    """How a position stands between two fills. `realised_pnl` is the total."""

    quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    realised_pnl: Decimal = ZERO


class Booked(NamedTuple):
    """A fill in its place: `signed` is its change of the quantity, `after` unknown where a late fill came before it."""

    time: datetime
    trade_id: str
    liquidity: Liquidity
    signed: Decimal
    price: Decimal
    after: Standing | None


class Position(Struct, frozen=True):
    """The state of one position after `version` events. `margin` is what it binds in the settlement asset."""

    account_id: UUID
    instrument: str
    quantity: Decimal = ZERO
    entry_value: Decimal = ZERO
    average_price: Decimal = ZERO
    realised_pnl: Decimal = ZERO
    fees: Mapping[str, Decimal] = field(default_factory=lambda: MappingProxyType({}))
    margin: Decimal = ZERO
    leverage: int = 1
    version: int = 0
    updated_at: datetime | None = None
    recent: tuple[Booked, ...] = ()

    @property
    def standing(self) -> Standing:
        return Standing(self.quantity, self.entry_value, self.realised_pnl)


@exact
def fold(position: Position | None, event: PositionUpdated, version: int, occurred_at: datetime) -> Position:
    """Return the position after `event`, the `version`th of its stream. Raises InvalidTransition out of order."""
    position = position or Position(event.account_id, event.instrument)
    if version != position.version + 1:
        raise InvalidTransition(f"position {event.instrument}: event {version} cannot follow {position.version}")
    return replace(
        position,
        quantity=event.quantity,
        entry_value=event.entry_value,
        average_price=event.average_price,
        realised_pnl=event.total_realised_pnl,
        fees=MappingProxyType({**position.fees, event.fee_asset: position.fees.get(event.fee_asset, ZERO) + event.fee}),
        margin=position.margin + sum((hold.margin for hold in event.holds), ZERO),
        leverage=event.leverage,
        version=version,
        updated_at=occurred_at,
        recent=_unbooked(position, event) if event.busts else _booked(position, event),
    )


@exact
def apply_fill(
    position: Position | None, fill: Filled, *, side: Side, instrument: Instrument, leverage: int = 1
) -> PositionUpdated:
    """The position's event for one fill, with the ledger postings and the change of margin.

    `leverage` is that of the fill's order; where a position is open, its own stays.

    Raises:
        InvalidValue: the fill is worth more than an amount can be.

    """
    position = position or Position(fill.account_id, instrument.id)
    step = _book(position, fill, _signed(fill, side) - _kept_in_base(fill, instrument), instrument)
    return _update(position, fill, step, side=side, instrument=instrument, leverage=leverage)


@exact
def apply_bust(
    position: Position, fill: Filled, *, side: Side, instrument: Instrument, leverage: int = 1
) -> PositionUpdated:
    """The position's event for a fill that the venue has taken back: what `apply_fill` booked, the other way round."""
    step = _unbook(position, fill, _signed(fill, side) - _kept_in_base(fill, instrument), instrument)
    back = {"trade_id": f"{fill.trade_id} busted", "fee": -fill.fee, "venue_time": None}
    other: Side = "sell" if side == "buy" else "buy"
    update = _update(position, fill.model_copy(update=back), step, side=other, instrument=instrument, leverage=leverage)
    return update.model_copy(update={"busts": fill.trade_id})


def _update(
    position: Position, fill: Filled, step: "_Step", *, side: Side, instrument: Instrument, leverage: int
) -> PositionUpdated:
    leverage = position.leverage if position.quantity else leverage
    return PositionUpdated(
        account_id=fill.account_id,
        user_id=fill.user_id,
        instrument=instrument.id,
        order_id=fill.order_id,
        trade_id=fill.trade_id,
        side=side,
        price=fill.price,
        fill_quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        quantity=step.quantity,
        entry_value=step.entry_value,
        average_price=_average(step.quantity, step.entry_value, instrument),
        realised_pnl=step.realised,
        total_realised_pnl=position.realised_pnl + step.realised,
        liquidity=fill.liquidity,
        venue_time=fill.venue_time,
        postings=_postings(fill, _signed(fill, side), _kept_in_base(fill, instrument), step, instrument),
        leverage=leverage,
        holds=_margin(position, step, instrument, leverage),
    )


def _signed(fill: Filled, side: Side) -> Decimal:
    return fill.quantity if side == "buy" else -fill.quantity


def _kept_in_base(fill: Filled, instrument: Instrument) -> Decimal:
    return fill.fee if instrument.kind == "spot" and fill.fee_asset == instrument.base else ZERO


@exact
def unrealised(position: Position, instrument: Instrument, mark_price: Decimal) -> Decimal:
    """Profit of the open quantity at `mark_price`, in the quote asset (base for inverse); fees are not in it."""
    value = _value(abs(position.quantity), mark_price, instrument)
    return _profit(position.quantity, abs(position.entry_value), value, instrument)


class _Step(Struct, frozen=True):
    """The position after a fill, what the fill was worth (signed as the fill), and the profit it made."""

    quantity: Decimal
    entry_value: Decimal
    value: Decimal
    realised: Decimal


def _book(position: Position, fill: Filled, signed: Decimal, instrument: Instrument) -> _Step:
    """Let the fill take its place: those after it are booked anew."""
    place = _place(position, fill)
    if place == len(position.recent):
        return _step(position.standing, signed, fill.price, instrument)
    standing, first = _standing_before(position, place)
    earlier = [(one.signed, one.price) for one in position.recent[first:place]]
    later = [(one.signed, one.price) for one in position.recent[place:]]
    standing = _replayed(standing, [*earlier, (signed, fill.price), *later], instrument)
    value = _value(abs(signed), fill.price, instrument).copy_sign(signed)
    return _Step(standing.quantity, standing.entry_value, value, standing.realised_pnl - position.realised_pnl)


def _unbook(position: Position, fill: Filled, signed: Decimal, instrument: Instrument) -> _Step:
    """Take a fill out of its place: those after it are booked anew."""
    place = _place_of(position, fill.trade_id, signed)
    standing, first = _standing_before(position, place or 0)
    if place is None or (not first and position.version != len(position.recent)):
        return _step(position.standing, -signed, fill.price, instrument)
    rest = (*position.recent[first:place], *position.recent[place + 1 :])
    standing = _replayed(standing, [(one.signed, one.price) for one in rest], instrument)
    value = _value(abs(signed), fill.price, instrument).copy_sign(-signed)
    return _Step(standing.quantity, standing.entry_value, value, standing.realised_pnl - position.realised_pnl)


def _replayed(standing: Standing, fills: Iterable[tuple[Decimal, Decimal]], instrument: Instrument) -> Standing:
    for signed, price in fills:
        step = _step(standing, signed, price, instrument)
        standing = Standing(step.quantity, step.entry_value, standing.realised_pnl + step.realised)
    return standing


def _place_of(position: Position, trade_id: str, signed: Decimal) -> int | None:
    """Where a fill stands among the recent ones; who trades with himself has two of one id."""
    places = enumerate(position.recent)
    return next((place for place, one in places if (one.trade_id, one.signed) == (trade_id, signed)), None)


def _place(position: Position, fill: Filled | PositionUpdated) -> int:
    """Where a fill belongs among the recent ones: at their end, unless it is older and all before it are known."""
    end = place = len(position.recent)
    if fill.venue_time is None:
        return end
    order = _order(fill.venue_time, fill.trade_id, fill.liquidity)
    while place and _order(*position.recent[place - 1][:3]) > order:
        place -= 1
    return place if place or position.version == end else end


def _order(time: datetime, trade_id: str, liquidity: Liquidity) -> tuple[datetime, int, bool]:
    """Venues number the trades of one instrument in their order, or not at all."""
    return time, int(trade_id) if trade_id.isdecimal() else 0, liquidity == "taker"


def _standing_before(position: Position, place: int) -> tuple[Standing, int]:
    """The last standing before `place` that is still known, and the first fill after it."""
    for first in range(place, 0, -1):
        after = position.recent[first - 1].after
        if after is not None:
            return after, first
    return Standing(), 0


def _booked(position: Position, event: PositionUpdated) -> tuple[Booked, ...]:
    place, last = _place(position, event), position.recent[-1:]
    time = event.venue_time or (last[0].time if last else _UNTOLD)
    signed = event.quantity - position.quantity
    fill = Booked(time, event.trade_id, event.liquidity, signed, event.price, None)
    later = [one._replace(after=None) for one in position.recent[place:]]
    fills = (*position.recent[:place], fill, *later)
    standing = Standing(event.quantity, event.entry_value, event.total_realised_pnl)
    return _newest((*fills[:-1], fills[-1]._replace(after=standing)))


def _unbooked(position: Position, event: PositionUpdated) -> tuple[Booked, ...]:
    place = _place_of(position, event.busts, position.quantity - event.quantity)
    if place is None:
        return _booked(position, event)
    rest = (*position.recent[:place], *(one._replace(after=None) for one in position.recent[place + 1 :]))
    standing = Standing(event.quantity, event.entry_value, event.total_realised_pnl)
    return _known((*rest[:-1], rest[-1]._replace(after=standing))) if rest else ()


def _newest(fills: tuple[Booked, ...]) -> tuple[Booked, ...]:
    """Where some are left out, the first that is kept must know its standing."""
    if len(fills) <= RECENT:
        return fills
    return _known(fills[-RECENT:])


def _known(fills: tuple[Booked, ...]) -> tuple[Booked, ...]:
    return tuple(dropwhile(lambda one: one.after is None, fills))


def _step(before: Standing, signed: Decimal, price: Decimal, instrument: Instrument) -> _Step:
    value = _value(abs(signed), price, instrument).copy_sign(signed)
    quantity = before.quantity + signed
    if before.quantity * signed >= 0:
        return _Step(quantity, before.entry_value + value, value, ZERO)
    closed = min(abs(before.quantity), abs(signed))
    cost = rounded(abs(before.entry_value) * closed / abs(before.quantity))
    proceeds = rounded(abs(value) * closed / abs(signed))
    realised = _profit(before.quantity, cost, proceeds, instrument)
    entry_value = before.entry_value - cost.copy_sign(before.quantity) + value + proceeds.copy_sign(before.quantity)
    return _Step(quantity, entry_value, value, realised)


def _value(quantity: Decimal, price: Decimal, instrument: Instrument) -> Decimal:
    value = rounded(instrument.notional(quantity, price))
    if value > AMOUNT_MAX:
        raise InvalidValue("quantity", f"x price {price} is larger than 10^18")
    return value


def _profit(quantity: Decimal, cost: Decimal, proceeds: Decimal, instrument: Instrument) -> Decimal:
    gain = cost - proceeds if instrument.kind == "inverse" else proceeds - cost
    return gain if quantity > 0 else -gain


def _average(quantity: Decimal, entry_value: Decimal, instrument: Instrument) -> Decimal:
    if not quantity or not entry_value:
        return ZERO
    contracts = quantity * instrument.contract_size
    return rounded(contracts / entry_value if instrument.kind == "inverse" else entry_value / contracts)


def _margin(position: Position, step: _Step, instrument: Instrument, leverage: int) -> tuple[Hold, ...]:
    needed = rounded(abs(step.entry_value) / leverage, ROUND_UP) if instrument.is_derivative else ZERO
    change = needed - position.margin
    return (Hold(asset=instrument.settle, margin=change),) if change else ()


def _postings(
    fill: Filled, signed: Decimal, kept_in_base: Decimal, step: _Step, instrument: Instrument
) -> tuple[Posting, ...]:
    """See the table of `ledger.py`."""
    if instrument.is_derivative:
        profit = transfer(instrument.settle, step.realised, "realised", "cash")
        return (*profit, *transfer(fill.fee_asset, fill.fee, "cash", "fees"))
    paid = _value(fill.quantity, fill.price, instrument).copy_sign(signed)
    fee = () if kept_in_base else transfer(fill.fee_asset, fill.fee, "cash", "fees")
    return (
        *transfer(instrument.base, signed - kept_in_base, "position", "cash"),
        *transfer(instrument.quote, step.value, "cash", "position"),
        *transfer(instrument.quote, paid - step.value, "cash", "fees"),
        *transfer(instrument.quote, step.realised, "realised", "position"),
        *fee,
    )
