"""What may be asked of settlement. Shapes and limits only; whether it may be done the saga decides."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field

from schemas.types import Message, Positive


class CreateTransfer(Message):
    """Money out of an account, or to another account of the same user. `destination` says where a withdrawal goes."""

    kind: Literal["withdrawal", "internal"]
    account_id: UUID
    to_account_id: UUID | None = None
    asset: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
    amount: Positive
    destination: Annotated[str, Field(max_length=128, pattern=r"^[ -~]*$")] = ""


class RejectTransfer(Message):
    reason: Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f]+$")]


class VenueAnswer(Message):
    """Of the venue that was asked to let money go; an empty `refusal` means that it has."""

    refusal: str = ""
