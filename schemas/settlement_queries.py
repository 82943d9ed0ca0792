"""What settlement answers: a transfer as it stands."""

from uuid import UUID

from schemas.types import Message, Number, Time


class TransferView(Message):
    """`approvals` of `approvals_needed` persons have agreed."""

    transfer_id: UUID
    kind: str
    account_id: UUID
    to_account_id: UUID | None
    asset: str
    amount: Number
    destination: str
    status: str
    reason: str
    approvals: int
    approvals_needed: int
    created_at: Time
    updated_at: Time


class TransferPage(Message):
    transfers: tuple[TransferView, ...]
