"""What a venue says about an order, as reports. Pure: commands, queries and reconciliation all end here."""

from datetime import datetime, timedelta
from typing import Literal

from patriot.domain.order import UNPROVED, Order
from patriot.domain.venue import Accepted, NotFound, OrderState, Outcome, Rejected, Unknown
from schemas.reports import Outcome as ReportOutcome
from schemas.reports import Source, VenueReport

ARRIVAL_WINDOW = timedelta(seconds=6)
"""A request that is older cannot be accepted any more: its timestamp is outside the receive window (5 s) that we send
with every order. So an order that the venue does not know after this time never got there and never will."""

LOST = "the request did not reach the venue"
_ENDS: dict[str, ReportOutcome] = {"cancelled": "cancelled", "expired": "expired", "rejected": "rejected"}


def report(order: Order, outcome: ReportOutcome, source: Source, **facts: object) -> VenueReport:
    return VenueReport.model_validate(
        {
            "account_id": order.account_id,
            "order_id": order.order_id,
            "client_order_id": order.client_order_id,
            "instrument": order.instrument,
            "side": order.side,
            "outcome": outcome,
            "source": source,
            **facts,
        }
    )


def of_submit(order: Order, outcome: Outcome) -> list[VenueReport]:
    """Reports of the answer to a create. Unknown proves nothing, so it gives none."""
    match outcome:
        case Accepted(venue_order_id, state):
            accepted = report(order, "accepted", "command", venue_order_id=venue_order_id)
            return [accepted, *(of_state(order, state, "command")[1:] if state else [])]
        case Rejected(code, reason):
            return [report(order, "rejected", "command", code=code, reason=reason)]
        case Unknown():
            return []


def of_state(order: Order, state: OrderState, source: Source) -> list[VenueReport]:
    """Reports of everything that an order's state at the venue proves, in the order in which it happened."""
    facts = {"venue_order_id": state.ref.venue_order_id, "venue_time": state.time}
    if state.status == "rejected" and not state.executions:
        return [report(order, "rejected", source, code="venue", reason=state.reason, **facts)]
    reports = [report(order, "accepted", source, **facts)]
    reports += [
        report(order, "fill", source, execution=execution, filled_quantity=state.filled_quantity, **facts)
        for execution in state.executions
    ]
    end = _ENDS.get(state.status)
    if end:
        reports.append(report(order, end, source, reason=state.reason, **facts))
    return reports


def of_request(order: Order, request: Literal["cancel", "modify"], state: OrderState) -> list[VenueReport]:
    """What the order's state at the venue, asked for after a cancel or modify without an answer, says about that."""
    pending = order.pending_modify
    if request == "cancel":
        lost = state.status == "open"
        return [report(order, "cancel_rejected", "reconciliation", code="lost", reason=LOST)] if lost else []
    if pending is None or state.status != "open":
        return []
    if (state.quantity, state.price) == (pending.quantity, pending.price):
        agreed: dict[str, object] = {"quantity": pending.quantity, "price": pending.price}
        return [report(order, "modified", "reconciliation", request_id=pending.request_id, **agreed)]
    lost_facts: dict[str, object] = {"request_id": pending.request_id, "code": "lost", "reason": LOST}
    return [report(order, "modify_rejected", "reconciliation", **lost_facts)]


def of_query(order: Order, answer: OrderState | NotFound | Unknown, now: datetime) -> list[VenueReport] | None:
    """Reports of the answer to a query; None when it proves nothing yet: ask again later."""
    match answer:
        case OrderState():
            return of_state(order, answer, "reconciliation")
        case NotFound() if order.status in UNPROVED and now - order.updated_at > ARRIVAL_WINDOW:
            reason = "the venue does not know the order, and its receive window is over"
            return [report(order, "rejected", "reconciliation", code="never_arrived", reason=reason)]
        case _:
            return None
