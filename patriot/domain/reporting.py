"""What a venue says about an order, as reports. Pure: commands, queries and reconciliation all end here."""

from datetime import datetime, timedelta
from typing import Literal

from patriot.domain.order import Order, PendingModify
from patriot.domain.order_states import UNPROVED
from patriot.domain.venue import Accepted, NotFound, OrderState, Outcome, Rejected, Unknown, VenueStatus
from schemas.reports import Outcome as ReportOutcome
from schemas.reports import Source, VenueReport

ARRIVAL_WINDOW = timedelta(seconds=6)
"""A request that is older cannot be accepted any more: its timestamp is outside the receive window (5 s) that we send
with every order. So an order that the venue does not know after this time never got there and never will."""

LOST = "the request did not reach the venue"
CUT = "the venue has cut a reduce-only order to its position"
SMALLER = "the venue had it at a smaller quantity, and has filled that"
_REFUSED: dict[str, ReportOutcome] = {"cancel": "cancel_rejected", "modify": "modify_rejected"}
_ANSWERING: dict[str, frozenset[VenueStatus]] = {
    "cancel": frozenset({"filled", "cancelled", "expired", "rejected"}),
    "modify": frozenset({"cancelled", "expired", "rejected"}),
}
"""How an order ends that needs no other answer; one that is filled may have been so at either quantity."""

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
        case Accepted(_, state) if state and state.executions:
            return of_state(order, state, "command")
        case Accepted(venue_order_id, state):
            accepted = report(order, "accepted", "command", venue_order_id=venue_order_id)
            return [accepted, *(of_state(order, state, "command")[1:] if state else [])]
        case Rejected(code, reason):
            return [report(order, "rejected", "command", code=code, reason=reason)]
        case Unknown():
            return []


def of_state(order: Order, state: OrderState, source: Source) -> list[VenueReport]:
    """Reports of everything that an order's state at the venue proves, in the order in which it happened.

    A fill proves the acceptance too, and both become one commit: so only an order without fills is told as accepted.
    """
    facts = {"venue_order_id": state.ref.venue_order_id, "venue_time": state.time}
    if state.status == "rejected" and not state.executions:
        return [report(order, "rejected", source, code="venue", reason=state.reason, **facts)]
    terms = {"quantity": state.quantity, "price": state.price}
    filled = {"filled_quantity": state.filled_quantity}
    reports = [
        report(order, "fill", source, execution=execution, **terms, **filled, **facts) for execution in state.executions
    ] or [report(order, "accepted", source, **facts)]
    end = _ENDS.get(state.status)
    if end:
        reports.append(report(order, end, source, reason=state.reason, **terms, **facts))
    elif _was_cut(order, state):
        reports.append(report(order, "expired", source, reason=CUT if order.reduce_only else SMALLER, **facts))
    return reports


def _was_cut(order: Order, state: OrderState) -> bool:
    """Whether a venue has filled less than it was asked for, and all of that is told: nothing is left to be filled.

    So ends a reduce-only order, and one whose modification was given up for lost and came through after all.
    """
    if state.status != "filled" or order.pending_modify or state.quantity >= order.quantity:
        return False
    told = [execution.quantity for execution in state.executions if execution.trade_id not in order.trade_ids]
    return order.filled_quantity + sum(told) == state.filled_quantity


def of_modified(order: Order, pending: PendingModify, source: Source, venue_order_id: str = "") -> VenueReport:
    """The modification was done as it was asked for."""
    names = ("quantity", "price", "stop_price", "request_id")
    facts = {name: getattr(pending, name) for name in names}
    return report(order, "modified", source, venue_order_id=venue_order_id, **facts)


def of_request(
    order: Order, request: Literal["cancel", "modify"], outcome: Rejected | Unknown, answer: OrderState | NotFound
) -> list[VenueReport]:
    """What became of a cancel or modify that was refused or not answered, by how the order stands now.

    To be reported before the order's state: a modification may have been done by an earlier delivery, and filled since.
    """
    pending = order.pending_modify if request == "modify" else None
    if request == "modify" and pending is None:
        return []
    if pending and _stands(answer, pending):
        return [of_modified(order, pending, "reconciliation")]
    if isinstance(answer, OrderState) and answer.status in _ANSWERING[request]:
        return []
    if isinstance(answer, NotFound) and isinstance(outcome, Unknown):
        return []
    code, reason = (outcome.code, outcome.reason) if isinstance(outcome, Rejected) else ("lost", LOST)
    facts = {"request_id": pending.request_id} if pending else {}
    return [report(order, _REFUSED[request], "reconciliation", code=code, reason=reason, **facts)]


def _stands(answer: OrderState | NotFound, pending: PendingModify) -> bool:
    """Whether the venue tells the order as it shall be."""
    if isinstance(answer, NotFound) or (answer.quantity, answer.price) != (pending.quantity, pending.price):
        return False
    return pending.stop_price in {None, answer.stop_price}


def of_query(order: Order, answer: OrderState | NotFound | Unknown, now: datetime) -> list[VenueReport] | None:
    """Reports of the answer to a query; None when it proves nothing yet: ask again later."""
    match answer:
        case OrderState():
            return of_state(order, answer, "reconciliation")
        case NotFound() if order.status in UNPROVED and now - (order.unproved_at or order.updated_at) > ARRIVAL_WINDOW:
            reason = "the venue does not know the order, and its receive window is over"
            return [report(order, "rejected", "reconciliation", code="never_arrived", reason=reason)]
        case _:
            return None
