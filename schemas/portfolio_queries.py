"""What is told of lots, and of where the money of an account came from and went."""

from uuid import UUID

from schemas.queries import BalanceView, PositionView
from schemas.types import InstrumentId, Message, Number, Side, Time


class HeldView(Message):
    """Balances and positions as the rows have them; marks, and what follows from them, are added to each answer."""

    balances: tuple[BalanceView, ...]
    positions: tuple[PositionView, ...]


class LotView(Message):
    """Still open. Money is in `asset`, fees included in the cost."""

    account_id: UUID
    instrument: InstrumentId
    side: Side
    quantity: Number
    price: Number
    cost: Number
    asset: str
    opened_at: Time


class DisposalView(Message):
    """A lot that was closed: first in, first out."""

    account_id: UUID
    instrument: InstrumentId
    side: Side
    quantity: Number
    cost: Number
    proceeds: Number
    gain: Number
    asset: str
    opened_at: Time
    closed_at: Time


class LotPage(Message):
    lots: tuple[LotView, ...]
    disposals: tuple[DisposalView, ...]


class FlowView(Message):
    """Sums of the ledger of one account and asset: each is what it added to (or took from) the balance."""

    account_id: UUID
    asset: str
    transferred: Number
    realised: Number
    fees: Number
    funding: Number
    invested: Number
    balance: Number


class FlowPage(Message):
    flows: tuple[FlowView, ...]
