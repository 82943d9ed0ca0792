"""What may be asked about strategies, and what is answered. The schema of the parameters is that of the kind."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import Field, JsonValue

from schemas.types import InstrumentId, Message, Time

StrategyName = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 ._@-]+$")]
StrategyStatus = Literal["deployed", "running", "paused", "stopped"]
Parameters = Annotated[dict[str, JsonValue], Field(max_length=64)]


class DeployStrategy(Message):
    """A strategy of the catalogue with its parameters, for one account to begin with."""

    kind: StrategyName
    name: StrategyName
    account_id: UUID
    instruments: Annotated[tuple[InstrumentId, ...], Field(min_length=1, max_length=32)]
    parameters: Parameters = Field(default_factory=dict)
    start: Annotated[bool, Field(strict=True)] = False


class AssignStrategy(Message):
    account_id: UUID


class ChangeParameters(Message):
    parameters: Parameters


class StrategyKindView(Message):
    """`parameters` is a JSON Schema."""

    kind: str
    text: str
    parameters: dict[str, JsonValue]


class StrategyKindPage(Message):
    kinds: tuple[StrategyKindView, ...]


class StrategyView(Message):
    strategy_id: UUID
    kind: str
    name: str
    instruments: tuple[InstrumentId, ...]
    parameters: dict[str, JsonValue]
    status: StrategyStatus
    accounts: tuple[UUID, ...]
    created_at: Time
    updated_at: Time


class StrategyPage(Message):
    strategies: tuple[StrategyView, ...]
