"""What a venue does itself, and what the platform does for it. Rule: native where there is; the order says which.

| emulated | the platform |
| --- | --- |
| trigger | watches the stop itself and sends what it becomes: a market or a limit order |
| expiry | sends the order good till cancelled, and cancels it when its time has come |
| iceberg | sends one slice after the other, each an order of its own in an order list |

Conditional members of an order list are always held by the platform: so one cancels the other exactly once, in one
commit, and the size of an exit follows the fills of its entry.

Bybit trails too, but its trailing stop is a setting of a whole position (/v5/position/trading-stop), not an order: it
has no quantity, no name of ours to ask for and no end of its own to prove. So the platform keeps those of Bybit.
"""

from collections.abc import Mapping
from decimal import Decimal
from typing import Final, Literal

from patriot.domain.instrument import Instrument
from patriot.domain.order import Order
from patriot.domain.venue import VenueOrder
from schemas.commands import TRIGGERED, CreateOrder
from schemas.types import Emulation, ListLink, OrderType, Trailing

Native = Literal["stop", "stop_market", "trailing", "expiry", "iceberg"]
"""`stop` = conditional limit orders, `stop_market` = conditional market orders; the venue's kind of the others."""

NATIVE: Final[Mapping[tuple[str, str], frozenset[Native]]] = {
    ("BINANCE", "spot"): frozenset({"stop", "stop_market", "iceberg"}),
    ("BINANCE", "linear"): frozenset({"stop", "stop_market", "trailing", "expiry"}),
    ("BYBIT", "spot"): frozenset({"stop", "stop_market"}),
    ("BYBIT", "linear"): frozenset({"stop", "stop_market"}),
    ("COINBASE", "spot"): frozenset({"stop", "expiry"}),
}
"""What is used of each (venue, kind of instrument). A venue that is not here has limit and market orders only."""

BECOMES: Final[Mapping[OrderType, OrderType]] = {
    "stop": "market",
    "take_profit": "market",
    "trailing_stop": "market",
    "stop_limit": "limit",
    "take_profit_limit": "limit",
}
"""What a conditional order is once it has been triggered."""

TRAILING_RANGE: Final[Mapping[tuple[str, str], tuple[Decimal, Decimal, Decimal]]] = {
    ("BINANCE", "linear"): (Decimal("0.1"), Decimal(10), Decimal("0.1")),
}
"""The percentages that a venue's own trailing stop takes: lowest, highest, step."""

ICEBERG_PARTS_MAX: Final = 10
"""Into how many parts a venue's own iceberg may fall: the least that any instrument there has."""


def emulations(command: CreateOrder, instrument: Instrument, link: ListLink | None = None) -> tuple[Emulation, ...]:
    """What the platform has to do itself for this order."""
    native = NATIVE.get((instrument.venue, instrument.kind), frozenset())
    found: list[Emulation] = []
    conditional = command.order_type in TRIGGERED or command.order_type == "trailing_stop"
    if conditional and (link is not None or not _triggers(command, instrument, native)):
        found.append("trigger")
    if command.time_in_force == "GTD" and not (native >= {"expiry"} and _rests(command, found)):
        found.append("expiry")
    hides = "iceberg" in native and _hides(command, instrument)
    if (command.display_quantity is not None and not hides) or (link and link.kind == "iceberg"):
        found.append("iceberg")
    return tuple(found)


def _triggers(command: CreateOrder, instrument: Instrument, native: frozenset[Native]) -> bool:
    if command.order_type == "trailing_stop":
        return "trailing" in native and _follows(command, instrument)
    return ("stop" if command.order_type.endswith("_limit") else "stop_market") in native


def _follows(command: CreateOrder, instrument: Instrument) -> bool:
    """Whether the venue's own trailing stop can be told to do what is asked."""
    trailing, taken = command.trailing, TRAILING_RANGE.get((instrument.venue, instrument.kind))
    if trailing is None or taken is None or trailing.rule != "percent" or command.stop_price is not None:
        return False
    lowest, highest, step = taken
    if trailing.activation_price is not None and trailing.activation_price % instrument.tick_size:
        return False
    return trailing.distance is not None and lowest <= trailing.distance <= highest and not trailing.distance % step


def _hides(command: CreateOrder, instrument: Instrument) -> bool:
    """Whether the venue's own iceberg can be told to do what is asked."""
    shown = command.display_quantity
    if shown is None or command.post_only or shown < instrument.minimum_quantity or shown % instrument.lot_size:
        return False
    return command.quantity <= shown * ICEBERG_PARTS_MAX


def _rests(command: CreateOrder, emulated: list[Emulation]) -> bool:
    """Venues that know expiries know them of limit orders that are sent at once."""
    return command.order_type == "limit" and not emulated and not command.post_only


def as_sent(order: Order) -> VenueOrder:
    """The order in the form in which the venue gets it."""
    fired = "trigger" in order.emulated
    order_type = BECOMES[order.order_type] if fired else order.order_type
    open_ended = "expiry" in order.emulated or order_type == "market"
    return VenueOrder(
        account_id=order.account_id,
        instrument=order.instrument,
        client_order_id=order.client_order_id,
        side=order.side,
        order_type=order_type,
        quantity=order.quantity,
        price=order.price,
        stop_price=None if fired else order.stop_price,
        time_in_force="GTC" if open_ended and order.time_in_force == "GTD" else order.time_in_force,
        expire_at=None if open_ended else order.expire_at,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        trailing=_trailing(order, fired=fired),
        display_quantity=None if "iceberg" in order.emulated else order.display_quantity,
    )


def _trailing(order: Order, *, fired: bool) -> Trailing | None:
    return None if fired else order.trailing
