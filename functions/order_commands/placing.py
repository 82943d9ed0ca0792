"""Make new orders durable: judged, reserved for, one or a whole list in one commit. Rule: all of them or none.

Members of a list that wait for another are judged by the rules about the order itself; those about the account come
when they may be sent, for until then there is nothing that they would add.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

from msgspec import Struct

from functions.order_commands.receipts import receipt_of
from patriot.domain.emulation import emulations
from patriot.domain.order import Reservation
from patriot.domain.order_commands import as_command, create, request_modify
from patriot.domain.order_lists import links, member_id, reserving, slices
from patriot.domain.risk.context import RiskContext, Stage
from patriot.runtime.aggregates import ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal, after
from patriot.runtime.problem import ProblemError
from patriot.runtime.projections import order_row
from patriot.runtime.risk import AT_COMMIT, Risk, decide_judged, judge
from patriot.store.api import Guard, Row
from schemas.commands import CreateOrder, ModifyOrder
from schemas.events import OrderCreated
from schemas.queries import OrderListReceipt, OrderReceipt
from schemas.types import ListKind, ListLink

Receipt = TypeVar("Receipt", OrderReceipt, OrderListReceipt)

ABOUT_THE_ORDER = tuple(rule for rule in AT_COMMIT if rule.stage is not Stage.ACCOUNT)
SLICES_MAX = 100


class Wanted(Struct, frozen=True):
    """An order to be made. `reserves` False: it waits for another, and is backed when its turn comes."""

    order_id: UUID
    command: CreateOrder
    link: ListLink | None = None
    reserves: bool = True


class Judged(Struct, frozen=True):
    """A wanted order as it will be, and what it was judged on."""

    wanted: Wanted
    event: OrderCreated
    facts: RiskContext
    maxima: Mapping[str, Decimal]


async def place(command: CreateOrder, order_id: UUID, context: RequestContext) -> OrderReceipt:
    """One order. An iceberg that the venue does not know becomes a list of slices; the receipt is the first one's."""
    await require_active(command.account_id, context)
    judged, guards = await _judged(Wanted(order_id, command), context)
    if "iceberg" in judged.event.emulated:
        parts, guards = await _members(order_id, "iceberg", _slices(command), context)
        return await _commit(parts, _receipt(parts[0], context), guards, context)
    return await _commit([judged], _receipt(judged, context), guards, context)


async def place_list(
    list_id: UUID, kind: ListKind, orders: Sequence[CreateOrder], context: RequestContext
) -> OrderListReceipt:
    """Several orders that belong together."""
    await require_active(orders[0].account_id, context)
    found, guards = await _members(list_id, kind, orders, context)
    receipts = tuple(_receipt(judged, context) for judged in found)
    return await _commit(found, OrderListReceipt(list_id=list_id, kind=kind, orders=receipts), guards, context)


async def _members(
    list_id: UUID, kind: ListKind, orders: Sequence[CreateOrder], context: RequestContext
) -> tuple[list[Judged], tuple[Guard, ...]]:
    first, found, guards = reserving(kind, orders), list[Judged](), tuple[Guard, ...]()
    for link, order in zip(links(list_id, kind, len(orders)), orders, strict=True):
        wanted = Wanted(member_id(list_id, link.number), order, link, link.number in first)
        judged, its_guards = await _judged(wanted, context)
        found.append(judged)
        guards = tuple(dict.fromkeys((*guards, *its_guards)))  # of all: a level may change between two judgements
    return found, guards


async def require_active(account_id: UUID, context: RequestContext) -> None:
    account = await context.own_account(account_id)
    if not account["is_active"]:
        raise ProblemError(409, "account_inactive", "this account is deactivated; link it again to trade")


def _slices(command: CreateOrder) -> list[CreateOrder]:
    assert command.display_quantity is not None
    if command.quantity > command.display_quantity * SLICES_MAX:
        rule = f"would make more than {SLICES_MAX} slices of it; show more at a time"
        raise ProblemError(422, "too_many_slices", f"display_quantity {rule}", [("display_quantity", rule)])
    return slices(command)


async def _judged(wanted: Wanted, context: RequestContext) -> tuple[Judged, tuple[Guard, ...]]:
    facts, guards = await Risk.of(context.runtime).facts(context, wanted.command)
    verdict = judge(facts, AT_COMMIT if wanted.reserves else ABOUT_THE_ORDER)
    (event,) = create(
        wanted.command,
        order_id=wanted.order_id,
        user_id=context.user.user_id,
        reservation=verdict.reservation if wanted.reserves else Reservation("", Decimal(0)),
        limits_version=verdict.limits_version,
        emulated=emulations(wanted.command, facts.known_instrument, wanted.link),
        link=wanted.link,
        leverage=facts.leverage,
    )
    return Judged(wanted, event, facts, verdict.maxima), guards


async def _commit(
    judged: Sequence[Judged], receipt: Receipt, guards: tuple[Guard, ...], context: RequestContext
) -> Receipt:
    async def propose() -> Proposal[Receipt]:
        changes = [Change(context.new(ORDER, one.wanted.order_id), [one.event]) for one in judged]
        maxima = {name: maximum for one in judged for name, maximum in one.maxima.items()}
        return Proposal(changes, receipt, guards, rows=_rows(judged, context), maxima=maxima)

    reserving_first = sorted(judged, key=lambda one: not one.wanted.reserves)
    return await decide_judged(context, propose, [one.facts for one in reserving_first])


async def modify(order_id: UUID, command: ModifyOrder, context: RequestContext) -> OrderReceipt:
    """Judged as it will be. What waits for its turn holds nothing until then."""
    request_id, order = context.uuid(), (await context.own(ORDER, order_id)).found
    facts, guards = await Risk.of(context.runtime).facts(context, as_command(order, command), order)
    waits = bool(order.waits_for) and not order.reserved.amount
    verdict = judge(facts, ABOUT_THE_ORDER if waits else AT_COMMIT)
    reservation = order.reserved if waits else verdict.reservation

    async def propose() -> Proposal[OrderReceipt]:
        current = await context.own(ORDER, order_id)
        events = request_modify(current.found, command, request_id=request_id, reservation=reservation)
        receipt, change = receipt_of(current, len(events), context), Change(current, events)
        ((_, _, state),) = after([change], context.now())
        rows = [order_row(state)] if events and state.waits_for else []
        return Proposal([change], receipt, guards, rows, maxima=verdict.maxima)

    return await decide_judged(context, propose, [facts])


def _receipt(judged: Judged, context: RequestContext) -> OrderReceipt:
    event = judged.event
    return OrderReceipt(
        order_id=event.order_id,
        client_order_id=event.client_order_id,
        status="pending",
        version=1,
        correlation_id=context.origin.correlation_id,
        emulated=event.emulated,
        list_id=event.link.list_id if event.link else None,
    )


def _rows(judged: Sequence[Judged], context: RequestContext) -> list[Row]:
    """What the platform holds back, or has placed itself, stands in the read model from the start: `triggers` and
    strategies begin with these rows, and must miss none.
    """
    events = [one.event for one in judged]
    own = [event for event in events if event.emulated or event.link or event.strategy_id]
    return [order_row(ORDER.fold(None, event, 1, context.now())) for event in own]
