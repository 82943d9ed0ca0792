"""Positions of derivatives against the venue's. Rule: what stays different is made equal by a fill that says why.

The fill's id follows from the position's version and the venue's quantity: the same difference is booked once.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any
from uuid import uuid5

from patriot.domain.instrument import Instrument
from patriot.domain.leverage import leverage_of
from patriot.domain.money import ZERO
from patriot.domain.position import Position, apply_fill, position_id
from patriot.domain.venue import VenuePositionState
from patriot.runtime.aggregates import POSITION
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from schemas.events import OrderFilled, PositionUpdated
from schemas.types import Side

Difference = tuple[Decimal, Decimal]


async def differences(
    account: Mapping[str, Any], told: list[VenuePositionState], context: RequestContext
) -> dict[str, Difference]:
    """Instrument -> (ours, the venue's), where they are not the same."""
    rows = await context.find("positions", {"account_id": account["id"]})
    ours = {row["instrument"]: row["quantity"] for row in rows if _is_derivative(row["instrument"])}
    theirs = {one.instrument: one.quantity for one in told}
    pairs = {name: (ours.get(name, ZERO), theirs.get(name, ZERO)) for name in sorted(ours.keys() | theirs.keys())}
    return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


async def adjust(account: Mapping[str, Any], at_venue: VenuePositionState, context: RequestContext) -> None:
    """Bring our position to the venue's, at the venue's entry price."""
    instrument = await context.instrument(at_venue.instrument)
    identifier = position_id(account["id"], instrument.id)
    chosen = (await context.account(account["id"]))["leverages"]
    leverage = leverage_of(chosen, instrument, context.runtime.settings.default_leverage) or 1

    async def propose() -> Proposal[None]:
        loaded = await context.load(POSITION, identifier)
        event = adjustment(loaded.state, at_venue, instrument, account, leverage=leverage)
        return Proposal([Change(loaded, [event] if event else [])], None)

    await context.decide(propose)


def adjustment(
    position: Position | None,
    at_venue: VenuePositionState,
    instrument: Instrument,
    account: Mapping[str, Any],
    *,
    leverage: int = 1,
) -> PositionUpdated | None:
    """The event that closes the difference; None where there is none."""
    ours, version = (position.quantity, position.version) if position else (ZERO, 0)
    change = at_venue.quantity - ours
    if not change:
        return None
    side: Side = "buy" if change > 0 else "sell"
    price = at_venue.entry_price or (position.average_price if position else ZERO)
    fill = OrderFilled(
        account_id=account["id"],
        user_id=account["user_id"],
        order_id=uuid5(position_id(account["id"], instrument.id), "reconciliation"),
        trade_id=f"reconciliation {version} {at_venue.quantity}",
        price=price,
        quantity=abs(change),
        fee=ZERO,
        fee_asset=instrument.settle,
        liquidity="taker",
        filled_quantity=abs(change),
        reason="the venue holds another quantity",
    )
    return apply_fill(position, fill, side=side, instrument=instrument, leverage=leverage)


def _is_derivative(instrument: str) -> bool:
    return instrument.count(":") > 1
