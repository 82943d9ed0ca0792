"""Orders and fills of the venue. Rule: requests come in Decimal, everything after acceptance is integer units.

`*_units` are the instrument's integers, `*_amount` are counts of 10^-18 of an asset (`feeds.venue.amounts`). For the
outside, each has a Decimal property of the plain name: `order.price`, `order.filled`, `fill.fee`.

Life of an order (terminal states in capitals)::

    create ─► untriggered ─trigger─► new ─► partially_filled ─► FILLED
                  │                   ├────────┴─► CANCELLED   the owner's wish
                  └───────────────────┴──────────► EXPIRED     the venue's doing; `reason` says which
    create ─► VenueError (nothing recorded), or EXPIRED at once where `NewOrder.record_failure`
"""

from decimal import Decimal
from enum import Enum, StrEnum

from msgspec import Struct

from feeds.venue.amounts import decimal_amount, notional_factor
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO


class Side(StrEnum):
    BUY = "buy"
    SELL = "sell"


class OrderType(StrEnum):
    """Stop: buy when the price rises to the trigger, sell when it falls to it. Take-profit: the other way round.
    Trailing stop: a stop whose trigger follows the best price (`feeds.venue.trailing`).
    """

    LIMIT = "limit"
    MARKET = "market"
    STOP_LIMIT = "stop_limit"
    STOP_MARKET = "stop_market"
    TAKE_PROFIT_LIMIT = "take_profit_limit"
    TAKE_PROFIT_MARKET = "take_profit_market"
    TRAILING_STOP = "trailing_stop"

    @property
    def is_conditional(self) -> bool:
        return self not in {OrderType.LIMIT, OrderType.MARKET}

    @property
    def is_market(self) -> bool:
        """True where it executes at any price once it is live."""
        return self in _AT_MARKET

    @property
    def is_stop(self) -> bool:
        return self in {OrderType.STOP_LIMIT, OrderType.STOP_MARKET, OrderType.TRAILING_STOP}


_AT_MARKET = frozenset({OrderType.MARKET, OrderType.STOP_MARKET, OrderType.TAKE_PROFIT_MARKET, OrderType.TRAILING_STOP})


class TimeInForce(StrEnum):
    """Post-only is the flag `NewOrder.post_only` with GTC or GTD (Binance GTX and LIMIT_MAKER, Bybit PostOnly)."""

    GTC = "gtc"
    IOC = "ioc"
    FOK = "fok"
    GTD = "gtd"


class Trigger(StrEnum):
    LAST = "last"
    MARK = "mark"


class SelfTrade(StrEnum):
    """Who expires when an order would meet one of the same account."""

    NONE = "none"
    EXPIRE_TAKER = "expire_taker"
    EXPIRE_MAKER = "expire_maker"
    EXPIRE_BOTH = "expire_both"


class OrderStatus(StrEnum):
    UNTRIGGERED = "untriggered"
    NEW = "new"
    PARTIALLY_FILLED = "partially_filled"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"

    @property
    def is_open(self) -> bool:
        return self in _OPEN


_OPEN = frozenset({OrderStatus.UNTRIGGERED, OrderStatus.NEW, OrderStatus.PARTIALLY_FILLED})


class Reason(StrEnum):
    """Why an order ended without being filled whole."""

    NONE = ""
    USER = "user"
    IOC = "ioc"
    FOK = "fok"
    POST_ONLY = "post_only"
    SELF_TRADE = "self_trade"
    GTD = "gtd"
    REDUCE_ONLY = "reduce_only"
    NO_LIQUIDITY = "no_liquidity"
    INSUFFICIENT_BALANCE = "insufficient_balance"
    LIQUIDATION = "liquidation"


class Keep(Enum):
    """The default of an amend's fields: leave it as it is."""

    KEEP = 0


class NewOrder(Struct, frozen=True, kw_only=True):
    """A request. `quantity` in the base asset (or contracts); a spot market order may give `quote_quantity` instead.

    `client_order_id` may be empty: the venue then makes one. `record_failure` True records a post-only or
    fill-or-kill order that cannot stand as EXPIRED (Bybit, Binance spot FOK) where False raises (Binance GTX).
    `trigger_checked` False accepts a stop whose trigger is already passed; it fires at once. A trailing stop has a
    `callback_rate` (0.01: one per cent behind the best price), and trails from `activation_price` on, or at once. A
    `display_quantity` makes an iceberg: no more of it is ever shown.
    """

    instrument_id: str
    side: Side
    type: OrderType
    quantity: Decimal = ZERO
    price: Decimal | None = None
    quote_quantity: Decimal | None = None
    trigger_price: Decimal | None = None
    trigger_by: Trigger = Trigger.LAST
    callback_rate: Decimal = ZERO
    activation_price: Decimal | None = None
    display_quantity: Decimal | None = None
    time_in_force: TimeInForce = TimeInForce.GTC
    expire_ms: int = 0
    post_only: bool = False
    reduce_only: bool = False
    close_position: bool = False
    self_trade: SelfTrade = SelfTrade.NONE
    client_order_id: str = ""
    record_failure: bool = False
    trigger_checked: bool = True


class Order(Struct, eq=False):
    """An order as the venue knows it. `id` is the venue's, sequential over all instruments.

    Queries return the living object: read it at once or copy it. Updates for listeners carry a copy.
    `price_units` is 0 for market types. `filled_amount` is the cumulative notional, `fee_amount` the cumulative fee
    in `fee_asset`. `locked_amount` is what the order holds of a spot balance. `ticket` is its place in the book, 0
    while it is not resting. `callback_rate` counts 10^-12; `best_units` is the best price that a trailing stop has seen
    since it trails, 0 before. `display_units` is what an iceberg shows at most, 0 for other orders.
    """

    id: int
    account: str
    instrument: Instrument
    client_order_id: str
    side: Side
    type: OrderType
    time_in_force: TimeInForce
    quantity_units: int
    price_units: int = 0
    trigger_units: int = 0
    trigger_by: Trigger = Trigger.LAST
    callback_rate: int = 0
    activation_units: int = 0
    best_units: int = 0
    display_units: int = 0
    expire_ms: int = 0
    post_only: bool = False
    reduce_only: bool = False
    close_position: bool = False
    self_trade: SelfTrade = SelfTrade.NONE
    quote_amount: int = 0
    is_liquidation: bool = False
    status: OrderStatus = OrderStatus.NEW
    reason: Reason = Reason.NONE
    filled_units: int = 0
    filled_amount: int = 0
    fee_amount: int = 0
    fee_asset: str = ""
    locked_amount: int = 0
    ticket: int = 0
    created_ms: int = 0
    updated_ms: int = 0
    triggered_ms: int = 0
    version: int = 0

    @property
    def is_buy(self) -> bool:
        return self.side is Side.BUY

    @property
    def is_open(self) -> bool:
        return self.status.is_open

    @property
    def left_units(self) -> int:
        return self.quantity_units - self.filled_units

    @property
    def price(self) -> Decimal | None:
        return self.instrument.price_of(self.price_units) if self.price_units else None

    @property
    def trigger_price(self) -> Decimal | None:
        return self.instrument.price_of(self.trigger_units) if self.trigger_units else None

    @property
    def quantity(self) -> Decimal:
        return self.instrument.quantity_of(self.quantity_units)

    @property
    def display_quantity(self) -> Decimal | None:
        return self.instrument.quantity_of(self.display_units) if self.display_units else None

    @property
    def filled(self) -> Decimal:
        return self.instrument.quantity_of(self.filled_units)

    @property
    def left(self) -> Decimal:
        return self.instrument.quantity_of(self.left_units)

    @property
    def filled_notional(self) -> Decimal:
        """Cumulative quote quantity."""
        return decimal_amount(self.filled_amount)

    @property
    def quote_quantity(self) -> Decimal:
        """The quote budget of a market order given in quote, else 0."""
        return decimal_amount(self.quote_amount)

    @property
    def average_price(self) -> Decimal:
        """Volume-weighted price of the fills, 0 before the first; 28 digits, not rounded to the tick."""
        if not self.filled_units:
            return ZERO
        units = Decimal(self.filled_amount) / (notional_factor(self.instrument) * self.filled_units)
        return units.scaleb(-self.instrument.price_decimals)

    @property
    def fee(self) -> Decimal:
        return decimal_amount(self.fee_amount)


class Fill(Struct, frozen=True):
    """One execution of one order. `trade_id` counts per instrument from 1; maker and taker share it.

    `realised` is the profit of a derivative's closed part, before the fee. `realised` and `fee` are Decimals of
    `*_amount`; a negative fee is a rebate.
    """

    trade_id: int
    order_id: int
    client_order_id: str
    account: str
    instrument: Instrument
    side: Side
    price_units: int
    quantity_units: int
    notional_amount: int
    is_maker: bool
    fee_amount: int
    fee_asset: str
    realised_amount: int
    time_ms: int

    @property
    def price(self) -> Decimal:
        return self.instrument.price_of(self.price_units)

    @property
    def quantity(self) -> Decimal:
        return self.instrument.quantity_of(self.quantity_units)

    @property
    def notional(self) -> Decimal:
        return decimal_amount(self.notional_amount)

    @property
    def fee(self) -> Decimal:
        return decimal_amount(self.fee_amount)

    @property
    def realised(self) -> Decimal:
        return decimal_amount(self.realised_amount)
