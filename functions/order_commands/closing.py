"""End what is open: orders, lists, positions. Rule: cancels pass no gate, and repeating them is harmless.

A position is closed after its open orders are over, or after a moment: what may still fill is then left to a
reduce-only order, which cannot turn a position.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid5

from msgspec.structs import replace

from functions.order_commands import placing
from functions.order_commands.receipts import receipt_of
from patriot.domain.money import round_down
from patriot.domain.order import Order
from patriot.domain.order_commands import request_cancel
from patriot.domain.order_lists import member_id
from patriot.domain.position import position_id
from patriot.runtime.aggregates import ORDER, POSITION
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.problem import not_found
from patriot.runtime.risk import Risk
from patriot.store.api import VersionConflict
from schemas.commands import CancelOrders, ClosePositions, CreateOrder
from schemas.queries import OrderReceipt, OrderReceipts

OPEN = ("pending", "submitted", "accepted", "partially_filled", "unknown")
ORDERS_MAX = 10_000
ENDING_LOOKS, ENDING_SECONDS = 20, 0.05


async def cancel(order_id: UUID, context: RequestContext) -> OrderReceipt:
    """Ask for the end of one order."""
    order = (await context.own(ORDER, order_id)).found
    Risk.of(context.runtime).count_cancel(order.account_id, context.runtime.clock.monotonic())

    async def propose() -> Proposal[OrderReceipt]:
        loaded = await context.own(ORDER, order_id)
        events = request_cancel(loaded.found, "asked by the user")
        return Proposal([Change(loaded, events)], receipt_of(loaded, len(events), context))

    return await context.decide(propose)


async def cancel_list(list_id: UUID, context: RequestContext) -> OrderReceipts:
    """Ask for the end of every order of a list, in one commit."""

    async def propose() -> Proposal[OrderReceipts]:
        members = await _members(list_id, context)
        changes = [Change(one, request_cancel(one.found, "its list was cancelled by the user")) for one in members]
        receipts = [receipt_of(one.loaded, len(one.events), context) for one in changes]
        return Proposal(changes, OrderReceipts(orders=tuple(receipts)))

    return await context.decide(propose)


async def cancel_all(command: CancelOrders, context: RequestContext) -> OrderReceipts:
    """Ask for the end of each open order, one by one: none waits for, or fails with, another."""
    await context.own_account(command.account_id)
    receipts = await _cancel_open(command.account_id, command.instrument, context)
    return await _answered(receipts, context)


async def close(command: ClosePositions, context: RequestContext) -> OrderReceipts:
    """The receipts are those of the closing orders."""
    await placing.require_active(command.account_id, context)
    await _cancel_open(command.account_id, command.instrument, context)
    await _until_over(command, context)
    receipts = list[OrderReceipt]()
    for row in await context.find("positions", _where(command)):
        receipts += await _close(row["account_id"], row["instrument"], context)
    return await _answered(receipts, context)


async def _close(account_id: UUID, instrument_id: str, context: RequestContext) -> list[OrderReceipt]:
    """The order has an id that position, its version and the request give: repeated, the request makes no second."""
    loaded = await context.load(POSITION, position_id(account_id, instrument_id))
    instrument = await context.instrument(instrument_id)
    size = loaded.state.quantity if loaded.state else Decimal(0)
    quantity = round_down(abs(size), instrument.lot_size)
    if not quantity:
        return []
    key = context.idempotency.key if context.idempotency else str(context.uuid())
    command = CreateOrder(
        account_id=account_id,
        instrument=instrument_id,
        side="sell" if size > 0 else "buy",
        order_type="market",
        quantity=quantity,
        reduce_only=instrument.is_derivative,
    )
    order_id = uuid5(loaded.stream.id, f"close {loaded.version} {key}")
    try:
        return [await placing.place(command, order_id, _without_key(context))]
    except VersionConflict:
        known = await context.own(ORDER, order_id)
        return [receipt_of(known, 0, context)]


async def _cancel_open(account_id: UUID, instrument: str | None, context: RequestContext) -> list[OrderReceipt]:
    rows = await _open_rows(account_id, instrument, context)
    return [await cancel(row["id"], _without_key(context)) for row in rows]


async def _until_over(command: ClosePositions, context: RequestContext) -> None:
    for _ in range(ENDING_LOOKS):
        if not await _open_rows(command.account_id, command.instrument, context):
            return
        await context.runtime.clock.sleep(ENDING_SECONDS)


async def _open_rows(account_id: UUID, instrument: str | None, context: RequestContext) -> Sequence[Mapping[str, Any]]:
    where: dict[str, Any] = {"account_id": account_id, "status": list(OPEN)}
    where |= {"instrument": instrument} if instrument else {}
    return await context.find("orders", where, ["created_at"], ORDERS_MAX)


def _where(command: ClosePositions) -> dict[str, Any]:
    return {"account_id": command.account_id} | ({"instrument": command.instrument} if command.instrument else {})


async def _members(list_id: UUID, context: RequestContext) -> list[Loaded[Order]]:
    first = await context.own(ORDER, member_id(list_id, 0))
    link = first.found.link
    if link is None:
        raise not_found("order list", list_id)
    return [first] + [await context.own(ORDER, member_id(list_id, number)) for number in range(1, link.size)]


def _without_key(context: RequestContext) -> RequestContext:
    """One request, many commits: the answer is kept once, at the end."""
    return replace(context, idempotency=None)


async def _answered(receipts: Sequence[OrderReceipt], context: RequestContext) -> OrderReceipts:
    answer = OrderReceipts(orders=tuple(receipts))
    await context.remember(200, answer.model_dump_json().encode())
    return answer
