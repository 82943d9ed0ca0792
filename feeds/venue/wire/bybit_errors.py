"""What a refusal is called on the wire. Rule: one table per category; spot has its own family of codes.

Refused                  retCode and retMsg of one answer
└── Struck               a fault on demand (feeds.venue.faults)
Source: bybit-exchange.github.io/docs/v5/error
"""

from collections.abc import Mapping
from typing import Any, Final

from feeds.venue.errors import (
    DuplicateClientOrderId,
    FilterFailure,
    FokKilled,
    InsufficientBalance,
    InvalidRequest,
    LeverageRejected,
    NoLiquidity,
    NothingToAmend,
    ReduceOnlyRejected,
    UnknownInstrument,
    UnknownOrder,
    VenueError,
    WouldTake,
    WouldTriggerImmediately,
)

PARAMETERS: Final = 10001
TIMESTAMP: Final = 10002
API_KEY: Final = 10003
SIGNATURE: Final = 10004
RATE_LIMIT: Final = 10006
INTERNAL: Final = 10016
NO_SUCH_PATH: Final = 10017
IP_RATE_LIMIT: Final = 10018
NO_SUCH_OPERATION: Final = 10404
UNIFIED_FORBIDDEN: Final = 100028
LEVERAGE_SAME: Final = 110043
MARGIN_MODE_SAME: Final = 110026
SPOT_QUANTITY_TOO_LARGE: Final = 170135
SPOT_QUANTITY_TOO_SMALL: Final = 170136
SPOT_VALUE_TOO_SMALL: Final = 170140

UNCHANGED: Final = "The order remains unchanged as the parameters entered match the existing ones."


class Refused(Exception):
    """An answer with this retCode and retMsg."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"{code} {message}")
        self.code = code
        self.message = message


def malformed(field: str, rule: str) -> Refused:
    """Refuse a parameter."""
    return Refused(PARAMETERS, f"params error: {field} {rule}")


class Struck(Refused):
    """A fault on demand; over HTTP it has a status and headers of its own."""

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        super().__init__(RATE_LIMIT if status in {418, 429} else INTERNAL, "Server error.")
        self.status = status
        self.headers = headers


def struck(status: int, headers: Mapping[str, str]) -> dict[str, Any]:
    """Give a fault's answer. Raises Struck."""
    raise Struck(status, headers)


_Codes = dict[type[VenueError] | str, tuple[int, str]]

_LINEAR: Final[_Codes] = {
    UnknownInstrument: (PARAMETERS, "Not supported symbols"),
    UnknownOrder: (110001, "order not exists or too late to cancel"),
    InvalidRequest: (PARAMETERS, ""),
    "PRICE_FILTER": (PARAMETERS, "Price invalid"),
    "LOT_SIZE": (PARAMETERS, "Qty invalid"),
    "NOTIONAL": (110094, "Order does not meet minimum order value."),
    "TRADING": (110074, "This contract is not live"),
    InsufficientBalance: (110007, "ab not enough for new order"),
    DuplicateClientOrderId: (110072, "OrderLinkedID is duplicate"),
    WouldTake: (110003, "Order price exceeds the allowable range."),
    ReduceOnlyRejected: (110017, "current position is zero, cannot fix reduce-only order qty"),
    WouldTriggerImmediately: (110092, "trigger price is already passed"),
    NothingToAmend: (PARAMETERS, UNCHANGED),
    LeverageRejected: (110013, "cannot set leverage due to risk limit level"),
    NoLiquidity: (110003, "no liquidity"),
    FokKilled: (110003, "cannot be filled whole"),
}
_SPOT: Final[_Codes] = {
    **_LINEAR,
    UnknownInstrument: (170121, "Invalid symbol."),
    UnknownOrder: (170213, "Order does not exist."),
    InvalidRequest: (170130, ""),
    "PRICE_FILTER": (170134, "Order price has too many decimals."),
    "LOT_SIZE": (170137, "Order quantity has too many decimals."),
    "NOTIONAL": (SPOT_VALUE_TOO_SMALL, "Order value exceeded lower limit."),
    "TRADING": (170151, "This trading pair is not available for trading."),
    InsufficientBalance: (170131, "Insufficient balance."),
    DuplicateClientOrderId: (170141, "Duplicate clientOrderId."),
    WouldTake: (170218, "The LIMIT-MAKER order is rejected due to invalid price."),
}


def refused(error: VenueError, category: str) -> Refused:
    """Name a refusal of the exchange."""
    codes = _SPOT if category == "spot" else _LINEAR
    key = error.filter if isinstance(error, FilterFailure) else type(error)
    code, message = codes.get(key, (INTERNAL, "Server error."))
    return Refused(code, message or f"params error: {error}")
