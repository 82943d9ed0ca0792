"""What has happened to a parent order that an execution algorithm works off. Its children are ordinary orders.

The id of child n is derived from the algorithm's (`patriot.domain.algorithm.child_id`): told before it is placed, it is
placed once, however often its placing is repeated.
"""

from typing import Any
from uuid import UUID

from pydantic import Field

from schemas.events import Event
from schemas.types import InstrumentId, Number, Positive, Side


class AlgorithmEvent(Event):
    STREAM = "algorithm"
    algorithm_id: UUID
    account_id: UUID
    user_id: UUID


class AlgorithmStarted(AlgorithmEvent):
    """`arrival_price` is the middle of the market when it was asked for: slippage is counted from it."""

    TYPE = "algorithm.started"
    algorithm: str
    instrument: InstrumentId
    side: Side
    quantity: Positive
    limit_price: Positive | None = None
    parameters: dict[str, Any] = Field(default_factory=dict)
    arrival_price: Positive
    reduce_only: bool = False


class AlgorithmChildPlaced(AlgorithmEvent):
    """Child `number` is decided; durable before it is placed."""

    TYPE = "algorithm.child_placed"
    number: int
    order_id: UUID
    quantity: Positive
    price: Positive | None = None


class AlgorithmProgressed(AlgorithmEvent):
    """Child `number` is over. The totals are those of all children; `slippage` in basis points of the arrival price,
    positive where it cost.
    """

    TYPE = "algorithm.progressed"
    number: int
    status: str
    reason: str = ""
    filled_quantity: Number
    filled_value: Number
    slippage: Number | None = None


class AlgorithmPaused(AlgorithmEvent):
    TYPE = "algorithm.paused"
    reason: str = ""


class AlgorithmResumed(AlgorithmEvent):
    TYPE = "algorithm.resumed"


class AlgorithmCancelRequested(AlgorithmEvent):
    TYPE = "algorithm.cancel_requested"


class AlgorithmCompleted(AlgorithmEvent):
    """Everything that could be done is done."""

    TYPE = "algorithm.completed"
    filled_quantity: Number
    average_price: Number | None = None
    slippage: Number | None = None


class AlgorithmCancelled(AlgorithmEvent):
    TYPE = "algorithm.cancelled"
    filled_quantity: Number
    average_price: Number | None = None
    slippage: Number | None = None
    reason: str = ""
