"""What must survive a restart of one account, as plain values. Amounts are integers of 10^-18, sizes in units."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from feeds.venue.orders import Fill, Order


@dataclass(frozen=True, slots=True)
class PositionState:
    instrument: str
    leverage: int
    size: int
    cost: int
    realised: int


@dataclass(slots=True)
class AccountState:
    """`totals` per asset of the unified wallet. Orders include the ended ones that are remembered."""

    totals: dict[str, int] = field(default_factory=dict)
    positions: Sequence[PositionState] = ()
    orders: list[Order] = field(default_factory=list)
    fills: list[Fill] = field(default_factory=list)
