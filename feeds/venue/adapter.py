"""The exchange as a venue of the platform, in process. Rule: the outcome tells what is proved, as over a socket.

Replay, back-test and simulation trade through this adapter. A fault plan turns answers into `Unknown`, before or after
the command took effect, exactly as a lost answer would; nothing else makes an outcome unknown here.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from typing import Final
from uuid import UUID

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownOrder, VenueError
from feeds.venue.events import EVERY, AccountEvent, Change, OrderUpdate
from feeds.venue.exchange import Exchange
from feeds.venue.faults import FaultPlan
from feeds.venue.journal import is_platform_account
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
    VenuePositionState,
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
    "trailing_stop": OrderType.TRAILING_STOP,
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
    """`patriot.domain.venue.VenueAdapter` on an `Exchange`. `account_of` maps a platform account to the venue's.

    `listen` is its private stream. What the answer to a command tells of its order, the stream does not tell again.
    """

    def __init__(
        self, exchange: Exchange, account_of: Callable[[UUID], Account], faults: FaultPlan | None = None
    ) -> None:
        self._exchange = exchange
        self._account_of = account_of
        self._faults = faults or FaultPlan()
        self._commanded = ("", "")  # account and client order id of the command that runs
        self._untold: list[Callable[[], None]] = []  # what the stream would tell of its order

    def listen(self, listener: Callable[[OrderState], None]) -> None:
        """Tell `listener` the state of every order of a platform account that changes."""
        self._exchange.on_account(EVERY, partial(self._hear, listener))

    async def create(self, order: VenueOrder) -> Outcome:
        account = self._account_of(order.account_id)
        ref = OrderRef(order.account_id, order.instrument, order.client_order_id)
        return self._command("create", account, ref, lambda: self._exchange.create(account, _request(order)))

    async def modify(
        self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: SideName, stop_price: Decimal | None = None
    ) -> Outcome:
        account = self._account_of(ref.account_id)
        del side  # Binance wants it repeated; this venue knows it
        return self._command(
            "amend",
            account,
            ref,
            lambda: self._exchange.amend(
                account,
                ref.instrument,
                order_id=_order_id(ref),
                client_order_id=ref.client_order_id,
                quantity=quantity,
                price=price,
                trigger_price=stop_price,
            ),
        )

    async def cancel(self, ref: OrderRef) -> Outcome:
        account = self._account_of(ref.account_id)
        return self._command(
            "cancel",
            account,
            ref,
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

    async def positions(self, account_id: UUID) -> Sequence[VenuePositionState] | Unknown:
        account = self._account_of(account_id)
        if self._faults.decide("query", account.name):
            return Unknown("no answer")
        found = self._exchange.positions(account)
        return [VenuePositionState(one.instrument.id, one.size, one.entry_price) for one in found]

    async def set_leverage(self, account_id: UUID, instrument: str, leverage: int) -> Outcome:
        account = self._account_of(account_id)
        fault = self._faults.decide("leverage", account.name)
        if fault is not None and not fault.runs:
            return _refusal(fault.status) if fault.status in {418, 429} else Unknown(fault.fault)
        try:
            self._exchange.set_leverage(account, instrument, leverage)
        except VenueError as refusal:
            return Rejected(refusal.code, str(refusal))
        return Accepted("") if fault is None else Unknown(fault.fault)

    async def leverages(self, account_id: UUID, instruments: Sequence[str]) -> Mapping[str, Decimal] | Unknown:
        account = self._account_of(account_id)
        if self._faults.decide("query", account.name):
            return Unknown("no answer")
        return {name: Decimal(self._exchange.leverage(account, name)) for name in instruments}

    async def close(self) -> None:
        """Nothing is held."""

    def _hear(self, listener: Callable[[OrderState], None], event: AccountEvent) -> None:
        if not isinstance(event, OrderUpdate) or not is_platform_account(event.order.account):
            return
        if event.change is Change.TRAILED:
            return
        if (event.order.account, event.order.client_order_id) == self._commanded:
            self._untold.append(partial(self._tell, listener, event.order))
        else:
            self._tell(listener, event.order)

    def _tell(self, listener: Callable[[OrderState], None], order: Order) -> None:
        account_id = UUID(order.account)
        listener(self._state(self._account_of(account_id), account_id, order))

    def _command(self, operation: str, account: Account, ref: OrderRef, run: Callable[[], Order]) -> Outcome:
        fault = self._faults.decide(operation, account.name)
        if fault is not None and not fault.runs:
            return _refusal(fault.status) if fault.status in {418, 429} else Unknown(fault.fault)
        outcome = self._run(account, ref, run)
        untold, self._untold = self._untold, []
        if fault is None and isinstance(outcome, Accepted):
            return outcome
        for tell in untold:
            tell()
        return outcome if fault is None else Unknown(fault.fault)

    def _run(self, account: Account, ref: OrderRef, command: Callable[[], Order]) -> Outcome:
        self._commanded = (account.name, ref.client_order_id)
        try:
            order = command()
        except VenueError as refusal:
            return Rejected(refusal.code, str(refusal))
        finally:
            self._commanded = ("", "")
        return Accepted(str(order.id), self._state(account, ref.account_id, order))

    def _state(self, account: Account, account_id: UUID, order: Order) -> OrderState:
        fills = self._exchange.trades(account, order.instrument.id, order.id) if order.filled_units else []
        return OrderState(
            ref=OrderRef(account_id, order.instrument.id, order.client_order_id, str(order.id)),
            status=_STATUSES[order.status],
            side="buy" if order.is_buy else "sell",
            quantity=order.quantity,
            filled_quantity=order.filled,
            price=order.price,
            stop_price=order.trigger_price,
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
    trailing = order.trailing
    return NewOrder(
        instrument_id=order.instrument,
        side=Side(order.side),
        type=_TYPES[order.order_type],
        quantity=order.quantity,
        price=order.price,
        trigger_price=order.stop_price,
        callback_rate=trailing.distance / 100 if trailing and trailing.distance else Decimal(0),
        activation_price=trailing.activation_price if trailing else None,
        display_quantity=order.display_quantity,
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
