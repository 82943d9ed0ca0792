"""What a command about an order answers. Rule: the status is that of before, until the venue has answered."""

from patriot.domain.order import Order
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Loaded
from schemas.queries import OrderReceipt


def receipt_of(loaded: Loaded[Order], events: int, context: RequestContext) -> OrderReceipt:
    """As of `events` after what was loaded."""
    order = loaded.found
    return OrderReceipt(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        status=order.status,
        version=loaded.version + events,
        correlation_id=context.origin.correlation_id,
        emulated=order.emulated,
        list_id=order.list_id,
    )
