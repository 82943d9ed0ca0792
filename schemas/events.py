"""What has happened. One class per event type; names are the past tense of what the platform may rely on for ever.

An event that moves money says so itself: `postings` are double-entry ledger lines that sum to zero per asset, `holds`
change what is reserved. So balances, ledger and read models are sums over the event store and nothing else.

To change an event: never edit a field in place. Raise `SCHEMA`, add an upcaster in `schemas/upcasters.py`, keep the
golden file of the old version.
"""

from typing import ClassVar, Literal
from uuid import UUID

from schemas.types import (
    AccountMode,
    ComplianceStatus,
    Emulation,
    Exchange,
    InstrumentId,
    Liquidity,
    ListLink,
    Message,
    Number,
    OrderType,
    Positive,
    RoleName,
    Side,
    Time,
    TimeInForce,
    Trailing,
)

Ledger = Literal["cash", "position", "realised", "fees", "funding", "external", "transit"]


class Posting(Message):
    """One line of a double entry. `cash` is what the account owns; the other ledgers say where it came from or went."""

    ledger: Ledger
    asset: str
    amount: Number


class Hold(Message):
    """A change of what open orders reserve and positions bind (margin) in one asset."""

    asset: str
    reserved: Number = Number(0)
    margin: Number = Number(0)


class Event(Message):
    """Base of all events."""

    TYPE: ClassVar[str] = ""
    STREAM: ClassVar[str] = ""
    SCHEMA: ClassVar[int] = 1

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: object) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        if cls.__dict__.get("TYPE"):
            assert cls.TYPE not in EVENTS, f"two events are called {cls.TYPE}"
            EVENTS[cls.TYPE] = cls


class MoneyEvent(Event):
    """An event that may move money of one account."""

    account_id: UUID
    postings: tuple[Posting, ...] = ()
    holds: tuple[Hold, ...] = ()


EVENTS: dict[str, type[Event]] = {}


# --- order -----------------------------------------------------------------------------------------------------------
class OrderEvent(MoneyEvent):
    STREAM = "order"
    order_id: UUID
    user_id: UUID


class OrderCreated(OrderEvent):
    """Accepted by the platform: validated, risk-checked, reserved, durable. Nothing has been sent yet.

    `emulated` says what the platform does itself because the venue has no such order; empty: all of it is the venue's.
    `leverage` None: nobody has chosen one. Its whole value is reserved then, and the venue's own setting left alone.
    """

    TYPE = "order.created"
    SCHEMA = 3
    client_order_id: str
    instrument: InstrumentId
    side: Side
    order_type: OrderType
    time_in_force: TimeInForce
    quantity: Positive
    price: Positive | None = None
    stop_price: Positive | None = None
    expire_at: Time | None = None
    post_only: bool = False
    reduce_only: bool = False
    strategy_id: str | None = None
    limits_version: int = 0
    trailing: Trailing | None = None
    display_quantity: Positive | None = None
    emulated: tuple[Emulation, ...] = ()
    link: ListLink | None = None
    leverage: int | None = None


class OrderArmed(OrderEvent):
    """What the order waited for, its parent's fills, has come: it is of this quantity, and again as more comes."""

    TYPE = "order.armed"
    quantity: Positive


class OrderStopMoved(OrderEvent):
    """The stop that the platform holds has followed the market; it never loosens. `reference` is the best price."""

    TYPE = "order.stop_moved"
    stop_price: Positive
    reference: Positive


class OrderTriggered(OrderEvent):
    """The market has reached the stop that the platform holds: `price` traded at or beyond `stop_price`."""

    TYPE = "order.triggered"
    price: Positive
    stop_price: Positive


class OrderReleased(OrderEvent):
    """A triggered order of a list need not wait for the others any more: it may be sent, for this quantity."""

    TYPE = "order.released"
    quantity: Positive


class OrderModifyRequested(OrderEvent):
    """`reserved_after` is what the open remainder reserves once the venue has agreed; `holds` take what is missing.

    `stop_price` is told where it shall be another.
    """

    TYPE = "order.modify_requested"
    SCHEMA = 2
    request_id: UUID
    quantity: Positive
    price: Positive | None = None
    stop_price: Positive | None = None
    reserved_after: Number = Number(0)


class OrderCancelRequested(OrderEvent):
    TYPE = "order.cancel_requested"
    reason: str = ""


class OrderRouted(OrderEvent):
    """Which venue adapter will execute the order."""

    TYPE = "order.routed"
    route: str


class OrderSubmitStarted(OrderEvent):
    """Durable before the first byte leaves: a redelivery that finds this asks the venue and never sends again."""

    TYPE = "order.submit_started"
    attempt: int
    client_order_id: str


class OrderSubmitUnknown(OrderEvent):
    """The venue call ended without proof. Resolved by asking, never by guessing or sending again."""

    TYPE = "order.submit_unknown"
    reason: str


class OrderAccepted(OrderEvent):
    TYPE = "order.accepted"
    venue_order_id: str
    venue_time: Time | None = None


class OrderModified(OrderEvent):
    """As it stands now; `stop_price` is told where it has become another."""

    TYPE = "order.modified"
    SCHEMA = 2
    quantity: Positive
    price: Positive | None = None
    stop_price: Positive | None = None
    venue_order_id: str = ""


class OrderModifyRejected(OrderEvent):
    TYPE = "order.modify_rejected"
    code: str
    reason: str


class OrderCancelRejected(OrderEvent):
    TYPE = "order.cancel_rejected"
    code: str
    reason: str


class Filled(OrderEvent):
    """One execution. Deduplicated by `trade_id`; `filled_quantity` is the order's total after it.

    `reason` is empty unless the fill came late (after a cancel) or exceeds the order: the venue's proof is recorded.
    """

    trade_id: str
    price: Positive
    quantity: Positive
    fee: Number
    fee_asset: str
    liquidity: Liquidity
    filled_quantity: Positive
    venue_time: Time | None = None
    reason: str = ""


class OrderPartiallyFilled(Filled):
    TYPE = "order.partially_filled"


class OrderFilled(Filled):
    TYPE = "order.filled"


class OrderTradeBusted(OrderEvent):
    """The venue has taken a trade back: what its fill booked is booked the other way round, nothing is deleted.

    The figures are those of the fill; `filled_quantity` is the order's total without it.
    """

    TYPE = "order.trade_busted"
    trade_id: str
    price: Positive
    quantity: Positive
    fee: Number
    fee_asset: str
    filled_quantity: Number
    reason: str


class OrderCancelled(OrderEvent):
    TYPE = "order.cancelled"
    reason: str = ""


class OrderRejected(OrderEvent):
    """The venue refused, with proof."""

    TYPE = "order.rejected"
    code: str
    reason: str


class OrderExpired(OrderEvent):
    TYPE = "order.expired"
    reason: str = ""


# --- position --------------------------------------------------------------------------------------------------------
class PositionUpdated(MoneyEvent):
    """One fill applied to the (account, instrument) position, written in the same commit as the fill.

    One that the venue has taken back (`busts` names it) is a trade the other way: other side, its fee given back.

    `quantity` is signed (short < 0). `entry_value` is what it cost, exact, with the same sign, in the quote asset (in
    the base asset for inverse contracts); `average_price` is that divided by the quantity, to 18 decimals. `leverage`
    is that of the order which opened it, until it is flat again.
    """

    TYPE = "position.updated"
    SCHEMA = 3
    STREAM = "position"
    user_id: UUID
    instrument: InstrumentId
    order_id: UUID
    trade_id: str
    side: Side
    price: Positive
    fill_quantity: Positive
    fee: Number
    fee_asset: str
    quantity: Number
    entry_value: Number
    average_price: Number
    realised_pnl: Number
    total_realised_pnl: Number
    liquidity: Liquidity = "taker"
    venue_time: Time | None = None
    busts: str = ""
    leverage: int = 1


# --- account ---------------------------------------------------------------------------------------------------------
class AccountEvent(MoneyEvent):
    STREAM = "account"
    user_id: UUID


class AccountLinked(AccountEvent):
    """An exchange account is known to the platform. Credentials are in the vault, never in an event."""

    TYPE = "account.linked"
    exchange: Exchange
    mode: AccountMode
    label: str


class AccountCredentialsRotated(AccountEvent):
    TYPE = "account.credentials_rotated"


class AccountDeactivated(AccountEvent):
    TYPE = "account.deactivated"


class AccountLeverageChanged(AccountEvent):
    """Orders in the instrument are reserved for, and set at the venue, with this leverage from now on."""

    TYPE = "account.leverage_changed"
    instrument: InstrumentId
    leverage: int


class AccountFunded(AccountEvent):
    """Paper money put in, or a deposit seen at the venue."""

    TYPE = "account.funded"
    asset: str
    amount: Number
    source: str


class AccountBalanceAdjusted(AccountEvent):
    """The venue's balance differs from ours: the difference is posted, with the reason, never hidden."""

    TYPE = "account.balance_adjusted"
    asset: str
    venue_balance: Number
    difference: Number
    reason: str


class AccountDiverged(AccountEvent):
    """We and the venue see something differently. What is then done about it stands in the events of its subject."""

    TYPE = "account.diverged"
    kind: Literal["order", "terms", "fill", "foreign", "balance", "position", "leverage"]
    subject: str
    ours: str
    theirs: str


# --- user ------------------------------------------------------------------------------------------------------------
class UserRegistered(Event):
    TYPE = "user.registered"
    STREAM = "user"
    user_id: UUID
    username: str
    role: RoleName
    telegram_id: int | None = None


class UserProfileChanged(Event):
    TYPE = "user.profile_changed"
    STREAM = "user"
    user_id: UUID
    telegram_id: int | None = None
    base_currency: str = "USDT"


class UserRoleChanged(Event):
    TYPE = "user.role_changed"
    STREAM = "user"
    user_id: UUID
    role: RoleName


class UserDeactivated(Event):
    """Logs in no more and trades no more; what is open stays, and may be cancelled for the user by a manager."""

    TYPE = "user.deactivated"
    STREAM = "user"
    user_id: UUID
    reason: str


class UserReactivated(Event):
    TYPE = "user.reactivated"
    STREAM = "user"
    user_id: UUID
    reason: str


class UserSignedOut(Event):
    """Every token that was issued to the user up to now is refused."""

    TYPE = "user.signed_out"
    STREAM = "user"
    user_id: UUID


class UserPasswordReset(Event):
    """By an administrator. No password opens until the user has set another; tokens issued up to now are refused."""

    TYPE = "user.password_reset"
    STREAM = "user"
    user_id: UUID
    expires_at: Time


class UserPasswordChanged(Event):
    """By the user. Every token that was issued up to now is refused."""

    TYPE = "user.password_changed"
    STREAM = "user"
    user_id: UUID


class ComplianceStatusChanged(Event):
    """What is known of who the user is. Limits (`verified_only`) say what it takes to trade."""

    TYPE = "compliance.status_changed"
    STREAM = "user"
    user_id: UUID
    status: ComplianceStatus
    reason: str


class SettingChanged(Event):
    """From now on the running platform has this value; None: each process has again what it was started with.

    `part`: in the processes of this part alone. `until`: then it is over by itself. `user_id` has changed it.
    """

    TYPE = "setting.changed"
    STREAM = "setting"
    user_id: UUID
    name: str
    value: str | None = None
    part: str | None = None
    until: Time | None = None
    reason: str


OrderEvents = (
    OrderCreated
    | OrderArmed
    | OrderStopMoved
    | OrderTriggered
    | OrderReleased
    | OrderModifyRequested
    | OrderCancelRequested
    | OrderRouted
    | OrderSubmitStarted
    | OrderSubmitUnknown
    | OrderAccepted
    | OrderModified
    | OrderModifyRejected
    | OrderCancelRejected
    | OrderPartiallyFilled
    | OrderTradeBusted
    | OrderFilled
    | OrderCancelled
    | OrderRejected
    | OrderExpired
)
