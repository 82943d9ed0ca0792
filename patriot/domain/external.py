"""Orders that somebody placed at the venue without us. Rule: what moves the account's money is adopted, and says so.

The id follows from the venue's own: however often and from whatever source such an order is told, it is one order.
"""

from uuid import UUID, uuid5

from patriot.domain.errors import InvalidValue
from patriot.domain.order_commands import order_id_of
from schemas.events import OrderAccepted, OrderCreated, OrderEvent, OrderRouted, OrderSubmitStarted
from schemas.reports import VenueReport

EXTERNAL = "external"
"""What stands as the strategy of an adopted order."""


def external_id(account_id: UUID, instrument: str, venue_order_id: str) -> UUID:
    return uuid5(account_id, f"{instrument} {venue_order_id}")


def order_id_at_venue(account_id: UUID, instrument: str, client_order_id: str, venue_order_id: str) -> UUID | None:
    """Our order's id by its name, else an adopted one's by the venue's; None where neither is told."""
    ours = order_id_of(client_order_id)
    if ours is not None or not venue_order_id:
        return ours
    return external_id(account_id, instrument, venue_order_id)


def adopt(report: VenueReport, user_id: UUID, route: str, leverage: int | None = None) -> list[OrderEvent]:
    """The events of an order that was found at the venue: placed and accepted there, nothing of it reserved here.

    Raises:
        InvalidValue: the report lacks what an order is made of.

    """
    if not report.instrument or not report.side or report.quantity is None or not report.venue_order_id:
        raise InvalidValue("report", "an external order has instrument, side, quantity and the venue's id")
    order_id = external_id(report.account_id, report.instrument, report.venue_order_id)
    name = report.client_order_id or f"venue {report.venue_order_id}"
    who = {"order_id": order_id, "account_id": report.account_id, "user_id": user_id}
    created = OrderCreated(
        **who,
        client_order_id=name,
        instrument=report.instrument,
        side=report.side,
        order_type="limit" if report.price else "market",
        time_in_force="GTC",
        quantity=report.quantity,
        price=report.price,
        strategy_id=EXTERNAL,
        leverage=leverage,
    )
    return [
        created,
        OrderRouted(**who, route=route),
        OrderSubmitStarted(**who, attempt=1, client_order_id=name),
        OrderAccepted(**who, venue_order_id=report.venue_order_id, venue_time=report.venue_time),
    ]
