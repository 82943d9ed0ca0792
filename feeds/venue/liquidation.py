"""Liquidation of cross-margin accounts. Rule: below maintenance an account closes until healthy or flat.

When the margin balance falls below the maintenance margin, the account's derivative orders go (all orders of a unified
account), its positions close against the book, largest first, and the insurance account pays what is missing. What the
book cannot take, the insurance account takes over at the mark price: money is conserved either way.
"""

from collections.abc import Callable

from feeds.venue.accounts import Account, Position
from feeds.venue.clearing import Clearing
from feeds.venue.execution import Execution
from feeds.venue.orders import Order, OrderStatus, OrderType, Reason, Side, TimeInForce


class Liquidation:
    """Watches margins. `next_order_id` gives the ids of the closing orders."""

    def __init__(self, clearing: Clearing, execution: Execution, next_order_id: Callable[[], int]) -> None:
        self._clearing = clearing
        self._execution = execution
        self._next_order_id = next_order_id

    def check(self, account: Account, asset: str) -> bool:
        """Liquidate the account's positions of a settle asset where it must be; return whether it was."""
        if account.unlimited or self._is_healthy(account, asset):
            return False
        for order in list(account.open_orders.values()):
            uses_margin = order.instrument.is_derivative and order.instrument.settle == asset
            if uses_margin or account.unified:
                self._execution.end(order, OrderStatus.CANCELLED, Reason.LIQUIDATION)
        for position in self._largest_first(account, asset):
            if not self._is_healthy(account, asset):
                self._close(account, position)
        if not any(position.size for position in self._positions(account, asset)):
            self._clearing.cover(account, asset)
        return True

    def _is_healthy(self, account: Account, asset: str) -> bool:
        maintenance = self._clearing.maintenance_margin(account, asset)
        return not maintenance or self._clearing.margin_balance(account, asset) >= maintenance

    def _positions(self, account: Account, asset: str) -> list[Position]:
        return [position for position in account.positions.values() if position.instrument.settle == asset]

    def _largest_first(self, account: Account, asset: str) -> list[Position]:
        held = [position for position in self._positions(account, asset) if position.size]
        return sorted(held, key=lambda position: -position.maintenance_margin(self._clearing.mark_of(position)))

    def _close(self, account: Account, position: Position) -> None:
        market = self._clearing.markets[position.instrument.id]
        self._execution.close_out(account, market, self._closing_order(account, position))

    def _closing_order(self, account: Account, position: Position) -> Order:
        order_id = self._next_order_id()
        return Order(
            id=order_id,
            account=account.name,
            instrument=position.instrument,
            client_order_id=f"autoclose-{order_id}",
            side=Side.SELL if position.size > 0 else Side.BUY,
            type=OrderType.MARKET,
            time_in_force=TimeInForce.IOC,
            quantity_units=abs(position.size),
            reduce_only=True,
            is_liquidation=True,
            created_ms=self._execution.now_ms,
        )
