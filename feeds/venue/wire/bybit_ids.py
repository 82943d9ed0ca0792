"""Ids on the wire. Rule: they look like Bybit's, and lead back to the venue's integers without a table.

Linear orders and executions are named by UUIDs, spot ones by 19 digits. An execution's id is the same for both sides.
"""

from uuid import UUID
from zlib import crc32

from feeds.venue.orders import Fill, Order
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Trade

_ORDERS = 0x0DE5_0000_0000_4000_8000_0000_0000_0000
_SPOT_ORDERS = 1_700_000_000_000_000_000
_SPOT_EXECUTIONS = 2_290_000_000_000_000_000
_ID_MAX = 1 << 48


def order_id(order: Order) -> str:
    return order_id_of(order.id, is_spot=not order.instrument.is_derivative)


def order_id_of(number: int, *, is_spot: bool) -> str:
    return str(_SPOT_ORDERS + number) if is_spot else str(UUID(int=_ORDERS + number))


def order_number(text: str) -> int:
    """Return the venue's id, -1 for text that names no order of ours."""
    try:
        number = int(text) - _SPOT_ORDERS if text.isdigit() else UUID(text).int - _ORDERS
    except ValueError:
        return -1
    return number if 0 < number < _ID_MAX else -1


def link_id(order: Order | Fill) -> str:
    """Return the client's own id; empty where it gave none and the venue made one."""
    number = order.id if isinstance(order, Order) else order.order_id
    made = f"{order.instrument.venue.lower()}-{number}"
    return "" if order.client_order_id == made else order.client_order_id


def execution_id(fill: Fill) -> str:
    return _execution_id(fill.instrument, fill.trade_id)


def trade_id(trade: Trade, instrument: Instrument) -> str:
    """Name a public trade; one that happened elsewhere keeps its own id."""
    text = trade.trade_id
    is_ours = text.isascii() and text.isdigit() and len(text) < 12
    return _execution_id(instrument, int(text)) if is_ours else text


def _execution_id(instrument: Instrument, number: int) -> str:
    venue_part = crc32(instrument.id.encode())
    if instrument.is_derivative:
        return str(UUID(int=(venue_part << 96) | 0x4000_8000_0000_0000_0000 | number))
    return str(_SPOT_EXECUTIONS + venue_part % 10_000 * 10**12 + number)
