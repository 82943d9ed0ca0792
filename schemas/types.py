"""The words that commands, events and queries share. Decimals travel as JSON strings; times are UTC with zone."""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "take_profit", "take_profit_limit"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTD"]
OrderStatus = Literal[
    "pending", "submitted", "accepted", "partially_filled", "filled", "cancelled", "rejected", "expired", "unknown"
]
Liquidity = Literal["maker", "taker"]
Exchange = Literal["BINANCE", "BYBIT", "COINBASE"]
AccountMode = Literal["paper", "live"]

MAX_DECIMALS = 18


def _no_float(value: object) -> object:
    if isinstance(value, (float, bool)):
        raise ValueError('must be a decimal string, for example "0.25": a JSON number loses digits')  # noqa: TRY004
    return value


def _bounded(value: Decimal) -> Decimal:
    if _decimals(value) > MAX_DECIMALS and _decimals(value.normalize()) > MAX_DECIMALS:
        raise ValueError(f"must have at most {MAX_DECIMALS} decimals")
    if abs(value) > Decimal(10) ** 18:
        raise ValueError("must not be larger than 10^18")
    return value


def _decimals(value: Decimal) -> int:
    exponent = value.as_tuple().exponent
    return -exponent if isinstance(exponent, int) else 0


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


Number = Annotated[
    Decimal,
    BeforeValidator(_no_float, json_schema_input_type=str),
    Field(allow_inf_nan=False),
    AfterValidator(_bounded),
    PlainSerializer(_plain, return_type=str, when_used="json"),
]
"""A finite decimal: string in JSON, never a float."""

Positive = Annotated[Number, Field(gt=0)]
Time = AwareDatetime
InstrumentId = Annotated[str, Field(pattern=r"^[A-Z0-9_]{2,20}:[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?$")]


class Message(BaseModel):
    """Base of every contract: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")
