"""What the venue refuses. Rule: every refusal has a machine code, changes nothing, and is mapped by the wire layers.

VenueError                      .code, text for people
├── UnknownInstrument           UNKNOWN_INSTRUMENT
├── UnknownAccount              UNKNOWN_ACCOUNT
├── UnknownOrder                UNKNOWN_ORDER          not there, or no longer open
├── InvalidRequest              INVALID_REQUEST        fields that contradict each other; .field names one
├── FilterFailure               FILTER_FAILURE         .filter: PRICE_FILTER, LOT_SIZE, ICEBERG_PARTS, NOTIONAL, TRADING
├── InsufficientBalance         INSUFFICIENT_BALANCE   spot funds, or margin of a derivative
├── DuplicateClientOrderId      DUPLICATE_CLIENT_ID
├── WouldTake                   WOULD_TAKE             post-only that would match at once
├── FokKilled                   FOK_KILLED             fill-or-kill that cannot be filled whole
├── ReduceOnlyRejected          REDUCE_ONLY            no position for it to reduce
├── WouldTriggerImmediately     WOULD_TRIGGER          stop on the wrong side of the market
├── NoLiquidity                 NO_LIQUIDITY           market order into an empty side
├── NothingToAmend              NOTHING_TO_AMEND       an amend that changes nothing
└── LeverageRejected            LEVERAGE               outside 1..maximum, or margin would not suffice
"""

from typing import ClassVar


class VenueError(Exception):
    """Root of the venue's refusals."""

    code: ClassVar[str] = "VENUE_ERROR"


class UnknownInstrument(VenueError):
    code = "UNKNOWN_INSTRUMENT"


class UnknownAccount(VenueError):
    code = "UNKNOWN_ACCOUNT"


class UnknownOrder(VenueError):
    code = "UNKNOWN_ORDER"


class InvalidRequest(VenueError):
    code = "INVALID_REQUEST"

    def __init__(self, field: str, rule: str) -> None:
        super().__init__(f"{field}: {rule}")
        self.field = field


class FilterFailure(VenueError):
    """`filter` is the name that Binance gives the broken filter."""

    code = "FILTER_FAILURE"

    def __init__(self, name: str, rule: str) -> None:
        super().__init__(f"Filter failure: {name} ({rule})")
        self.filter = name


class InsufficientBalance(VenueError):
    code = "INSUFFICIENT_BALANCE"


class DuplicateClientOrderId(VenueError):
    code = "DUPLICATE_CLIENT_ID"


class WouldTake(VenueError):
    code = "WOULD_TAKE"


class FokKilled(VenueError):
    code = "FOK_KILLED"


class ReduceOnlyRejected(VenueError):
    code = "REDUCE_ONLY"


class WouldTriggerImmediately(VenueError):
    code = "WOULD_TRIGGER"


class NoLiquidity(VenueError):
    code = "NO_LIQUIDITY"


class NothingToAmend(VenueError):
    code = "NOTHING_TO_AMEND"


class LeverageRejected(VenueError):
    code = "LEVERAGE"
