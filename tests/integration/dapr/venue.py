"""A venue that fills every order at once, at its price, and knows it when it is asked again."""

from decimal import Decimal

from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected
from schemas.reports import Execution


class FillingVenue:
    def __init__(self):
        self.created = []
        self.known = {}

    async def create(self, order):
        self.created.append(order)
        number = len(self.created)
        execution = Execution(
            trade_id=f"t{number}",
            price=order.price,
            quantity=order.quantity,
            fee=Decimal("0.05"),
            fee_asset="USDT",
            liquidity="taker",
        )
        state = OrderState(
            ref=OrderRef(order.account_id, order.instrument, order.client_order_id, f"v{number}"),
            status="filled",
            side=order.side,
            quantity=order.quantity,
            filled_quantity=order.quantity,
            executions=(execution,),
        )
        self.known[order.client_order_id] = state
        return Accepted(f"v{number}", state)

    async def cancel(self, ref):
        return Rejected("unknown", "no such order")

    async def query(self, ref):
        return self.known.get(ref.client_order_id) or NotFound()

    async def close(self):
        pass
