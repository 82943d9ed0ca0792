"""Create, modify and cancel orders and lists of them. Rule: an order is answered once it is durable and reserved for.

The risk rules run in this process; buying power, limits version and kill switches are checked in the commit, together
with everything that the order writes. Cancels pass no gate.
"""

from uuid import UUID

from functions.order_commands import closing, placing
from functions.order_commands.receipts import receipt_of
from patriot.runtime.aggregates import ORDER
from patriot.runtime.function import Context, Function
from patriot.runtime.risk import with_fresh_limits
from schemas.commands import CancelOrders, ClosePositions, CreateOrder, CreateOrderList, ModifyOrder
from schemas.events import OrderCancelled, OrderCancelRequested, OrderCreated, OrderModified, OrderModifyRequested
from schemas.queries import OrderListReceipt, OrderReceipt, OrderReceipts
from schemas.risk_events import RiskDenied

function = Function(
    "order-commands",
    publishes=(OrderCreated, OrderModifyRequested, OrderModified, OrderCancelRequested, OrderCancelled, RiskDenied),
)


@function.post("/orders", status_code=201, needs="orders:create", idempotent=True)
async def create_order(command: CreateOrder, context: Context) -> OrderReceipt:
    """Validate, check the risk, reserve, and make the order durable. Its execution follows in events."""
    return await with_fresh_limits(lambda: placing.place(command, context.uuid(), context))


@function.invoked("/orders/{order_id}/place")
async def place_order(order_id: UUID, command: CreateOrder, context: Context) -> OrderReceipt:
    """As above, with an id that the caller derives: asked for again, the order is there already."""
    known = await context.load(ORDER, order_id)
    if known.state is not None:
        return receipt_of(known, 0, context)
    return await with_fresh_limits(lambda: placing.place(command, order_id, context))


@function.post("/order-lists", status_code=201, needs="orders:create", idempotent=True)
async def create_list(command: CreateOrderList, context: Context) -> OrderListReceipt:
    """Create a bracket, an oco or an oto list: all of its orders in one commit, or none."""
    return await with_fresh_limits(lambda: placing.place_list(context.uuid(), command.kind, command.orders, context))


@function.patch("/orders/{order_id}", needs="orders:modify", idempotent=True)
async def modify_order(order_id: UUID, command: ModifyOrder, context: Context) -> OrderReceipt:
    """Ask for another quantity, price or both. The venue's answer follows in events."""
    return await with_fresh_limits(lambda: placing.modify(order_id, command, context))


@function.delete("/orders/{order_id}", needs="orders:cancel", idempotent=True, first=True)
async def cancel_order(order_id: UUID, context: Context) -> OrderReceipt:
    """Ask for the end of an order. Repeating it is harmless."""
    return await closing.cancel(order_id, context)


@function.delete("/order-lists/{list_id}", needs="orders:cancel", idempotent=True, first=True)
async def cancel_list(list_id: UUID, context: Context) -> OrderReceipts:
    """Ask for the end of all orders of a list."""
    return await closing.cancel_list(list_id, context)


@function.post("/orders/cancel", needs="orders:cancel", idempotent=True, first=True)
async def cancel_orders(command: CancelOrders, context: Context) -> OrderReceipts:
    """Ask for the end of all open orders of an account, or of those of one instrument."""
    return await closing.cancel_all(command, context)


@function.post("/positions/close", needs="orders:create", idempotent=True, first=True)
async def close_positions(command: ClosePositions, context: Context) -> OrderReceipts:
    """Cancel the open orders, then close the position of one instrument, or all, at the market."""
    return await closing.close(command, context)


app = function.app
