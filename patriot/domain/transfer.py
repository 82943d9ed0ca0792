"""Transfers: a saga whose every step is one event. Rule: at each moment the money is in exactly one place.

    requested ──(approvals)──► approved ──► sent ──► arrived
        │                                     └────► returned    (compensation: back to the account it came from)
        └──► rejected

A deposit arrives at once. What leaves is held when it is asked for, so nobody can spend it twice; a withdrawal waits
for as many persons as it says, none of them the one who asked. Each step looks at the state before it: a step that is
told twice does nothing the second time, so a crash between two steps is mended by delivering again.
"""

from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Literal
from uuid import UUID

from patriot.domain.account import Account
from patriot.domain.errors import InvalidTransition, InvalidValue
from patriot.domain.ledger import transfer as moved
from schemas.events import Event, Hold
from schemas.settlement_events import (
    TransferApproved,
    TransferArrived,
    TransferEvent,
    TransferKind,
    TransferRejected,
    TransferRequested,
    TransferReturned,
    TransferSent,
)

TransferStatus = Literal["requested", "approved", "sent", "arrived", "rejected", "returned"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """`account_id` is where the money comes from; of a deposit, where it goes."""

    transfer_id: UUID
    user_id: UUID
    kind: TransferKind
    account_id: UUID
    to_account_id: UUID | None
    asset: str
    amount: Decimal
    destination: str
    approvals_needed: int
    created_at: datetime
    updated_at: datetime
    approvals: tuple[UUID, ...] = ()
    status: TransferStatus = "requested"
    reason: str = ""
    version: int = 1


def fold(transfer: Transfer | None, event: Event, version: int, when: datetime) -> Transfer:
    """Raises InvalidTransition for an event that cannot come first or next."""
    if isinstance(event, TransferRequested) and transfer is None:
        status: TransferStatus = "requested" if event.approvals_needed else "approved"
        names = Transfer.__dataclass_fields__.keys() & TransferRequested.model_fields.keys()
        return Transfer(
            **{name: getattr(event, name) for name in names}, created_at=when, updated_at=when, status=status
        )
    if transfer is None:
        raise InvalidTransition(f"{event.TYPE} before account.transfer_requested")
    return replace(_after(transfer, event), version=version, updated_at=when)


def _after(transfer: Transfer, event: Event) -> Transfer:
    match event:
        case TransferApproved():
            approvals = (*transfer.approvals, event.approver_id)
            done = len(approvals) >= transfer.approvals_needed
            return replace(transfer, approvals=approvals, status="approved" if done else "requested")
        case TransferRejected():
            return replace(transfer, status="rejected", reason=event.reason)
        case TransferSent():
            return replace(transfer, status="sent")
        case TransferArrived():
            return replace(transfer, status="arrived")
        case TransferReturned():
            return replace(transfer, status="returned", reason=event.reason)
        case _:
            raise InvalidTransition(f"{event.TYPE} is no event of a transfer")


def request(
    transfer_id: UUID,
    account: Account,
    kind: TransferKind,
    *,
    asset: str,
    amount: Decimal,
    target: Account | None = None,
    destination: str = "",
    approvals_needed: int = 0,
) -> list[Event]:
    """Ask for a transfer. Raises InvalidTransition or InvalidValue where it cannot be."""
    for one in (account, *([target] if target else [])):
        if one.mode != "paper":
            raise InvalidTransition("the money of a live account is moved at its exchange, not here")
        if not one.active:
            raise InvalidTransition("the account is deactivated")
    if (target is not None) != (kind == "internal"):
        raise InvalidValue("to_account_id", "goes with an internal transfer, and only with it")
    if target is not None and target.account_id == account.account_id:
        raise InvalidValue("to_account_id", "must be another account")
    held = () if kind == "deposit" else (Hold(asset=asset, reserved=amount),)
    asked = TransferRequested(
        transfer_id=transfer_id,
        account_id=account.account_id,
        user_id=account.user_id,
        kind=kind,
        to_account_id=target.account_id if target else None,
        asset=asset,
        amount=amount,
        destination=destination,
        approvals_needed=approvals_needed if kind == "withdrawal" else 0,
        holds=held,
    )
    return [asked]


def approve(transfer: Transfer, approver_id: UUID) -> list[Event]:
    """One person's agreement; the same person's second changes nothing. Raises InvalidTransition."""
    if approver_id == transfer.user_id:
        raise InvalidTransition("who asked for a transfer cannot approve it")
    if approver_id in transfer.approvals:
        return []
    _require_open(transfer)
    return [TransferApproved(**_names(transfer), approver_id=approver_id)]


def reject(transfer: Transfer, by: UUID, reason: str) -> list[Event]:
    """Before it is approved, the one who asked may take it back and an approver may refuse it."""
    if transfer.status == "rejected":
        return []
    _require_open(transfer)
    return [TransferRejected(**_names(transfer), by=by, reason=reason, holds=_freed(transfer))]


def send(transfer: Transfer) -> list[Event]:
    """Take the money out of the account, once the transfer is approved."""
    if transfer.status != "approved" or transfer.kind == "deposit":
        return []
    taken = moved(transfer.asset, transfer.amount, "cash", "transit")
    return [TransferSent(**_names(transfer), **_money(transfer), holds=_freed(transfer), postings=taken)]


def arrive(transfer: Transfer, target: Account | None) -> list[Event]:
    """After the venue has let it go: pay it out or into the target; a target that is gone gives it back."""
    if transfer.kind == "deposit":
        return [TransferArrived(**_names(transfer), **_money(transfer))] if transfer.status == "approved" else []
    if transfer.status != "sent":
        return []
    if transfer.kind == "withdrawal":
        paid = moved(transfer.asset, transfer.amount, "transit", "external")
        return [TransferArrived(**_names(transfer), **_money(transfer), postings=paid)]
    if target is None or not target.active:
        return give_back(transfer, "the account that it goes to is deactivated")
    names = _names(transfer) | {"account_id": target.account_id}
    put_in = moved(transfer.asset, transfer.amount, "transit", "cash")
    return [TransferArrived(**names, **_money(transfer), postings=put_in)]


def give_back(transfer: Transfer, reason: str) -> list[Event]:
    """Compensation for a transfer that cannot go on."""
    if transfer.status != "sent":
        return []
    back = moved(transfer.asset, transfer.amount, "transit", "cash")
    return [TransferReturned(**_names(transfer), **_money(transfer), reason=reason, postings=back)]


def _require_open(transfer: Transfer) -> None:
    if transfer.status != "requested":
        raise InvalidTransition(f"the transfer is {transfer.status}")


def _freed(transfer: Transfer) -> tuple[Hold, ...]:
    return (Hold(asset=transfer.asset, reserved=-transfer.amount),)


def _names(transfer: Transfer) -> dict[str, UUID]:
    return {name: getattr(transfer, name) for name in TransferEvent.model_fields if name.endswith("_id")}


def _money(transfer: Transfer) -> dict[str, object]:
    return {"asset": transfer.asset, "amount": transfer.amount}
