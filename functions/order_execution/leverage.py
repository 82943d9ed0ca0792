"""Tells the venue an order's leverage before the order is sent. Rule: what the venue has not confirmed opens nothing.

Each process tells it once in some minutes per account and instrument, and again when the limits' version has grown, as
it does with every change of leverage, whoever made it. Said again, it changes nothing. Nothing of the order has been
sent then, so an order whose leverage cannot be had ends.
"""

from typing import cast
from uuid import UUID

from patriot.domain.order import Order
from patriot.domain.venue import Accepted, Rejected, VenueAdapter
from patriot.runtime.context import RequestContext
from patriot.runtime.ports import Runtime

ASK_AGAIN_SECONDS = (0.0, 0.1, 0.4, 1.0)
KEPT_SECONDS = 600.0
ENTRIES_MAX = 100_000

Confirmed = dict[tuple[UUID, str, str | None], tuple[int, int, float]]
"""(account, instrument, strategy) -> leverage, version of the limits, and until when nobody is told again."""


async def refusal(order: Order, adapter: VenueAdapter, context: RequestContext) -> str:
    """Why the order may not be sent; empty where the venue has its leverage. What only closes needs none."""
    needs_none = order.leverage is None or order.reduce_only or order.attempt or order.ended
    if needs_none or _is_confirmed(order, context.runtime):
        return ""
    async with context.runtime.locks.hold(("leverage", order.account_id, order.instrument)):
        return "" if _is_confirmed(order, context.runtime) else await _tell(order, adapter, context)


async def _tell(order: Order, adapter: VenueAdapter, context: RequestContext) -> str:
    assert order.leverage is not None
    reason = ""
    for pause_seconds in ASK_AGAIN_SECONDS:
        await context.runtime.clock.sleep(pause_seconds)
        outcome = await adapter.set_leverage(order.account_id, order.instrument, order.leverage)
        if isinstance(outcome, Accepted):
            _keep(order, context.runtime)
            return ""
        reason = outcome.reason
        if isinstance(outcome, Rejected):
            return f"the venue refuses a leverage of {order.leverage}: {reason}"
    return f"the venue does not confirm a leverage of {order.leverage}: {reason}"


def _is_confirmed(order: Order, runtime: Runtime) -> bool:
    leverage, version, until = _confirmed(runtime).get(_key(order), (0, 0, 0.0))
    return (leverage, version) == (order.leverage, order.limits_version) and runtime.clock.monotonic() < until


def _keep(order: Order, runtime: Runtime) -> None:
    assert order.leverage is not None
    confirmed = _confirmed(runtime)
    if len(confirmed) >= ENTRIES_MAX:
        confirmed.clear()
    confirmed[_key(order)] = (order.leverage, order.limits_version, runtime.clock.monotonic() + KEPT_SECONDS)


def _confirmed(runtime: Runtime) -> Confirmed:
    return cast("Confirmed", runtime.local.setdefault("leverage", {}))


def _key(order: Order) -> tuple[UUID, str, str | None]:
    """The version is that of all levels above the order, its strategy's too."""
    return order.account_id, order.instrument, order.strategy_id
