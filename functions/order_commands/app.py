"""Create, modify and cancel orders. Rule: an order is answered only after it is durable, and reserved for.

The risk rules run in this process; buying power, limits version and kill switches are checked in the commit, together
with everything that the order writes. Cancels pass no gate.
"""

from uuid import UUID

from patriot.domain.order import Order
from patriot.domain.order_commands import create, request_cancel, request_modify
from patriot.domain.risk.context import Approved, RiskContext
from patriot.runtime.aggregates import ORDER
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import ProblemError, not_found
from patriot.runtime.risk import Risk, judge
from patriot.store.api import Guard, GuardFailed
from schemas.commands import CreateOrder, ModifyOrder
from schemas.events import OrderCancelled, OrderCancelRequested, OrderCreated, OrderModified, OrderModifyRequested
from schemas.queries import OrderReceipt
from schemas.types import OrderStatus

function = Function(
    "order-commands",
    publishes=(OrderCreated, OrderModifyRequested, OrderModified, OrderCancelRequested, OrderCancelled),
)


@function.post("/orders", status_code=201, needs="orders:create", idempotent=True)
async def create_order(command: CreateOrder, context: Context) -> OrderReceipt:
    """Validate, check the risk, reserve, and make the order durable. Its execution follows in events."""
    await _require_active(command.account_id, context)
    order_id = context.uuid()
    facts, verdict, guards = await _judged(command, context)
    events = create(
        command,
        order_id=order_id,
        user_id=context.user.user_id,
        reservation=verdict.reservation,
        limits_version=verdict.limits_version,
    )
    receipt = _receipt(order_id, events[0].client_order_id, "pending", 1, context)

    async def propose() -> Proposal[OrderReceipt]:
        return Proposal([Change(context.new(ORDER, order_id), events)], receipt, guards)

    try:
        answer = await context.decide(propose)
    except GuardFailed:
        Risk.of(context.runtime).forget_limits(command.account_id)
        context.runtime.references.forget_account(context.tenant_id, command.account_id)
        raise
    Risk.of(context.runtime).count(facts, context.runtime.clock.monotonic())
    return answer


@function.patch("/orders/{order_id}", needs="orders:modify", idempotent=True)
async def modify_order(order_id: UUID, command: ModifyOrder, context: Context) -> OrderReceipt:
    """Ask for another quantity, price or both. The venue's answer follows in events."""
    request_id = context.uuid()
    loaded = await _own(order_id, context)
    wanted = _as_it_will_be(loaded.state, command)
    _, verdict, guards = await _judged(wanted, context, loaded.state)

    async def propose() -> Proposal[OrderReceipt]:
        current = await _own(order_id, context)
        assert current.state is not None
        events = request_modify(current.state, command, request_id=request_id, reservation=verdict.reservation)
        return Proposal([Change(current, events)], _receipt_of(current, len(events), context), guards)

    return await context.decide(propose)


@function.delete("/orders/{order_id}", needs="orders:cancel", idempotent=True)
async def cancel_order(order_id: UUID, context: Context) -> OrderReceipt:
    """Ask for the end of an order. Repeating it is harmless."""

    async def propose() -> Proposal[OrderReceipt]:
        loaded = await _own(order_id, context)
        assert loaded.state is not None
        events = request_cancel(loaded.state, "asked by the user")
        return Proposal([Change(loaded, events)], _receipt_of(loaded, len(events), context))

    return await context.decide(propose)


async def _judged(
    command: CreateOrder, context: Context, modified: Order | None = None
) -> tuple[RiskContext, Approved, tuple[Guard, ...]]:
    facts, guards = await Risk.of(context.runtime).facts(context, command, modified)
    return facts, judge(facts), guards


async def _require_active(account_id: UUID, context: Context) -> None:
    account = await context.own_account(account_id)
    if not account["is_active"]:
        raise ProblemError(409, "account_inactive", "this account is deactivated; link it again to trade")


async def _own(order_id: UUID, context: Context) -> Loaded[Order]:
    loaded = await context.load(ORDER, order_id)
    if loaded.state is None or loaded.state.user_id != context.user.user_id:
        raise not_found("order", order_id)  # another user's order is not told from a missing one
    return loaded


def _as_it_will_be(order: Order | None, command: ModifyOrder) -> CreateOrder:
    assert order is not None
    return CreateOrder.model_construct(
        account_id=order.account_id,
        instrument=order.instrument,
        side=order.side,
        order_type=order.order_type,
        quantity=command.quantity or order.quantity,
        price=command.price or order.price,
        stop_price=order.stop_price,
        time_in_force=order.time_in_force,
        expire_at=order.expire_at,
        post_only=order.post_only,
        reduce_only=order.reduce_only,
        strategy_id=order.strategy_id,
    )


def _receipt_of(loaded: Loaded[Order], events: int, context: Context) -> OrderReceipt:
    assert loaded.state is not None
    order = loaded.state
    return _receipt(order.order_id, order.client_order_id, order.status, loaded.version + events, context)


def _receipt(order_id: UUID, client_id: str, status: OrderStatus, version: int, context: Context) -> OrderReceipt:
    return OrderReceipt(
        order_id=order_id,
        client_order_id=client_id,
        status=status,
        version=version,
        correlation_id=context.origin.correlation_id,
    )


app = function.app
