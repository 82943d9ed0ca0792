"""The words that commands, events and queries share. Decimals travel as JSON strings; times are UTC with zone."""

import re
from decimal import Context, Decimal, Inexact
from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    model_validator,
)

Side = Literal["buy", "sell"]
OrderType = Literal["market", "limit", "stop", "stop_limit", "take_profit", "take_profit_limit", "trailing_stop"]
TrailingRule = Literal["offset", "percent", "step", "break_even", "80/80/50"]
Emulation = Literal["trigger", "expiry", "iceberg"]
ListKind = Literal["bracket", "oco", "oto", "iceberg"]
TimeInForce = Literal["GTC", "IOC", "FOK", "GTD"]
OrderStatus = Literal[
    "pending", "submitted", "accepted", "partially_filled", "filled", "cancelled", "rejected", "expired", "unknown"
]
Liquidity = Literal["maker", "taker"]
Exchange = Literal["BINANCE", "BYBIT", "COINBASE"]
AccountMode = Literal["paper", "live"]
RoleName = Literal["user", "fund_manager", "admin"]
UserStatus = Literal["active", "deactivated"]
ComplianceStatus = Literal["unverified", "pending", "verified", "rejected"]

MAX_DECIMALS = 18
LARGEST = Decimal(10) ** MAX_DECIMALS
_SMALLEST = 1 / LARGEST
_EXACT = Context(prec=40, traps=[Inexact])
PLAIN_NUMBER = r"^-?[0-9]{1,19}(\.[0-9]{1,18})?$"  # for documents; the check below leaves room for a better text
_PLAIN = re.compile(r"-?[0-9]{1,19}(\.[0-9]{1,64})?")


def _no_float(value: object) -> object:
    if isinstance(value, Decimal):
        return value
    if isinstance(value, (float, bool)):
        raise ValueError('must be a decimal string, for example "0.25": a JSON number loses digits')  # noqa: TRY004
    if isinstance(value, str) and not _PLAIN.fullmatch(value):
        raise ValueError('must be a plain decimal string, for example "0.25": no exponent, no spaces, no signs but -')
    return value


def _bounded(value: Decimal) -> Decimal:
    if not -LARGEST <= value <= LARGEST:
        raise ValueError("must not be larger than 10^18")
    try:
        _EXACT.quantize(value, _SMALLEST)  # zeros at the end do not count
    except Inexact:
        raise ValueError(f"must have at most {MAX_DECIMALS} decimals") from None
    return value


def _plain(value: Decimal) -> str:
    text = format(value, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


Number = Annotated[
    Decimal,
    Field(allow_inf_nan=False),
    BeforeValidator(_no_float, json_schema_input_type=Annotated[str, Field(pattern=PLAIN_NUMBER)]),
    AfterValidator(_bounded),
    PlainSerializer(_plain, return_type=str, when_used="json"),
]
"""A finite decimal: string in JSON, never a float."""

Positive = Annotated[Number, Field(gt=0, json_schema_extra=lambda schema: schema.pop("gt", None))]
"""More than zero. (JSON Schema cannot say so of a text; what pydantic writes instead is no keyword.)"""

Time = AwareDatetime
InstrumentId = Annotated[str, Field(pattern=r"^[A-Z0-9_]{2,20}:[A-Z0-9]{1,20}/[A-Z0-9]{1,20}(:[A-Z0-9]{1,20})?$")]


class Message(BaseModel):
    """Base of every contract: immutable, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Trailing(Message):
    """How a stop follows the market; it never loosens. Written for a long position, mirrored for a short one.

    | rule | the stop is | needs |
    | --- | --- | --- |
    | offset | the best price since, less `distance` | distance (price) |
    | percent | the best price since, less `distance` percent of it | distance (percent) |
    | step | as offset, but moves in whole `step`s only | distance, step (prices) |
    | break_even | at the entry once the price is `distance` above it | distance, entry_price |
    | 80/80/50 | above 1.5 x entry at 1.5 x entry, above 1.8 x entry at 1.8 x entry | entry_price |

    From `activation_price` on, where one is given; else at once.
    """

    rule: TrailingRule = "percent"
    distance: Positive | None = None
    step: Positive | None = None
    entry_price: Positive | None = None
    activation_price: Positive | None = None

    @model_validator(mode="after")
    def _consistent(self) -> "Trailing":
        needed = _NEEDED[self.rule]
        for name in ("distance", "step", "entry_price"):
            if (getattr(self, name) is not None) != (name in needed):
                raise ValueError(f"the rule {self.rule} {'needs' if name in needed else 'takes no'} {name}")
        if self.rule == "percent" and self.distance is not None and self.distance >= PERCENT_MAX:
            raise ValueError(f"the distance must be below {PERCENT_MAX} percent")
        return self


PERCENT_MAX = 100
_NEEDED: dict[TrailingRule, frozenset[str]] = {
    "offset": frozenset({"distance"}),
    "percent": frozenset({"distance"}),
    "step": frozenset({"distance", "step"}),
    "break_even": frozenset({"distance", "entry_price"}),
    "80/80/50": frozenset({"entry_price"}),
}


class ListLink(Message):
    """The place of an order in an order list: its members are orders 0 to `size` - 1, with derived ids.

    `parent_id` is the order whose fills this one waits for.
    """

    list_id: UUID
    kind: ListKind
    number: int
    size: int
    parent_id: UUID | None = None
