"""What a venue has proved, on its way to order_lifecycle (topic `order.status`) or account handling (`account.events`).

Reports are messages, not stored events: at-least-once, unordered, from several sources for one fact (the answer to a
command, the private stream, reconciliation). The receiver deduplicates by trade id and by the order's state.
"""

from typing import ClassVar, Literal
from uuid import UUID

from pydantic import Field

from schemas.risk_commands import Metric
from schemas.types import Exchange, InstrumentId, Liquidity, Message, Number, Positive, Side, Time

Outcome = Literal[
    "accepted",
    "rejected",
    "unknown",
    "fill",
    "cancelled",
    "expired",
    "modified",
    "modify_rejected",
    "cancel_rejected",
    "external",
]
Source = Literal["command", "stream", "reconciliation"]


class Execution(Message):
    """One trade of an order as the venue reports it. `price` in quote, `quantity` in base (contracts for inverse)."""

    trade_id: str
    price: Positive
    quantity: Positive
    fee: Number
    fee_asset: str
    liquidity: Liquidity
    time: Time | None = None


class VenueReport(Message):
    """One proved fact about one order. Fields that the outcome does not need stay empty.

    `quantity`, `price` and `stop_price` are the order's own at the venue (never the execution's), `request_id` the
    modification that is answered; each where told.
    """

    TYPE: ClassVar[str] = "venue.report"
    account_id: UUID
    outcome: Outcome
    source: Source
    order_id: UUID | None = None
    client_order_id: str = ""
    venue_order_id: str = ""
    instrument: InstrumentId | None = None
    side: Side | None = None
    code: str = ""
    reason: str = ""
    quantity: Positive | None = None
    price: Positive | None = None
    stop_price: Positive | None = None
    execution: Execution | None = None
    filled_quantity: Number | None = Field(default=None, description="the order's total at the venue, where told")
    request_id: UUID | None = None
    venue_time: Time | None = None


class VenueBalance(Message):
    asset: str
    total: Number
    available: Number


class BalanceReport(Message):
    """The balances of one exchange account as the venue tells them. `complete` False: only the named assets changed."""

    TYPE: ClassVar[str] = "venue.balances"
    account_id: UUID
    user_id: UUID
    exchange: Exchange
    balances: tuple[VenueBalance, ...]
    complete: bool
    source: Source
    as_of: Time


class PriceReport(Message):
    """A conflated price, topic `market.data.prices`."""

    TYPE: ClassVar[str] = "market.price"
    instrument: InstrumentId
    bid: Number
    ask: Number
    last: Number
    mark: Number | None = None
    as_of: Time
    stale: bool = False


class MarketTrade(Message):
    trade_id: str
    price: Positive
    quantity: Positive
    side: Side = Field(description="of the aggressor")
    time: Time


class TradesReport(Message):
    """The trades of one instrument since the last report, in order, topic `market.data.trades`."""

    TYPE: ClassVar[str] = "market.trade"
    instrument: InstrumentId
    trades: tuple[MarketTrade, ...]


class MarketBar(Message):
    seconds: int
    time: Time = Field(description="when it opened")
    open: Positive
    high: Positive
    low: Positive
    close: Positive
    volume: Number
    trades: int


class BarsReport(Message):
    """The bars of one instrument that closed since the last report, topic `market.data.trades`."""

    TYPE: ClassVar[str] = "market.bar"
    instrument: InstrumentId
    bars: tuple[MarketBar, ...]


class BookReport(Message):
    """The best levels (price, quantity), best first, topic `market.data.orderbook`. Empty while not `in_sync`."""

    TYPE: ClassVar[str] = "market.book"
    instrument: InstrumentId
    bids: tuple[tuple[Positive, Positive], ...]
    asks: tuple[tuple[Positive, Positive], ...]
    sequence: int
    as_of: Time
    in_sync: bool
    stale: bool


class AnalysisReport(Message):
    """What the market of one instrument is like, from its last `minutes` of bars, topic `market.data.prices`.

    `volatility` for a year; depths in the quote asset over the levels that are looked at; `volume_shares` by equal
    steps from the lowest to the highest price; `correlations` of minute returns, by instrument.
    """

    TYPE: ClassVar[str] = "market.analysis"
    instrument: InstrumentId
    as_of: Time
    minutes: int
    volatility: Number
    regime: Literal["calm", "normal", "turbulent", "unknown"]
    trends: dict[str, Literal["up", "down", "sideways", "unknown"]]
    spread_bps: Number
    bid_depth: Number
    ask_depth: Number
    volume_per_minute: Number
    busiest_price: Number
    volume_shares: tuple[Number, ...]
    correlations: dict[str, Number]


class InstrumentReport(Message):
    """A new version of an instrument's definition, topic `market.data.prices`."""

    TYPE: ClassVar[str] = "market.instrument"
    id: InstrumentId
    native_symbol: str
    base: str
    quote: str
    settle: str
    kind: Literal["spot", "linear", "inverse"]
    tick_size: Positive
    lot_size: Positive
    price_decimals: int
    quantity_decimals: int
    minimum_quantity: Number
    maximum_quantity: Number
    minimum_notional: Number
    contract_size: Positive
    maker_fee: Number
    taker_fee: Number
    maximum_leverage: int
    maintenance_margin_rate: Number
    trading: bool
    version: int


class RiskMetrics(Message):
    """The risk figures of one account at one moment, topic `risk.metrics`. What is not known is left out."""

    TYPE: ClassVar[str] = "risk.metrics"
    account_id: UUID
    user_id: UUID
    figures: dict[Metric, Number]
    as_of: Time


REPORTS: dict[str, type[Message]] = {
    report.TYPE: report
    for report in (
        VenueReport,
        BalanceReport,
        PriceReport,
        TradesReport,
        BarsReport,
        BookReport,
        InstrumentReport,
        AnalysisReport,
        RiskMetrics,
    )
}
