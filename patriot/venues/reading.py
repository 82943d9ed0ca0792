"""From ccxt's structures to the platform's words. Rule: exact or not at all; what cannot be read raises Unreadable.

The exchange objects parse numbers as text (`number: str`), so no figure passes through a float.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any, Final
from uuid import UUID

from pydantic import ValidationError

from patriot.domain.money import ZERO
from patriot.domain.venue import OrderRef, OrderState, VenueBalanceState, VenuePositionState, VenueStatus
from schemas.reports import Execution
from schemas.types import Liquidity, Side

Structure = Mapping[str, Any]

_STATUSES: Final[dict[str, VenueStatus]] = {
    "open": "open",
    "canceling": "open",
    "closed": "filled",
    "canceled": "cancelled",
    "cancelled": "cancelled",
    "expired": "expired",
    "rejected": "rejected",
}
_SIDES: Final[dict[str, Side]] = {"buy": "buy", "sell": "sell"}
_LIQUIDITY: Final[dict[str, Liquidity]] = {"maker": "maker", "taker": "taker"}


class Unreadable(Exception):
    """The venue's answer lacks something or makes no sense: it proves nothing."""


def number(value: object, field: str) -> Decimal:
    """Raises Unreadable for what is not an exact, finite number."""
    if value is None or isinstance(value, (float, bool)):
        raise Unreadable(f"{field} is {value!r}")
    try:
        found = Decimal(str(value))
    except InvalidOperation:
        raise Unreadable(f"{field} is {value!r}") from None
    if not found.is_finite():
        raise Unreadable(f"{field} is {value!r}")
    return found


def positive(value: object) -> Decimal | None:
    """A price, None where there is none (venues write zero)."""
    found = ZERO if value is None or value == "" else number(value, "price")
    return found or None


def moment(milliseconds: object) -> datetime | None:
    return None if milliseconds is None else datetime.fromtimestamp(int(str(milliseconds)) / 1000, UTC)


def instrument_of(venue: str, structure: Structure) -> str:
    return f"{venue}:{structure['symbol']}"


def status_of(structure: Structure, filled: Decimal, quantity: Decimal) -> VenueStatus:
    """Raises Unreadable for a status that nobody knows. `closed` short of the quantity is a cancelled rest."""
    status = _STATUSES.get(str(structure.get("status")))
    if status is None:
        raise Unreadable(f"status {structure.get('status')!r}")
    if status == "filled" and filled < quantity:
        return "cancelled"
    return status


def order_state(ref: OrderRef, order: Structure, trades: Iterable[Structure] = ()) -> OrderState:
    """One order with the trades known for it. Raises Unreadable."""
    quantity, filled = number(order.get("amount"), "amount"), number(order.get("filled"), "filled")
    venue_order_id = str(order.get("id") or "") or ref.venue_order_id
    side = _SIDES.get(str(order.get("side")))
    if side is None or not venue_order_id:
        raise Unreadable("an order without side or id")
    time = moment(order.get("lastUpdateTimestamp") or order.get("lastTradeTimestamp") or order.get("timestamp"))
    return OrderState(
        ref=OrderRef(ref.account_id, ref.instrument, ref.client_order_id, venue_order_id),
        status=status_of(order, filled, quantity),
        side=side,
        quantity=quantity,
        filled_quantity=filled,
        price=positive(order.get("price")),
        stop_price=positive(order.get("triggerPrice")),
        executions=tuple(execution(trade, time) for trade in trades),
        reason=_reason(order),
        time=time,
    )


def is_whole(state: OrderState) -> bool:
    """Whether every filled piece is told."""
    return sum((one.quantity for one in state.executions), ZERO) == state.filled_quantity


def execution(trade: Structure, time: datetime | None = None) -> Execution:
    """One trade; `time` where the trade tells none. Raises Unreadable.

    A trade in the answer to a create has no liquidity of its own: what trades at once takes.
    """
    fee = trade.get("fee") or {}
    told = trade.get("timestamp")
    try:
        return Execution(
            trade_id=_text(trade.get("id"), "trade id"),
            price=number(trade.get("price"), "price"),
            quantity=number(trade.get("amount"), "amount"),
            fee=number(fee.get("cost"), "fee"),
            fee_asset=_text(fee.get("currency"), "fee asset"),
            liquidity=_LIQUIDITY[str(trade.get("takerOrMaker") or "taker")],
            time=moment(told) if told is not None else time,
        )
    except (ValidationError, KeyError) as error:
        raise Unreadable(f"trade {trade.get('id')!r}: {error}") from error


def balances(structure: Structure) -> dict[str, VenueBalanceState]:
    """Every asset of a balance structure. Raises Unreadable."""
    totals, free = structure.get("total"), structure.get("free")
    if not isinstance(totals, Mapping) or not isinstance(free, Mapping):
        raise Unreadable("balances without totals")
    return {
        asset: VenueBalanceState(asset, number(total, asset), number(free.get(asset), asset))
        for asset, total in totals.items()
        if total is not None
    }


def position_state(venue: str, exchange: Any, row: Structure) -> VenuePositionState:
    """A row of `Dialect.positions`. Raises Unreadable."""
    markets = exchange.markets_by_id.get(row["symbol"], ())
    symbol = next((market["symbol"] for market in markets if market.get("linear")), None)
    quantity = number(row["quantity"] or "0", "position")
    if symbol is None and quantity:
        raise Unreadable(f"a position in {row['symbol']}, which is not traded here")
    return VenuePositionState(f"{venue}:{symbol}", quantity, positive(row.get("price")) or ZERO)


def summed(wallets: Sequence[Mapping[str, VenueBalanceState]]) -> list[VenueBalanceState]:
    """The balances over all wallets of an account, by asset."""
    assets = sorted({asset for wallet in wallets for asset in wallet})
    return [
        VenueBalanceState(
            asset,
            sum((wallet[asset].total for wallet in wallets if asset in wallet), ZERO),
            sum((wallet[asset].available for wallet in wallets if asset in wallet), ZERO),
        )
        for asset in assets
    ]


def reference(account_id: UUID, venue: str, order: Structure) -> OrderRef:
    return OrderRef(
        account_id, instrument_of(venue, order), str(order.get("clientOrderId") or ""), str(order.get("id") or "")
    )


def _reason(order: Structure) -> str:
    info = order.get("info")
    told = info.get("rejectReason") or info.get("reject_reason") if isinstance(info, Mapping) else ""
    return "" if told in {None, "EC_NoError"} else str(told or "")


def _text(value: object, field: str) -> str:
    if value is None or value == "":
        raise Unreadable(f"{field} is missing")
    return str(value)
