"""What an execution algorithm is: one class in one file, pure: how much should be done by now, and at which price.

    class Twap(Algorithm):
        \"\"\"Equal parts over the time.\"\"\"
        NAME = "twap"
        class Parameters(Algorithm.Parameters): ...
        def target(self, view: View) -> Decimal: ...

Put it into `feeds/trading_engine/algorithms/<name>.py`; it is found there. It has no clock, no I/O and no chance
of its own: `View.chance` is drawn from the algorithm's id, so after a crash it decides as it would have.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from hashlib import sha256
from typing import ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from patriot.domain.algorithm import Algorithm as Parent

CHANCES = 2**64


@dataclass(frozen=True, slots=True)
class View:
    """The market and the parent as they are now. `seconds` since the start, without pauses; `volume` traded since.

    `profile` is the share of a day's volume by minute of the day (1,440 figures that sum to 1), `minute` the minute of
    the day at the start; `volatility` the standard deviation of a second's return, 0 where it is not known.
    """

    seconds: float
    bid: Decimal
    ask: Decimal
    volume: Decimal
    filled: Decimal
    profile: Sequence[float]
    minute: float
    volatility: float
    chance: float


class Algorithm:
    """Base of all. `parent` tells side, quantity, limit price and what was asked for."""

    NAME: ClassVar[str] = ""

    class Parameters(BaseModel):
        """What a user may set."""

        model_config = ConfigDict(extra="forbid", frozen=True)
        seconds: int = Field(300, ge=1, le=7 * 86_400, description="how long it may take")
        patience_seconds: float = Field(5.0, gt=0, description="how long a child with a price may rest")

    def __init__(self, parent: Parent, parameters: Parameters) -> None:
        self.parent = parent
        self.parameters = parameters

    def target(self, view: View) -> Decimal:
        """How much of the quantity should be done by now, open child included."""
        raise NotImplementedError

    def price(self, view: View) -> Decimal | None:
        """The limit price of the next child; None: at the market. Without a word, the parent's limit."""
        del view
        return self.parent.limit_price

    def is_over(self, view: View) -> bool:
        """Whether its time is up: what is left is then sent at once."""
        return view.seconds >= self.parameters.seconds

    def gives_up(self, view: View) -> bool:
        """Whether it ends with what is done, however little."""
        del view
        return False

    def share(self, fraction: float) -> Decimal:
        """A fraction of the quantity."""
        return self.parent.quantity * Decimal(str(min(1.0, max(0.0, fraction))))


def chance(algorithm_id: UUID, number: int) -> float:
    """A number in [0, 1) that belongs to the child."""
    return int.from_bytes(sha256(algorithm_id.bytes + number.to_bytes(8, "big")).digest()[:8], "big") / CHANCES
