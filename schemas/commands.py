"""What a client may ask for. Shapes and limits only: whether it may be done is decided by the domain."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from schemas.types import (
    AccountMode,
    ComplianceStatus,
    Exchange,
    InstrumentId,
    Message,
    OrderType,
    Positive,
    RoleName,
    Side,
    Time,
    TimeInForce,
    Trailing,
    UserStatus,
)

PRICED: frozenset[OrderType] = frozenset({"limit", "stop_limit", "take_profit_limit"})
TRIGGERED: frozenset[OrderType] = frozenset({"stop", "stop_limit", "take_profit", "take_profit_limit"})

Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9 ._@-]+$")]
TelegramId = Annotated[StrictInt, Field(ge=1, le=2**52)]
"""Telegram promises at most 52 significant bits."""


def _representable(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


Expiry = Annotated[Time, AfterValidator(_representable)]


class CreateOrder(Message):
    """A new order. Money and quantities are decimal strings."""

    account_id: UUID
    instrument: InstrumentId
    side: Side
    order_type: OrderType = "limit"
    quantity: Positive
    price: Positive | None = None
    stop_price: Positive | None = None
    time_in_force: TimeInForce = "GTC"
    expire_at: Expiry | None = None
    post_only: StrictBool = False
    reduce_only: StrictBool = False
    strategy_id: Name | None = None
    trailing: Trailing | None = None
    display_quantity: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "CreateOrder":
        if (self.price is not None) != (self.order_type in PRICED):
            verb = "needs" if self.order_type in PRICED else "takes no"
            raise ValueError(f"a {self.order_type} order {verb} price")
        may_begin = self.order_type == "trailing_stop"  # there the stop price is where the stop begins
        if not may_begin and (self.stop_price is not None) != (self.order_type in TRIGGERED):
            verb = "needs" if self.order_type in TRIGGERED else "takes no"
            raise ValueError(f"a {self.order_type} order {verb} stop_price")
        if (self.expire_at is not None) != (self.time_in_force == "GTD"):
            raise ValueError("expire_at goes with time_in_force GTD, and only with it")
        if self.post_only and (self.order_type != "limit" or self.time_in_force not in {"GTC", "GTD"}):
            raise ValueError("post_only goes with limit orders that may rest (GTC or GTD)")
        if (self.trailing is not None) != (self.order_type == "trailing_stop"):
            raise ValueError("trailing goes with trailing_stop orders, and only with them")
        if self.display_quantity is not None:
            self._may_hide(self.display_quantity)
        return self

    def _may_hide(self, shown: Decimal) -> None:
        if self.order_type != "limit" or self.time_in_force not in {"GTC", "GTD"}:
            raise ValueError("display_quantity goes with limit orders that may rest (GTC or GTD)")
        if shown >= self.quantity:
            raise ValueError("display_quantity must be less than quantity")


class CreateOrderList(Message):
    """Orders that belong together, all of one account and instrument.

    * bracket: an entry, then its exits (stop-loss, take-profit): they wait for the entry's fills, whose quantity they
      take; what one exit fills the others lose.
    * oco (one cancels other): what one fills the others lose.
    * oto (one triggers other): the others wait for the fills of the first.
    """

    kind: Literal["bracket", "oco", "oto"]
    orders: Annotated[tuple[CreateOrder, ...], Field(min_length=2, max_length=10)]

    @model_validator(mode="after")
    def _consistent(self) -> "CreateOrderList":
        first, *others = self.orders
        if len({(order.account_id, order.instrument) for order in self.orders}) > 1:
            raise ValueError("the orders of a list are of one account and one instrument")
        if any(order.display_quantity is not None for order in self.orders):
            raise ValueError("an order of a list shows its whole quantity")
        if self.kind == "bracket" and any(order.side == first.side for order in others):
            raise ValueError("the exits of a bracket are on the other side than its entry")
        if self.kind == "oco" and len({(order.side, order.quantity) for order in self.orders}) > 1:
            raise ValueError("the orders of an oco list have one side and one quantity")
        if self.kind != "oco" and any(order.quantity > first.quantity for order in others):
            raise ValueError("an order that waits for another is not larger than it")
        return self


class StartAlgorithm(Message):
    """Let an execution algorithm work off an order. `parameters` are the algorithm's own."""

    account_id: UUID
    algorithm: Annotated[str, Field(pattern=r"^[a-z][a-z_]{1,30}$")]
    instrument: InstrumentId
    side: Side
    quantity: Positive
    limit_price: Positive | None = None
    reduce_only: StrictBool = False
    parameters: dict[Annotated[str, Field(max_length=40)], StrictBool | int | float | str] = Field(
        default_factory=dict, max_length=20
    )


class CancelOrders(Message):
    """All open orders of an account; of one instrument where it is named."""

    account_id: UUID
    instrument: InstrumentId | None = None


class ClosePositions(Message):
    """Cancel the open orders of an account and bring its positions to zero at the market; of one instrument, or all."""

    account_id: UUID
    instrument: InstrumentId | None = None


class ModifyOrder(Message):
    """A new quantity, price or stop price for an open order, or several of them."""

    quantity: Positive | None = None
    price: Positive | None = None
    stop_price: Positive | None = None

    @model_validator(mode="after")
    def _something(self) -> "ModifyOrder":
        if self.quantity is None and self.price is None and self.stop_price is None:
            raise ValueError("give quantity, price or stop_price")
        return self


class BustTrade(Message):
    """A trade that the venue has taken back, as it has told (by a notice, or on its desk)."""

    trade_id: Annotated[str, Field(min_length=1, max_length=64)]
    reason: Annotated[str, Field(min_length=1, max_length=200)]


class RegisterUser(Message):
    username: Name
    password: Annotated[str, Field(min_length=12, max_length=256)]
    telegram_id: TelegramId | None = None


class CreateUser(Message):
    """A user made by an administrator, who hands over the password."""

    username: Name
    password: Annotated[str, Field(min_length=12, max_length=256)]
    role: RoleName = "user"


class ManageUser(Message):
    """What an administrator changes of a user; what is left out stays. The reason is kept with it."""

    role: RoleName | None = None
    status: UserStatus | None = None
    compliance: ComplianceStatus | None = None
    reason: Annotated[str, Field(min_length=1, max_length=200)] = "asked by an administrator"


class ChangeProfile(Message):
    telegram_id: TelegramId | None = None
    base_currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"


class LogIn(Message):
    username: Name
    password: Annotated[str, Field(min_length=1, max_length=256)]


class ChangePassword(Message):
    old_password: Annotated[str, Field(min_length=1, max_length=256)]
    new_password: Annotated[str, Field(min_length=12, max_length=256)]


class ResetPassword(Message):
    """With the one-time password that an administrator has handed over."""

    username: Name
    one_time_password: Annotated[str, Field(min_length=1, max_length=256)]
    new_password: Annotated[str, Field(min_length=12, max_length=256)]


class LinkAccount(Message):
    """Link an exchange account. A live account needs key and secret; a paper account trades on the built-in venue."""

    exchange: Exchange
    mode: AccountMode = "paper"
    label: Name = "main"
    api_key: Annotated[str, Field(min_length=8, max_length=512)] | None = None
    api_secret: Annotated[str, Field(min_length=8, max_length=8192)] | None = None

    @model_validator(mode="after")
    def _credentials(self) -> "LinkAccount":
        given = self.api_key is not None and self.api_secret is not None
        if self.mode == "live" and not given:
            raise ValueError("a live account needs api_key and api_secret")
        if self.mode == "paper" and (self.api_key or self.api_secret):
            raise ValueError("a paper account takes no api_key and no api_secret")
        return self


class RotateCredentials(Message):
    """Other credentials for a live account, from now on."""

    api_key: Annotated[str, Field(min_length=8, max_length=512)]
    api_secret: Annotated[str, Field(min_length=8, max_length=8192)]


class ChooseLeverage(Message):
    """The leverage of an account in one instrument, from now on."""

    instrument: InstrumentId
    leverage: Annotated[StrictInt, Field(ge=1, le=1000)]


class FundAccount(Message):
    """Put paper money into a paper account."""

    asset: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
    amount: Positive


class ChangeSetting(Message):
    """Change a setting of the running platform. Without a value: back to what the processes were started with."""

    name: Annotated[str, Field(min_length=1, max_length=64)]
    value: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    part: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    seconds: Annotated[StrictInt, Field(ge=1, le=7 * 86_400)] | None = None
    reason: Annotated[str, Field(min_length=1, max_length=200)]

    @model_validator(mode="after")
    def _end(self) -> "ChangeSetting":
        if self.seconds is not None and self.value is None:
            raise ValueError("seconds are for a value: without one the change is over at once")
        return self
