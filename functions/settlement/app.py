"""Move money in, out and between accounts. Rule: one step, one commit; the next step follows from its event.

A crash between two steps leaves an event that is delivered again; a step that was taken is not taken twice. Where
money leaves, two persons who did not ask for it must agree (setting `withdrawal_approvals`).
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import Query as Parameter

from patriot.domain import transfer as saga
from patriot.domain.account import account_view, fund
from patriot.domain.transfer import Transfer
from patriot.runtime.aggregates import ACCOUNT, TRANSFER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Loaded, Proposal
from patriot.runtime.function import Context, Function
from patriot.runtime.problem import not_found
from schemas.commands import FundAccount
from schemas.events import AccountFunded, Event
from schemas.queries import AccountView
from schemas.settlement_commands import CreateTransfer, RejectTransfer, VenueAnswer
from schemas.settlement_events import (
    TransferApproved,
    TransferArrived,
    TransferEvent,
    TransferRejected,
    TransferRequested,
    TransferReturned,
    TransferSent,
)
from schemas.settlement_queries import TransferPage, TransferView
from schemas.topics import ACCOUNT_EVENTS

function = Function(
    "settlement",
    publishes=(
        AccountFunded,
        TransferRequested,
        TransferApproved,
        TransferRejected,
        TransferSent,
        TransferArrived,
        TransferReturned,
    ),
)

Limit = Annotated[int, Parameter(ge=1, le=1000)]


@function.post("/accounts/{account_id}/funds", status_code=201, needs="accounts:manage", idempotent=True)
async def deposit(account_id: UUID, command: FundAccount, context: Context) -> AccountView:
    """Put paper money into one of the caller's paper accounts."""
    transfer_id = context.uuid()

    async def propose() -> Proposal[AccountView]:
        owned = await context.own(ACCOUNT, account_id)
        account = owned.found
        asked = saga.request(transfer_id, account, "deposit", asset=command.asset, amount=command.amount)
        new = context.new(TRANSFER, transfer_id)
        arrived = saga.arrive(_folded(new, asked, context), None)
        funded = Change(owned, fund(account, command.asset, command.amount))
        return Proposal([Change(new, [*asked, *arrived]), funded], account_view(account))

    return await context.decide(propose)


@function.post("/transfers", status_code=201, needs="accounts:manage", idempotent=True)
async def create(command: CreateTransfer, context: Context) -> TransferView:
    """Ask for a withdrawal, or for a transfer to another account of the caller. The money is held at once."""
    transfer_id = context.uuid()

    async def propose() -> Proposal[TransferView]:
        account = (await context.own(ACCOUNT, command.account_id)).found
        to_id = command.to_account_id
        target = None if to_id is None else (await context.own(ACCOUNT, to_id)).found
        events = saga.request(
            transfer_id,
            account,
            command.kind,
            asset=command.asset,
            amount=command.amount,
            target=target,
            destination=command.destination,
            approvals_needed=context.runtime.settings.withdrawal_approvals,
        )
        return _proposal(context.new(TRANSFER, transfer_id), events, context)

    return await context.decide(propose)


@function.post("/transfers/{transfer_id}/approvals", status_code=201, needs="broker:manage", idempotent=True)
async def approve(transfer_id: UUID, context: Context) -> TransferView:
    """Agree to a withdrawal of somebody else."""
    return await _step(transfer_id, lambda transfer: saga.approve(transfer, context.user.user_id), context)


@function.post("/transfers/{transfer_id}/rejection", status_code=201, needs="broker:manage", idempotent=True)
async def reject(transfer_id: UUID, command: RejectTransfer, context: Context) -> TransferView:
    """Refuse a withdrawal; what was held is free again."""
    by = context.user.user_id
    return await _step(transfer_id, lambda transfer: saga.reject(transfer, by, command.reason), context)


@function.delete("/transfers/{transfer_id}", needs="accounts:manage", idempotent=True)
async def take_back(transfer_id: UUID, context: Context) -> TransferView:
    """Take back one's own request, as long as it is not approved."""
    by = context.user.user_id
    await context.own(TRANSFER, transfer_id)
    return await _step(transfer_id, lambda transfer: saga.reject(transfer, by, "taken back"), context)


@function.get("/transfers", needs="portfolio:read")
async def transfers(context: Context, account_id: UUID | None = None, limit: Limit = 100) -> TransferPage:
    """The caller's transfers, newest first."""
    where: dict[str, Any] = {"user_id": context.user.user_id}
    if account_id is not None:
        await context.own_account(account_id)
        where["account_id"] = account_id
    rows = await context.find("transfers", where, ["-created_at"], limit)
    return TransferPage(transfers=tuple(_row_view(row) for row in rows))


@function.get("/transfers/pending", needs="broker:manage")
async def pending(context: Context, limit: Limit = 100) -> TransferPage:
    """All withdrawals of the tenant that wait for an approval, oldest first."""
    rows = await context.find("transfers", {"status": "requested"}, ["created_at"], limit)
    return TransferPage(transfers=tuple(_row_view(row) for row in rows))


@function.on(ACCOUNT_EVENTS, TransferRequested, TransferApproved)
async def go_on(event: TransferEvent, context: Context) -> None:
    """Take the money out of the account as soon as nothing is waited for."""
    await _step(event.transfer_id, saga.send, context)


@function.invoked("/transfers/{transfer_id}/venue")
async def venue_answered(transfer_id: UUID, command: VenueAnswer, context: Context) -> TransferView:
    """The venue has let the money go, or has refused: the end of the saga, or its compensation."""
    loaded = await context.load(TRANSFER, transfer_id)
    target_id = loaded.state.to_account_id if loaded.state else None
    target = (await context.load(ACCOUNT, target_id)).state if target_id else None

    def step(transfer: Transfer) -> list[Event]:
        if command.refusal:
            return saga.give_back(transfer, command.refusal)
        return saga.arrive(transfer, target)

    return await _step(transfer_id, step, context)


async def _step(transfer_id: UUID, step: Callable[[Transfer], list[Event]], context: RequestContext) -> TransferView:
    async def propose() -> Proposal[TransferView]:
        loaded = await context.load(TRANSFER, transfer_id)
        if loaded.state is None:
            raise not_found("transfer", transfer_id)
        return _proposal(loaded, step(loaded.state), context)

    return await context.decide(propose)


def _proposal(loaded: Loaded[Transfer], events: Sequence[Event], context: RequestContext) -> Proposal[TransferView]:
    return Proposal([Change(loaded, events)], _view(_folded(loaded, events, context)))


def _folded(loaded: Loaded[Transfer], events: Sequence[Event], context: RequestContext) -> Transfer:
    state = loaded.state
    for number, event in enumerate(events, loaded.version + 1):
        state = saga.fold(state, event, number, context.now())
    assert state is not None
    return state


def _view(transfer: Transfer) -> TransferView:
    names = TransferView.model_fields.keys() - {"approvals"}
    shown = {name: getattr(transfer, name) for name in names}
    return TransferView(approvals=len(transfer.approvals), **shown)


def _row_view(row: Any) -> TransferView:
    names = TransferView.model_fields.keys() - {"transfer_id"}
    return TransferView(transfer_id=row["id"], **{name: row[name] for name in names})


app = function.app
