"""Binance's error codes. Rule: every refusal has the code, the text and the HTTP status that Binance gives it.

`spot` and `linear` (USDⓈ-M futures) differ: what the exchange refuses is looked up in a table per kind. Clients match
some errors by the exact text, so the texts are Binance's own.

Sources: binance-spot-api-docs errors.md; developers.binance.com derivatives, error code.
"""

from collections.abc import Callable
from decimal import Decimal

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
    UnknownAccount,
    UnknownInstrument,
    UnknownOrder,
    VenueError,
    WouldTake,
    WouldTriggerImmediately,
)
from patriot.domain.instrument import Instrument, Kind


class BinanceError(Exception):
    """An answer {"code": code, "msg": message}; `headers` go with it, `data` is for cancelReplace."""

    def __init__(
        self,
        code: int,
        message: str,
        status: int = 400,
        headers: dict[str, str] | None = None,
        data: object = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.headers = headers or {}
        self.data = data

    def body(self) -> dict[str, object]:
        body: dict[str, object] = {"code": self.code, "msg": self.message}
        return body if self.data is None else body | {"data": self.data}


UNKNOWN_ORDER_CANCEL = (-2011, "Unknown order sent.")
UNKNOWN_ORDER_QUERY = (-2013, "Order does not exist.")
INVALID_SYMBOL = (-1121, "Invalid symbol.")
INVALID_KEY = (-2015, "Invalid API-key, IP, or permissions for action.")
PRECISION = (-1111, "Precision is over the maximum defined for this asset.")
_REJECTED = "order {} rejected. The order will not be recorded in the order history"

_SHARED: dict[type[VenueError], tuple[int, str]] = {
    UnknownInstrument: INVALID_SYMBOL,
    UnknownAccount: INVALID_KEY,
    UnknownOrder: UNKNOWN_ORDER_CANCEL,
}
_SPOT = _SHARED | {
    InsufficientBalance: (-2010, "Account has insufficient balance for requested action."),
    DuplicateClientOrderId: (-2010, "Duplicate order sent."),
    WouldTake: (-2010, "Order would immediately match and take."),
    WouldTriggerImmediately: (-2010, "Stop price would trigger immediately."),
    NoLiquidity: (-1013, "Market is closed."),
    NothingToAmend: (-2038, "This order cannot be amended."),
}
_LINEAR = _SHARED | {
    InsufficientBalance: (-2019, "Margin is insufficient."),
    DuplicateClientOrderId: (-4116, "ClientOrderId is duplicated."),
    WouldTake: (-5022, f"Due to the order could not be executed as maker, the Post Only {_REJECTED.format('will be')}"),
    FokKilled: (-5021, f"Due to the order could not be filled immediately, the FOK {_REJECTED.format('has been')}"),
    WouldTriggerImmediately: (-2021, "Order would immediately trigger."),
    ReduceOnlyRejected: (-2022, "ReduceOnly Order is rejected."),
    NoLiquidity: (-2020, "Unable to fill."),
    NothingToAmend: (-5027, "No need to modify the order."),
    LeverageRejected: (-4028, "Leverage is not valid."),
}
_TABLES: dict[Kind, dict[type[VenueError], tuple[int, str]]] = {"spot": _SPOT, "linear": _LINEAR}


def translate(error: VenueError, kind: Kind) -> BinanceError:
    """Return what Binance answers where the exchange refused."""
    if isinstance(error, FilterFailure):
        return _FILTERS[kind](error)
    if isinstance(error, InvalidRequest):
        return BinanceError(-1130, f"Data sent for parameter '{error.field}' is not valid.")
    code, message = _TABLES[kind].get(type(error), (-1000, str(error)))
    return BinanceError(code, message)


def check_precision(instrument: Instrument, field: str, number: Decimal) -> None:
    """Refuse more decimals than the asset has: 8 on spot, the symbol's own precision on futures."""
    exponent = number.normalize().as_tuple().exponent
    decimals = -exponent if isinstance(exponent, int) else 0
    own = instrument.price_decimals if field.lower().endswith("price") else instrument.quantity_decimals
    if decimals > (8 if instrument.kind == "spot" else own):
        if instrument.kind == "spot":
            raise BinanceError(-1111, f"Parameter '{field}' has too much precision.")
        raise BinanceError(*PRECISION)


def _spot_filter(error: FilterFailure) -> BinanceError:
    if error.filter == "TRADING":
        return BinanceError(-1013, "Market is closed.")
    return BinanceError(-1013, f"Filter failure: {error.filter}")


_LINEAR_FILTERS = {
    "PRICE_FILTER": (-4014, "Price not increased by tick size."),
    "TRADING": (-4141, "Symbol is closed."),
}


def _linear_filter(error: FilterFailure) -> BinanceError:
    text = str(error)
    if error.filter == "NOTIONAL":
        least = text.rpartition(" ")[2].rstrip(")")
        return BinanceError(-4164, f"Order's notional must be no smaller than {least} (unless you choose reduce only).")
    if error.filter == "LOT_SIZE":
        return BinanceError(*_linear_lot(text))
    return BinanceError(*_LINEAR_FILTERS.get(error.filter, (-1013, text)))


def _linear_lot(text: str) -> tuple[int, str]:
    if "at most" in text:
        return -4005, "Quantity greater than max quantity."
    if "at least" in text:
        return -4004, "Quantity less than min quantity."
    return -4023, "Qty not increased by step size."


_FILTERS: dict[Kind, Callable[[FilterFailure], BinanceError]] = {"spot": _spot_filter, "linear": _linear_filter}
