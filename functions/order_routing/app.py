"""Decide which venue adapter executes an order. Rule: routed once; live money never goes to a paper route."""

from patriot.domain.order_commands import route
from patriot.runtime.aggregates import ORDER
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.function import Context, Function
from schemas.events import OrderCreated, OrderRouted
from schemas.topics import ORDER_EVENTS

function = Function("order-routing", publishes=(OrderRouted,))


@function.on(ORDER_EVENTS, OrderCreated)
async def choose(event: OrderCreated, context: Context) -> None:
    """Route by the mode of the account: "paper" (the built-in venue) or "live" (the exchange itself)."""
    account = await context.account(event.account_id)

    async def propose() -> Proposal[None]:
        loaded = await context.load(ORDER, event.order_id)
        assert loaded.state is not None, "order.created exists, so does its order"
        return Proposal([Change(loaded, route(loaded.state, account["mode"]))], None)

    await context.decide(propose)


app = function.app
