"""Money that comes, goes, or moves. One stream per transfer; between two accounts it is in the ledger `transit`."""

from typing import Literal
from uuid import UUID

from schemas.events import MoneyEvent
from schemas.types import Number, Positive

TransferKind = Literal["deposit", "withdrawal", "internal"]


class TransferEvent(MoneyEvent):
    """`account_id` is the account whose money this event moves or holds."""

    STREAM = "transfer"
    transfer_id: UUID
    user_id: UUID


class TransferRequested(TransferEvent):
    """What leaves an account is held from now on. `approvals_needed` other persons must agree first."""

    TYPE = "account.transfer_requested"
    kind: TransferKind
    to_account_id: UUID | None = None
    asset: str
    amount: Positive
    destination: str = ""
    approvals_needed: int = 0


class TransferApproved(TransferEvent):
    TYPE = "account.transfer_approved"
    approver_id: UUID


class TransferRejected(TransferEvent):
    """What was held is free again."""

    TYPE = "account.transfer_rejected"
    by: UUID
    reason: str


class TransferSent(TransferEvent):
    """Taken from the account; not yet anybody's. The venue is asked to let it go."""

    TYPE = "account.transfer_sent"
    asset: str
    amount: Number


class TransferArrived(TransferEvent):
    """The end of a transfer: paid out, or put into the account that it went to."""

    TYPE = "account.transfer_arrived"
    asset: str
    amount: Number


class TransferReturned(TransferEvent):
    """Compensation: put back where it came from."""

    TYPE = "account.transfer_returned"
    asset: str
    amount: Number
    reason: str
