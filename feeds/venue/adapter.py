"""The exchange as a venue of the platform, in process. Rule: the outcome tells what is proved, as over a socket.

Replay, back-test and simulation trade through this adapter. A fault plan turns answers into `Unknown`, before or after
the command took effect, exactly as a lost answer would; nothing else makes an outcome unknown here.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Final
from uuid import UUID

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownOrder, VenueError
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.orders import Fill, NewOrder, Order, OrderStatus, OrderType, Side, TimeInForce
from patriot.domain.venue import (
    Accepted,
    NotFound,
    OrderRef,
    OrderState,
    Outcome,
    Rejected,
    Unknown,
    VenueBalanceState,
    VenueOrder,
    VenueStatus,
)
from schemas.reports import Execution
from schemas.types import Side as SideName

_TYPES: Final[dict[str, OrderType]] = {
    "market": OrderType.MARKET,
    "limit": OrderType.LIMIT,
    "stop": OrderType.STOP_MARKET,
    "stop_limit": OrderType.STOP_LIMIT,
    "take_profit": OrderType.TAKE_PROFIT_MARKET,
    "take_profit_limit": OrderType.TAKE_PROFIT_LIMIT,
}
_STATUSES: Final[dict[OrderStatus, VenueStatus]] = {
    OrderStatus.UNTRIGGERED: "open",
    OrderStatus.NEW: "open",
    OrderStatus.PARTIALLY_FILLED: "open",
    OrderStatus.FILLED: "filled",
    OrderStatus.CANCELLED: "cancelled",
    OrderStatus.EXPIRED: "expired",
}


class InProcessVenue:
    """`patriot.domain.venue.VenueAdapter` on an `Exchange`. `account_of` maps a platform account to the venue's."""

    def __init__(
        self, exchange: Exchange, account_of: Callable[[UUID], Account], faults: FaultPlan | None = None
    ) -> None:
        self._exchange = exchange
        self._account_of = account_of
        self._faults = faults or FaultPlan()

    async def create(self, order: VenueOrder) -> Outcome:
        account = self._account_of(order.account_id)
        return self._command(
            "create", account, order.account_id, lambda: self._exchange.create(account, _request(order))
        )

    async def modify(self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: SideName) -> Outcome:
        account = self._account_of(ref.account_id)
        del side  # Binance wants it repeated; this venue knows it
        return self._command(
            "amend",
            account,
            ref.account_id,
            lambda: self._exchange.amend(
                account,
                ref.instrument,
                order_id=_order_id(ref),
                client_order_id=ref.client_order_id,
                quantity=quantity,
                price=price,
            ),
        )

    async def cancel(self, ref: OrderRef) -> Outcome:
        account = self._account_of(ref.account_id)
        return self._command(
            "cancel",
            account,
            ref.account_id,
            lambda: self._exchange.cancel(
                account, ref.instrument, order_id=_order_id(ref), client_order_id=ref.client_order_id
            ),
        )

    async def query(self, ref: OrderRef) -> OrderState | NotFound | Unknown:
        account = self._account_of(ref.account_id)
        if self._faults.decide("query", account.name):
            return Unknown("no answer")
        try:
            order = self._exchange.order(
                account, ref.instrument, order_id=_order_id(ref), client_order_id=ref.client_order_id
            )
        except UnknownOrder:
            return NotFound()
        return self._state(account, ref.account_id, order)

    async def open_orders(self, account_id: UUID) -> Sequence[OrderState] | Unknown:
        account = self._account_of(account_id)
        if self._faults.decide("query", account.name):
            return Unknown("no answer")
        return [self._state(account, account_id, order) for order in self._exchange.open_orders(account)]

    async def balances(self, account_id: UUID) -> Sequence[VenueBalanceState] | Unknown:
        """Sum over the account's wallets."""
        account = self._account_of(account_id)
        if self._faults.decide("query", account.name):
            return Unknown("no answer")
        found = self._exchange.balances(account, "spot")
        if account.wallets["linear"] is not account.wallets["spot"]:
            found += self._exchange.balances(account, "linear")
        sums: dict[str, tuple[Decimal, Decimal]] = {}
        for balance in found:
            total, free = sums.get(balance.asset, (Decimal(0), Decimal(0)))
            sums[balance.asset] = (total + balance.total, free + balance.free)
        return [VenueBalanceState(asset, total, free) for asset, (total, free) in sums.items()]

    async def close(self) -> None:
        """Nothing is held."""

    def state_of(self, account_id: UUID, order: Order) -> OrderState:
        """An order as the venue tells it: for listeners on the exchange's private events."""
        return self._state(self._account_of(account_id), account_id, order)

    def _command(self, operation: str, account: Account, account_id: UUID, run: Callable[[], Order]) -> Outcome:
        fault = self._faults.decide(operation, account.name)
        if fault is not None and not fault.runs:
            return _refusal(fault.status) if fault.status in {418, 429} else Unknown(fault.fault)
        try:
            order = run()
        except VenueError as refusal:
            outcome: Outcome = Rejected(refusal.code, str(refusal))
        else:
            outcome = Accepted(str(order.id), self._state(account, account_id, order))
        return outcome if fault is None else Unknown(fault.fault)

    def _state(self, account: Account, account_id: UUID, order: Order) -> OrderState:
        fills = self._exchange.trades(account, order.instrument.id, order.id) if order.filled_units else []
        return OrderState(
            ref=OrderRef(account_id, order.instrument.id, order.client_order_id, str(order.id)),
            status=_STATUSES[order.status],
            side="buy" if order.is_buy else "sell",
            quantity=order.quantity,
            filled_quantity=order.filled,
            price=order.price,
            executions=tuple(execution_of(fill) for fill in fills),
            reason=order.reason.value,
            time=_time(order.updated_ms),
        )


def execution_of(fill: Fill) -> Execution:
    """A fill in the platform's words."""
    return Execution(
        trade_id=str(fill.trade_id),
        price=fill.price,
        quantity=fill.quantity,
        fee=fill.fee,
        fee_asset=fill.fee_asset,
        liquidity="maker" if fill.is_maker else "taker",
        time=_time(fill.time_ms),
    )


def _request(order: VenueOrder) -> NewOrder:
    return NewOrder(
        instrument_id=order.instrument,
        side=Side(order.side),
        type=_TYPES[order.order_type],
        quantity=order.quantity,
        price=order.price,
        trigger_price=order.stop_price,
        time_in_force=TimeInForce(order.time_in_force.lower()),
        expire_ms=int(order.expire_at.timestamp() * 1000) if order.expire_at else 0,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        client_order_id=order.client_order_id,
    )


def _order_id(ref: OrderRef) -> int:
    """The venue's id where it is told, else 0: then the client order id names the order."""
    return int(ref.venue_order_id) if ref.venue_order_id.isdecimal() else 0


def _refusal(status: int) -> Rejected:
    return Rejected(str(status), "too many requests")


def _time(time_ms: int) -> datetime:
    return datetime.fromtimestamp(time_ms / 1000, UTC)
