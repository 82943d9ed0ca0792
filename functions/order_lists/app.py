"""Keep order lists: brackets, oco, oto, icebergs. Rule: decided from how all members stand, in one commit.

What is armed or released and opens something is backed then: where the buying power is not there any more, or trading
is halted, it is cancelled instead.
"""

from uuid import UUID

from patriot.domain.order import Order
from patriot.domain.order_commands import as_command, hold, request_cancel
from patriot.domain.order_lists import member_id, needs_reservation, settle
from patriot.domain.risk.reservation import reservation_for
from patriot.runtime.aggregates import ORDER
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.risk import Risk
from patriot.store.api import Guard, GuardFailed, InsufficientFunds
from schemas.events import (
    OrderArmed,
    OrderCancelled,
    OrderCancelRequested,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderPartiallyFilled,
    OrderRejected,
    OrderReleased,
    OrderTradeBusted,
    OrderTriggered,
)
from schemas.topics import ORDER_EVENTS
from schemas.types import ListLink

function = Function("order-lists", publishes=(OrderArmed, OrderReleased, OrderCancelRequested, OrderCancelled))


@function.on(
    ORDER_EVENTS,
    OrderPartiallyFilled,
    OrderFilled,
    OrderTradeBusted,
    OrderCancelled,
    OrderRejected,
    OrderExpired,
    OrderTriggered,
)
async def follow(event: OrderEvent, context: Context) -> None:
    """Something happened to an order: let its list, if it has one, do what is due."""
    order = (await context.load(ORDER, event.order_id)).state
    assert order is not None, "its event exists, so does the order"
    if order.link is not None:
        await _settle(order.link, order.account_id, context)


async def _settle(link: ListLink, account_id: UUID, context: Context) -> None:
    try:
        await context.decide(lambda: _propose(link, context))
    except GuardFailed as error:
        Risk.of(context.runtime).forget_limits(account_id)
        if not error.halted:
            raise  # the limits have changed: delivered again, it is judged by the new ones
        await context.decide(lambda: _propose(link, context, "trading is halted"))
    except InsufficientFunds:
        await context.decide(lambda: _propose(link, context, "there is not enough buying power for it any more"))


async def _propose(link: ListLink, context: Context, refusal: str = "") -> Proposal[None]:
    loaded = [await context.load(ORDER, member_id(link.list_id, number)) for number in range(link.size)]
    members = {one.state.order_id: (one, one.state) for one in loaded if one.state is not None}
    _, first = members[member_id(link.list_id, 0)]
    changes, guards = list[Change](), tuple[Guard, ...]()
    for order, decided in settle([state for _, state in members.values()], await context.instrument(first.instrument)):
        events = decided
        if isinstance(events[0], OrderArmed | OrderReleased) and needs_reservation(order, first):
            if refusal:
                events = request_cancel(order, refusal)
            else:
                events, guards = await _backed(order, events, context)
        changes.append(Change(members[order.order_id][0], events))
    return Proposal(changes, None, guards)


async def _backed(
    order: Order, events: list[OrderEvent], context: Context
) -> tuple[list[OrderEvent], tuple[Guard, ...]]:
    """The events with what the order reserves from now on."""
    quantity = events[0].quantity  # type: ignore[attr-defined]  # of both kinds
    command = as_command(order).model_copy(update={"quantity": quantity})
    facts, guards = await Risk.of(context.runtime).facts(context, command, order)
    reservation = reservation_for(facts)
    held = hold(reservation.asset, reservation.amount)
    return [events[0].model_copy(update={"holds": held}), *events[1:]], guards


app = function.app
