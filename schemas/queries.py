"""What a client may read back, and what a command answers."""

from typing import Literal
from uuid import UUID

from pydantic import Field

from schemas.types import (
    AccountMode,
    ComplianceStatus,
    Emulation,
    Exchange,
    InstrumentId,
    ListKind,
    Message,
    Number,
    OrderStatus,
    OrderType,
    RoleName,
    Side,
    Time,
    TimeInForce,
    Trailing,
    UserStatus,
)


class OrderReceipt(Message):
    """The order is durable. Its life goes on in events: read /orders/{order_id}."""

    order_id: UUID
    client_order_id: str
    status: OrderStatus
    version: int
    correlation_id: str
    emulated: tuple[Emulation, ...] = ()
    list_id: UUID | None = None


class OrderLook(Message):
    """How much of an order the venue has filled by now; the platform may not have booked all of it yet."""

    order_id: UUID
    filled_quantity: Number


class OrderListReceipt(Message):
    """All orders of the list are durable, in one commit."""

    list_id: UUID
    kind: ListKind
    orders: tuple[OrderReceipt, ...]


class OrderReceipts(Message):
    """What became of a request about several orders."""

    orders: tuple[OrderReceipt, ...]


class AlgorithmView(Message):
    """A parent order. `slippage` in basis points of the arrival price, positive where it cost."""

    algorithm_id: UUID
    account_id: UUID
    algorithm: str
    instrument: InstrumentId
    side: Side
    status: str
    quantity: Number
    limit_price: Number | None
    arrival_price: Number
    filled_quantity: Number
    average_price: Number | None
    slippage: Number | None
    children: int
    parameters: dict[str, object]
    reason: str
    version: int


class AlgorithmPage(Message):
    algorithms: tuple[AlgorithmView, ...]


class AlgorithmKindView(Message):
    """An algorithm that there is, with the JSON Schema of its parameters."""

    name: str
    text: str
    parameters: dict[str, object]


class AlgorithmKindPage(Message):
    algorithms: tuple[AlgorithmKindView, ...]


class DivergenceView(Message):
    """What we and a venue see differently. `kind`: order, terms, fill, foreign, balance, position, leverage."""

    kind: str
    subject: str
    ours: str
    theirs: str


class ReconciliationView(Message):
    """What a comparison with the venue has found; empty: both agree."""

    account_id: UUID
    divergences: tuple[DivergenceView, ...]
    as_of: Time


class OrderView(Message):
    order_id: UUID
    account_id: UUID
    client_order_id: str
    venue_order_id: str
    instrument: InstrumentId
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Number
    price: Number | None
    stop_price: Number | None
    filled_quantity: Number
    average_price: Number | None
    fees: Number
    status: OrderStatus
    reason: str
    strategy_id: str | None
    created_at: Time
    updated_at: Time
    version: int
    emulated: tuple[Emulation, ...] = ()
    waits_for: str = ""
    trailing: Trailing | None = None
    display_quantity: Number | None = None
    list_id: UUID | None = None
    list_kind: ListKind | None = None
    parent_id: UUID | None = None


class OrderPage(Message):
    orders: tuple[OrderView, ...]


class TradeView(Message):
    trade_id: str
    order_id: UUID
    account_id: UUID
    instrument: InstrumentId
    side: Side
    price: Number
    quantity: Number
    fee: Number
    fee_asset: str
    liquidity: str
    time: Time


class TradePage(Message):
    trades: tuple[TradeView, ...]


class PositionView(Message):
    account_id: UUID
    instrument: InstrumentId
    quantity: Number
    average_price: Number
    mark_price: Number | None
    unrealised_pnl: Number | None
    realised_pnl: Number
    fees: Number
    leverage: int = 1


class BalanceView(Message):
    account_id: UUID
    asset: str
    total: Number
    reserved: Number
    margin: Number
    available: Number


class AccountView(Message):
    account_id: UUID
    exchange: Exchange
    mode: AccountMode
    label: str
    active: bool
    leverages: dict[InstrumentId, int] = Field(default_factory=dict)


class AccountPage(Message):
    accounts: tuple[AccountView, ...]


class PortfolioView(Message):
    """Everything a user owns. `equity` is in `currency`; empty while a price that it needs is unknown or stale."""

    accounts: tuple[AccountView, ...]
    balances: tuple[BalanceView, ...]
    positions: tuple[PositionView, ...]
    equity: Number | None
    currency: str
    as_of: Time


class PriceView(Message):
    instrument: InstrumentId
    bid: Number
    ask: Number
    last: Number
    as_of: Time
    stale: bool


class PricePage(Message):
    prices: tuple[PriceView, ...]


class EventView(Message):
    """One event of an aggregate, as stored."""

    aggregate_id: UUID
    version: int
    type: str
    occurred_at: Time
    correlation_id: str
    actor: str
    data: dict[str, object]


class EventPage(Message):
    events: tuple[EventView, ...]


class RuleView(Message):
    code: str
    text: str


class RuleViews(Message):
    rules: tuple[RuleView, ...]


class VerdictView(Message):
    """The verdict on an order: what it would reserve, or the first rule that it breaks."""

    approved: bool
    code: str = ""
    reason: str = ""
    field: str = ""
    asset: str = ""
    reserved: Number | None = None


class TokenPair(Message):
    access_token: str
    token_type: str = "Bearer"  # noqa: S105 - the name of a scheme
    expires_in_seconds: int


class OneTimePassword(Message):
    """Told only now, to the administrator, who hands it over; with it the user sets another."""

    user_id: UUID
    username: str
    one_time_password: str
    expires_at: Time


class SignedOut(Message):
    """What was issued to the user up to this moment is refused."""

    signed_out_at: Time


class UserView(Message):
    user_id: UUID
    username: str
    role: RoleName
    base_currency: str
    status: UserStatus = "active"
    compliance: ComplianceStatus = "unverified"


class ManagedUserView(Message):
    """A user as administrators see them."""

    user_id: UUID
    username: str
    role: RoleName
    status: UserStatus
    compliance: ComplianceStatus
    since: Time


class UserPage(Message):
    users: tuple[ManagedUserView, ...]


class Problem(Message):
    """RFC 9457. `code` is stable; `errors` names each field and the rule it broke."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    correlation_id: str
    errors: tuple[dict[str, str], ...] = ()


class BookView(Message):
    """The best levels (price, quantity), best first. While not `in_sync` there is no book that could be shown."""

    instrument: InstrumentId
    bids: tuple[tuple[Number, Number], ...]
    asks: tuple[tuple[Number, Number], ...]
    sequence: int
    as_of: Time
    in_sync: bool
    stale: bool


class BarView(Message):
    """One bar. `closed` False: it still grows."""

    time: Time
    open: Number
    high: Number
    low: Number
    close: Number
    volume: Number
    trades: int
    closed: bool


class BarPage(Message):
    instrument: InstrumentId
    seconds: int
    bars: tuple[BarView, ...]


class StreamView(Message):
    """One stream of an instrument and how many want it."""

    channel: str
    subscribers: int
    connected: bool


class MarketStatusView(Message):
    """How well an instrument is heard. Without streams of its own it is told by a replay or the built-in venue."""

    instrument: InstrumentId
    source: str
    streams: tuple[StreamView, ...]
    in_sync: bool
    stale: bool
    silence_seconds: float
    missed_trades: int


class SubscriptionsView(Message):
    """All streams that are subscribed: (channel, instrument, subscribers)."""

    streams: tuple[tuple[str, InstrumentId, int], ...]


class SettingReceipt(Message):
    """A setting has changed. Without a value it is again what the processes were started with."""

    name: str
    value: str | None
    part: str | None
    reason: str
    until: Time | None


class SettingView(Message):
    """What may change while the platform runs, as it stands for all parts, or for one.

    `source` tells where the value comes from: our default, PATRIOT_<NAME> when the processes started, or somebody who
    has changed it since.
    """

    name: str
    part: str | None = None
    value: str
    source: Literal["default", "environment", "changed"]
    started: str
    since: Time | None = None
    until: Time | None = None
    changed_by: str | None = None
    reason: str | None = None


class SettingPage(Message):
    settings: tuple[SettingView, ...]
