"""What risk shows: levels with their limits, and how accounts stand."""

from schemas.risk_commands import Authority, SetLimits
from schemas.types import Message


class LevelView(Message):
    """One level: what owner and manager have set there, and why it is halted where it is."""

    scope: str
    halted: bool
    halts: dict[Authority, str]
    limits: dict[Authority, SetLimits]
