"""Send orders to venues and report what they prove. Rule: `submit_started` is durable before the first byte leaves.

Who finds `submit_started` without an outcome (a redelivery after a crash) asks the venue and never sends. An answer
without proof makes the order `unknown`; unknown orders are asked for until the venue has proved something.
"""

from typing import Literal
from uuid import UUID

from functions.order_execution import leverage
from patriot.domain import reporting
from patriot.domain.emulation import as_sent
from patriot.domain.order import Order
from patriot.domain.order_commands import record_unknown, request_cancel, start_submit
from patriot.domain.order_states import LIVE, UNSENT
from patriot.domain.venue import Accepted, OrderRef, OrderState, Outcome, Unknown, VenueAdapter
from patriot.runtime.aggregates import ORDER
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.halts import Halts
from patriot.runtime.problem import ProblemError
from patriot.telemetry.tracing import traced_calls
from schemas.events import (
    OrderCancelled,
    OrderCancelRequested,
    OrderModifyRequested,
    OrderRouted,
    OrderSubmitStarted,
    OrderSubmitUnknown,
)
from schemas.queries import OrderLook
from schemas.topics import ORDER_EVENTS

Request = Literal["cancel", "modify"]
OPENING_LOOKS, OPENING_SECONDS = 300, 0.1
ASK_AGAIN_SECONDS = (0.1, 0.3, 1.0, 2.0, 4.0, 8.0)

function = Function(
    "order-execution",
    publishes=(OrderSubmitStarted, OrderSubmitUnknown, OrderCancelRequested, OrderCancelled),
    trades=True,
)


class StillUnknown(Exception):
    """The venue has not proved anything yet: the broker shall deliver this again."""


class VenueNotReady(Exception):
    """Nobody has opened this route yet: the broker shall deliver this again."""


@function.on(ORDER_EVENTS, OrderRouted)
async def submit(event: OrderRouted, context: Context) -> None:
    """Send the order once. What a kill switch finds unsent ends."""
    if await _stopped(event.order_id, context):
        return
    order = await _order(event.order_id, context)
    adapter = await _opened(order, context)  # before the right to send is taken
    if reason := await leverage.refusal(order, adapter, context):
        await _end_unsent(event.order_id, reason, context)
        return
    order, may_send = await _start(event.order_id, context)
    if not may_send:
        if not order.ended:  # the crash may have come between two reports of one answer
            await _ask(order, adapter, context)
        return
    outcome = await adapter.create(as_sent(order))
    if isinstance(outcome, Unknown):
        await _mark_unknown(order.order_id, outcome.reason, context)
    await context.publish_reports(order.user_id, reporting.of_submit(order, outcome))


@function.on(ORDER_EVENTS, OrderSubmitUnknown)
async def resolve_unknown(event: OrderSubmitUnknown, context: Context) -> None:
    """Ask until there is proof. Raises StillUnknown after a while; the broker tries again, reconciliation too."""
    order = await _order(event.order_id, context)
    for pause_seconds in ASK_AGAIN_SECONDS:
        await context.runtime.clock.sleep(pause_seconds)
        order = await _order(event.order_id, context)
        if order.ended or await _resolved(order, context):
            return
    if order.status == "unknown":
        raise StillUnknown(order.order_id)


@function.invoked("/orders/{order_id}/look")
async def look(order_id: UUID, context: Context) -> OrderLook:
    """Ask the venue how an order stands, and report all that it proves: fills may come after the end."""
    order = await _order(order_id, context)
    answer = await _adapter(order, context).query(_ref(order))
    if isinstance(answer, Unknown):
        raise ProblemError(503, "venue_unavailable", f"the venue has not told how the order stands: {answer.reason}")
    await context.publish_reports(order.user_id, reporting.of_query(order, answer, context.now()) or [])
    filled = answer.filled_quantity if isinstance(answer, OrderState) else order.filled_quantity
    return OrderLook(order_id=order_id, filled_quantity=filled)


@function.on(ORDER_EVENTS, OrderCancelRequested)
async def cancel(event: OrderCancelRequested, context: Context) -> None:
    order = await _order(event.order_id, context)
    if order.ended or not order.attempt:
        return  # an order that was never sent has ended already, without the venue
    outcome = await _adapter(order, context).cancel(_ref(order))
    await _report_request(order, "cancel", outcome, context)


@function.on(ORDER_EVENTS, OrderModifyRequested)
async def modify(event: OrderModifyRequested, context: Context) -> None:
    order = await _order(event.order_id, context)
    pending = order.pending_modify
    if order.status not in LIVE:
        return
    if pending is None or pending.request_id != event.request_id:
        await _resolved(order, context)  # answered already; the crash may have come before all of it was reported
        return
    terms = (event.quantity, event.price, order.side, event.stop_price)
    outcome = await _adapter(order, context).modify(_ref(order), *terms)
    if isinstance(outcome, Accepted):
        modified = reporting.of_modified(order, pending, "command", outcome.venue_order_id)
        state = reporting.of_state(order, outcome.state, "command") if outcome.state else []
        await context.publish_reports(order.user_id, [modified, *state])
    else:
        await _report_request(order, "modify", outcome, context)


async def _stopped(order_id: UUID, context: Context) -> bool:
    """Whether trading was halted above the order since it was created. Raises StoreUnavailable: nothing is sent.

    A stop that only closes protects: held by the platform, it goes out as one that rests at the venue would.
    """
    order = await _order(order_id, context)
    if order.reduce_only and "trigger" in order.emulated:
        return False
    scope = await Halts.of(context.runtime).above(order, context)
    if scope is None or order.reduce_only or order.status not in UNSENT:
        return False  # what only closes, as a stop that fires, still goes
    return await _end_unsent(order_id, f"trading was halted: {scope}", context)


async def _end_unsent(order_id: UUID, reason: str, context: Context) -> bool:
    """End an order that was never sent. False: it has been."""

    async def propose() -> Proposal[bool]:
        loaded = await context.load(ORDER, order_id)
        assert loaded.state is not None
        events = request_cancel(loaded.state, reason) if loaded.state.status in UNSENT else []
        return Proposal([Change(loaded, events)], bool(events))

    return await context.decide(propose)


async def _start(order_id: UUID, context: Context) -> tuple[Order, bool]:
    """Commit the right to send. False: somebody has it already, or the order ended before it was sent."""

    async def propose() -> Proposal[tuple[Order, bool]]:
        loaded = await context.load(ORDER, order_id)
        assert loaded.state is not None
        events = start_submit(loaded.state)
        return Proposal([Change(loaded, events)], (loaded.state, bool(events)))

    return await context.decide(propose)


async def _mark_unknown(order_id: UUID, reason: str, context: Context) -> None:
    async def propose() -> Proposal[None]:
        loaded = await context.load(ORDER, order_id)
        assert loaded.state is not None
        return Proposal([Change(loaded, record_unknown(loaded.state, reason))], None)

    await context.decide(propose)


async def _ask(order: Order, adapter: VenueAdapter, context: Context) -> None:
    """A submit was interrupted: its outcome is unknown until the venue tells."""
    reports = reporting.of_query(order, await adapter.query(_ref(order)), context.now())
    if reports is None:
        await _mark_unknown(order.order_id, "interrupted while it was sent", context)
    else:
        await context.publish_reports(order.user_id, reports)


async def _resolved(order: Order, context: Context) -> bool:
    answer = await _adapter(order, context).query(_ref(order))
    reports = reporting.of_query(order, answer, context.now())
    await context.publish_reports(order.user_id, reports or [])
    return reports is not None


async def _report_request(order: Order, request: Request, outcome: Outcome, context: Context) -> None:
    """Report what the answer proves. A refusal, or no proof: ask the venue how the order stands."""
    if isinstance(outcome, Accepted):
        accepted = reporting.report(order, "cancelled", "command", venue_order_id=outcome.venue_order_id)
        state = reporting.of_state(order, outcome.state, "command") if outcome.state else [accepted]
        await context.publish_reports(order.user_id, state)
        return
    answer = await _adapter(order, context).query(_ref(order))
    if isinstance(answer, Unknown):  # a refusal may only mean that an earlier delivery has done it already
        raise StillUnknown(order.order_id)
    reports = reporting.of_request(order, request, outcome, answer)
    reports = [*reports, *(reporting.of_query(order, answer, context.now()) or [])]
    await context.publish_reports(order.user_id, reports)
    if not reports:
        raise StillUnknown(order.order_id)


async def _order(order_id: UUID, context: Context) -> Order:
    loaded = await context.load(ORDER, order_id)
    assert loaded.state is not None, "its event exists, so does the order"
    return loaded.state


async def _opened(order: Order, context: Context) -> VenueAdapter:
    """The adapter of the order's route; at a start it may take some seconds to open. Raises VenueNotReady."""
    for _ in range(OPENING_LOOKS):
        if order.route in context.runtime.venues:
            break
        await context.runtime.clock.sleep(OPENING_SECONDS)
    return _adapter(order, context)


def _adapter(order: Order, context: Context) -> VenueAdapter:
    adapter = context.runtime.venues.get(order.route)
    if adapter is None:
        raise VenueNotReady(order.route)
    return traced_calls(adapter, "venue")


def _ref(order: Order) -> OrderRef:
    return OrderRef(order.account_id, order.instrument, order.client_order_id, order.venue_order_id)


app = function.app
