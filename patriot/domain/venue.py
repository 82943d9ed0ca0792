"""What the platform asks of a venue, and the three ways a venue command may end.

`Accepted` and `Rejected` are proof. Everything else (timeout, 5xx, dropped socket, an answer nobody understands) is
`Unknown`, and Unknown is resolved by asking: open orders, then history, then trades, by client order id.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Literal, Protocol
from uuid import UUID

from msgspec import Struct

from schemas.reports import Execution
from schemas.types import OrderType, Side, TimeInForce, Trailing

VenueStatus = Literal["open", "filled", "cancelled", "rejected", "expired"]


class VenueOrder(Struct, frozen=True):
    """An order as it goes to the venue. Quantities in base units (contracts for inverse)."""

    account_id: UUID
    instrument: str
    client_order_id: str
    side: Side
    order_type: OrderType
    quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    time_in_force: TimeInForce = "GTC"
    expire_at: datetime | None = None
    post_only: bool = False
    reduce_only: bool = False
    trailing: Trailing | None = None
    display_quantity: Decimal | None = None


class OrderRef(Struct, frozen=True):
    """Names one order at the venue. `venue_order_id` is empty until the venue has told it."""

    account_id: UUID
    instrument: str
    client_order_id: str
    venue_order_id: str = ""


class OrderState(Struct, frozen=True):
    """One order as the venue tells it. `executions` are all trades known for it; may lag `filled_quantity`."""

    ref: OrderRef
    status: VenueStatus
    side: Side
    quantity: Decimal
    filled_quantity: Decimal
    price: Decimal | None = None
    stop_price: Decimal | None = None
    executions: tuple[Execution, ...] = ()
    reason: str = ""
    time: datetime | None = None


class Accepted(Struct, frozen=True):
    """The venue took the command. `state` where the answer tells more than the id."""

    venue_order_id: str
    state: OrderState | None = None


class Rejected(Struct, frozen=True):
    """The venue refused and said so: nothing was done. `code` is the venue's own."""

    code: str
    reason: str


class Unknown(Struct, frozen=True):
    """No proof either way."""

    reason: str


Outcome = Accepted | Rejected | Unknown


class NotFound(Struct, frozen=True):
    """The venue answered that it knows no such order: neither open, nor in history, nor in trades."""


class VenueBalanceState(Struct, frozen=True):
    asset: str
    total: Decimal
    available: Decimal


class VenuePositionState(Struct, frozen=True):
    """A position of a derivative; `quantity` is signed."""

    instrument: str
    quantity: Decimal
    entry_price: Decimal


class VenueAdapter(Protocol):
    """One venue, for all accounts. No method raises for what the venue or the network does."""

    async def create(self, order: VenueOrder) -> Outcome: ...

    async def modify(
        self, ref: OrderRef, quantity: Decimal, price: Decimal | None, side: Side, stop_price: Decimal | None = None
    ) -> Outcome:
        """`stop_price` None leaves the stop where it is."""
        ...

    async def cancel(self, ref: OrderRef) -> Outcome: ...

    async def query(self, ref: OrderRef) -> OrderState | NotFound | Unknown:
        """Ask open orders, then history, then trades. NotFound only when all three answered and know nothing."""
        ...

    async def open_orders(self, account_id: UUID) -> Sequence[OrderState] | Unknown: ...

    async def balances(self, account_id: UUID) -> Sequence[VenueBalanceState] | Unknown: ...

    async def positions(self, account_id: UUID) -> Sequence[VenuePositionState] | Unknown:
        """Of derivatives, those that are not flat."""
        ...

    async def set_leverage(self, account_id: UUID, instrument: str, leverage: int) -> Outcome:
        """Accepted too where it was so already. After Unknown it may be asked for again: it is the same twice."""
        ...

    async def leverages(self, account_id: UUID, instruments: Sequence[str]) -> Mapping[str, Decimal] | Unknown:
        """What the venue has them at."""
        ...

    async def close(self) -> None: ...
