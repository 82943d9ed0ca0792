"""Decide which venue adapter executes an order. Rule: routed once; live money never goes to a paper route."""

from patriot.domain.order_commands import route
from patriot.runtime.aggregates import ORDER
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.function import Context, Function
from schemas.events import OrderArmed, OrderCreated, OrderEvent, OrderReleased, OrderRouted, OrderTriggered
from schemas.topics import ORDER_EVENTS

function = Function("order-routing", publishes=(OrderRouted,))


@function.on(ORDER_EVENTS, OrderCreated, OrderArmed, OrderTriggered, OrderReleased)
async def choose(event: OrderEvent, context: Context) -> None:
    """Route by the mode of the account: "paper" (the built-in venue) or "live" (the exchange itself).

    What the platform holds back is not routed yet: each event that may have been the last to wait for asks again.
    """
    account = await context.account(event.account_id)

    async def propose() -> Proposal[None]:
        loaded = await context.load(ORDER, event.order_id)
        assert loaded.state is not None, "order.created exists, so does its order"
        return Proposal([Change(loaded, route(loaded.state, account["mode"]))], None)

    await context.decide(propose)


app = function.app
