"""What a client may ask for. Shapes and limits only: whether it may be done is decided by the domain."""

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, Field, StrictBool, StrictInt, model_validator

from schemas.types import (
    AccountMode,
    Exchange,
    InstrumentId,
    Message,
    OrderType,
    Positive,
    Side,
    Time,
    TimeInForce,
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

    @model_validator(mode="after")
    def _consistent(self) -> "CreateOrder":
        if (self.price is not None) != (self.order_type in PRICED):
            verb = "needs" if self.order_type in PRICED else "takes no"
            raise ValueError(f"a {self.order_type} order {verb} price")
        if (self.stop_price is not None) != (self.order_type in TRIGGERED):
            verb = "needs" if self.order_type in TRIGGERED else "takes no"
            raise ValueError(f"a {self.order_type} order {verb} stop_price")
        if (self.expire_at is not None) != (self.time_in_force == "GTD"):
            raise ValueError("expire_at goes with time_in_force GTD, and only with it")
        if self.post_only and (self.order_type != "limit" or self.time_in_force not in {"GTC", "GTD"}):
            raise ValueError("post_only goes with limit orders that may rest (GTC or GTD)")
        return self


class ModifyOrder(Message):
    """A new quantity, price, or both for an open order."""

    quantity: Positive | None = None
    price: Positive | None = None

    @model_validator(mode="after")
    def _something(self) -> "ModifyOrder":
        if self.quantity is None and self.price is None:
            raise ValueError("give quantity, price or both")
        return self


class RegisterUser(Message):
    username: Name
    password: Annotated[str, Field(min_length=12, max_length=256)]
    telegram_id: TelegramId | None = None


class ChangeProfile(Message):
    telegram_id: TelegramId | None = None
    base_currency: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,10}$")] = "USDT"


class LogIn(Message):
    username: Name
    password: Annotated[str, Field(min_length=1, max_length=256)]


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


class FundAccount(Message):
    """Put paper money into a paper account."""

    asset: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}$")]
    amount: Positive


class SetLimits(Message):
    """Pre-trade limits of one account. What is left out keeps its default."""

    maximum_order_notional: Positive | None = None
    maximum_position_notional: Positive | None = None
    maximum_open_orders: Annotated[StrictInt, Field(ge=0, le=100_000)] | None = None
    maximum_orders_per_second: Annotated[StrictInt, Field(ge=1, le=100_000)] | None = None
    price_collar: Annotated[Positive, Field(le=1)] | None = None
