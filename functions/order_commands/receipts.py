"""The user's own orders, and what a command about them answers. Rule: another's is not told from a missing one."""

from uuid import UUID

from patriot.domain.order import Order
from patriot.runtime.aggregates import ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Loaded
from patriot.runtime.problem import not_found
from schemas.queries import OrderReceipt


async def own(order_id: UUID, context: RequestContext) -> Loaded[Order]:
    """The order, if it is the caller's. Raises the 404 problem."""
    loaded = await context.load(ORDER, order_id)
    if loaded.state is None or loaded.state.user_id != context.user.user_id:
        raise not_found("order", order_id)
    return loaded


def state_of(loaded: Loaded[Order]) -> Order:
    assert loaded.state is not None, "it was found"
    return loaded.state


def receipt_of(loaded: Loaded[Order], events: int, context: RequestContext) -> OrderReceipt:
    """As of `events` after what was loaded; the status is that of before, until the venue has answered."""
    order = loaded.state
    assert order is not None
    return OrderReceipt(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        status=order.status,
        version=loaded.version + events,
        correlation_id=context.origin.correlation_id,
        emulated=order.emulated,
        list_id=order.list_id,
    )
