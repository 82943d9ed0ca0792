"""What may be asked of risk: limits, thresholds, kill switches. What is left out of a level does not bind there.

| level | scope | who sets it |
| --- | --- | --- |
| platform | `platform` | an administrator of the installation's own tenant |
| tenant | `tenant` | a fund manager |
| user | `user:<id>` | a fund manager; the user |
| account | `account:<id>` | a fund manager; its owner |
| strategy | `strategy:<name>` | a fund manager, for all who run it; a user, for their own orders of it |

All levels above an order bind it, each figure by its most restrictive level. A manager's figures and the owner's stand
beside each other: neither can loosen the other's. Where no level says anything, the default holds.
"""

from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from schemas.types import InstrumentId, Message, Number, Positive

Authority = Literal["owner", "manager"]
"""On whose word a level stands: the user's whom it binds, or a fund manager's or administrator's."""

Action = Literal["warn", "block", "reduce_only", "flatten"]
"""Tell it; stop every new order; let only those pass that reduce; that, and close what is open."""

Metric = Literal[
    "leverage",
    "margin_ratio",
    "liquidation_distance",
    "daily_loss",
    "drawdown",
    "concentration",
    "exposure",
    "value_at_risk",
    "expected_shortfall",
    "stress_loss",
]

_DAY = "(mon|tue|wed|thu|fri|sat|sun)"
_TIME = "([01][0-9]|2[0-3]):[0-5][0-9]"
Session = Annotated[str, Field(pattern=f"^{_DAY}(-{_DAY})? {_TIME}-({_TIME}|24:00)$")]
"""When trading is open, in UTC: "mon-fri 08:00-22:00"."""

VerifiedOnly = Literal["live", "all"]
"""On which accounts only users whose compliance status is verified may open positions: live ones, or all."""

Fraction = Annotated[Positive, Field(le=Decimal(1))]
Count = Annotated[StrictInt, Field(ge=0, le=100_000)]
Rate = Annotated[StrictInt, Field(ge=1, le=100_000)]


class Threshold(Message):
    """What happens when a figure of an account passes `limit`: falls below it for the distance, rises above else.

    Amounts are in the account's base currency, the others fractions (0.1 = 10 %) or multiples (leverage).
    """

    metric: Metric
    limit: Number
    action: Action = "warn"


class SetLimits(Message):
    """The limits of one level. Notionals and losses in the quote asset, collar, drawdown and shares as fractions."""

    maximum_order_notional: Positive | None = None
    maximum_position_notional: Positive | None = None
    maximum_open_orders: Count | None = None
    maximum_orders_per_second: Rate | None = None
    maximum_cancels_per_second: Rate | None = None
    price_collar: Fraction | None = None
    price_age_seconds_max: Rate | None = None
    maximum_leverage: Positive | None = None
    maximum_margin_usage: Fraction | None = None
    minimum_liquidation_distance: Fraction | None = None
    maximum_daily_loss: Positive | None = None
    maximum_drawdown: Fraction | None = None
    maximum_concentration: Positive | None = None
    duplicate_seconds: Rate | None = None
    prevent_self_trade: StrictBool | None = None
    verified_only: VerifiedOnly | None = None
    reduce_only: StrictBool | None = None
    blocked_instruments: Annotated[tuple[InstrumentId, ...], Field(max_length=1000)] | None = None
    sessions: Annotated[tuple[Session, ...], Field(min_length=1, max_length=20)] | None = None
    thresholds: Annotated[tuple[Threshold, ...], Field(max_length=20)] | None = None


class Halt(Message):
    """Why trading stops, or goes on."""

    reason: Annotated[str, Field(min_length=1, max_length=200)]
