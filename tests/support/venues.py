"""Scripted venues. Each keeps the orders that it was sent."""

from decimal import Decimal
from typing import Any

from msgspec.structs import replace

from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected, Unknown
from schemas.reports import Execution


class RestingVenue:
    """Accepts every order and leaves it in its book; cancels and modifications succeed."""

    def __init__(self) -> None:
        self.created: list[Any] = []
        self.leverages_set: list[tuple[str, int]] = []
        self.leverage_answers: list[Accepted | Rejected | Unknown] = []  # to the next calls; then Accepted
        self._orders: dict[str, OrderState] = {}

    async def create(self, order: Any) -> Accepted:
        self.created.append(order)
        return self._accept(self._state(order, filled=Decimal(0)))

    async def modify(
        self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: str, stop_price: Decimal | None = None
    ) -> Accepted | Rejected:
        known = self._orders.get(ref.client_order_id)
        if known is None or known.status != "open":
            return Rejected("unknown_order", "no such open order")
        return self._accept(replace(known, quantity=quantity, price=price, stop_price=stop_price))

    async def cancel(self, ref: OrderRef) -> Accepted | Rejected:
        known = self._orders.get(ref.client_order_id)
        if known is None or known.status != "open":
            return Rejected("unknown_order", "no such open order")
        return self._accept(replace(known, status="cancelled"))

    async def query(self, ref: OrderRef) -> OrderState | NotFound:
        return self._orders.get(ref.client_order_id) or NotFound()

    async def open_orders(self, account_id: Any) -> list[OrderState]:
        return [state for state in self._orders.values() if state.status == "open"]

    async def balances(self, account_id: Any) -> Unknown:
        return Unknown("nobody asks")

    async def positions(self, account_id: Any) -> list[Any]:
        return []

    async def set_leverage(self, account_id: Any, instrument: str, leverage: int) -> Accepted | Rejected | Unknown:
        self.leverages_set.append((instrument, leverage))
        return self.leverage_answers.pop(0) if self.leverage_answers else Accepted("")

    async def leverages(self, account_id: Any, instruments: list[str]) -> dict[str, Decimal]:
        set_last = dict(self.leverages_set)
        return {name: Decimal(set_last.get(name, 20)) for name in instruments}

    async def close(self) -> None:
        """Nothing is held."""

    def _accept(self, state: OrderState) -> Accepted:
        self._orders[state.ref.client_order_id] = state
        return Accepted(state.ref.venue_order_id, state)

    def _state(self, order: Any, filled: Decimal) -> OrderState:
        number = str(len(self.created))
        fill = Execution(
            trade_id=f"t{number}",
            price=order.price or Decimal(60000),
            quantity=filled or Decimal(1),
            fee=Decimal("0.05"),
            fee_asset="USDT",
            liquidity="taker",
        )
        return OrderState(
            ref=OrderRef(order.account_id, order.instrument, order.client_order_id, f"v{number}"),
            status="filled" if filled else "open",
            side=order.side,
            quantity=order.quantity,
            filled_quantity=filled,
            price=order.price,
            executions=(fill,) if filled else (),
        )


class FillingVenue(RestingVenue):
    """Fills every order at once, at its price."""

    async def create(self, order: Any) -> Accepted:
        self.created.append(order)
        return self._accept(self._state(order, filled=order.quantity))
