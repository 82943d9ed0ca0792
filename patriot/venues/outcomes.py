"""What the end of a venue call proves. Rule: only an answer that says so is a refusal; all else is Unknown.

An error is judged in this order: the venue's own code (tables below), then the kind of ccxt error, then Unknown.
ccxt maps some codes only on the exchange's own host names, so the code is the stronger witness.

| meaning | the request was executed | outcome of a command |
| --- | --- | --- |
| REFUSED | no, the venue (or ccxt, before sending) says so | Rejected |
| LIMITED | no: counted and turned away at the door (429, 418) | Rejected; the venue is left alone for a while |
| STALE | no: its timestamp lies outside the receive window | Rejected; the clock offset is measured again |
| MISSING | no: the venue knows no such order | Rejected for cancel and modify |
| DUPLICATE | perhaps earlier, under this client order id | ask the venue |
| UNPROVED | nobody knows: timeout, 5xx, dropped socket, unreadable answer | Unknown |

LIMITED is a refusal and not Unknown because the exchanges count a request before they look into it. The platform never
sends such an order again by itself: whoever ordered is told and may order anew, under a new client order id.

Sources: binance-spot-api-docs errors.md and rest-api.md; developers.binance.com USDⓈ-M futures, error code;
bybit-exchange.github.io/docs/v5/error; docs.cdp.coinbase.com Advanced Trade, create order.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Final

import ccxt

from patriot.domain.venue import Rejected, Unknown
from patriot.telemetry.redaction import redact_text

REASON_LENGTH_MAX = 300


class Meaning(Enum):
    REFUSED = "refused"
    LIMITED = "limited"
    STALE = "stale"
    MISSING = "missing"
    DUPLICATE = "duplicate"
    UNPROVED = "unproved"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an error means, with the venue's code (the name of the ccxt error where it has none) and its text."""

    meaning: Meaning
    code: str
    reason: str

    def outcome(self) -> Rejected | Unknown:
        if self.meaning in {Meaning.UNPROVED, Meaning.DUPLICATE}:
            return Unknown(f"{self.code}: {self.reason}")
        return Rejected(self.code, self.reason)


def _each(meaning: Meaning, *codes: int | str) -> dict[str, Meaning]:
    return {str(code): meaning for code in codes}


CODES: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "binance": {
        # unknown error, disconnected, unexpected response, backend timeout, unsuccessful action, server busy
        **_each(Meaning.UNPROVED, -1000, -1001, -1004, -1006, -1007, -1008, -1010, -1016, -1099),
        **_each(Meaning.LIMITED, -1003, -1015),
        **_each(Meaning.STALE, -1021),
        **_each(Meaning.MISSING, -2011, -2013),
        **_each(Meaning.DUPLICATE, -4111, -4116),
        **_each(Meaning.REFUSED, -1002, -1005, -1013, -1014, -1020, -1022, -1023),
    },
    "bybit": {
        # server timeout, internal errors, network error, creation and cancel timeouts, create or cancel failed
        **_each(Meaning.UNPROVED, 10000, 10016, 10019, 170001, 170007, 170031, 170032, 170146, 170147, 170149, 170150),
        **_each(Meaning.UNPROVED, 110063, 110066, 110071, 110073),
        **_each(Meaning.LIMITED, 10006, 10018, 170222, 10429),
        **_each(Meaning.STALE, 10002, -1021),
        **_each(Meaning.MISSING, 110001, 170213, 170142, 170143),
        **_each(Meaning.DUPLICATE, 110072, 170141, 10014),
        **_each(Meaning.REFUSED, 10001, 10003, 10004, 10005, 10007, 10008, 10009, 10010, 10017, 10024, 10027, 10028),
        **_each(Meaning.REFUSED, 10029, 10404, 100028),
    },
    "coinbase": {
        **_each(Meaning.UNPROVED, "internal_server_error", "UNKNOWN_FAILURE_REASON", "INTERNAL", "UNAVAILABLE"),
        **_each(Meaning.LIMITED, "rate_limit_exceeded", "resource_exhausted", "RESOURCE_EXHAUSTED"),
        **_each(Meaning.MISSING, "NOT_FOUND", "UNKNOWN_CANCEL_ORDER"),
        **_each(Meaning.DUPLICATE, "DUPLICATE_CLIENT_ORDER_ID"),
        **_each(Meaning.REFUSED, "INVALID_ARGUMENT", "PERMISSION_DENIED", "UNSUPPORTED_ORDER_CONFIGURATION"),
        **_each(Meaning.REFUSED, "INSUFFICIENT_FUND", "INVALID_LIMIT_PRICE_POST_ONLY", "INVALID_LIMIT_PRICE"),
        **_each(Meaning.REFUSED, "INVALID_SIZE_PRECISION", "INVALID_PRICE_PRECISION", "INVALID_PRODUCT_ID"),
    },
}

TEXTS: Final[Mapping[str, Mapping[str, Meaning]]] = {
    "binance": {"Duplicate order sent.": Meaning.DUPLICATE},  # -2010 is any refused order
    "bybit": {},
    "coinbase": {'"success":false': Meaning.REFUSED, '"success": false': Meaning.REFUSED},
}
"""Texts that say what the code does not."""

REFUSING: Final[Mapping[str, tuple[range, ...]]] = {
    "binance": (range(1100, 1200), range(2000, 2100), range(4000, 4500), range(5000, 5100)),
    "bybit": (range(30000, 35000), range(110000, 111000), range(130000, 132000), range(170000, 171000)),
    "coinbase": (),
}
"""Families of codes with which a venue refuses what was asked (absolute values); exceptions stand in CODES."""

_CLASSES: Final[tuple[tuple[type[Exception], Meaning], ...]] = (
    # the first that fits
    (ccxt.DuplicateOrderId, Meaning.DUPLICATE),
    (ccxt.OrderNotFound, Meaning.MISSING),
    (ccxt.RateLimitExceeded, Meaning.LIMITED),
    (ccxt.DDoSProtection, Meaning.LIMITED),
    (ccxt.InvalidNonce, Meaning.STALE),
    (ccxt.OperationFailed, Meaning.UNPROVED),
    (ccxt.ExchangeClosedByUser, Meaning.UNPROVED),
    (ccxt.AuthenticationError, Meaning.REFUSED),
    (ccxt.AccountSuspended, Meaning.REFUSED),
    (ccxt.ArgumentsRequired, Meaning.REFUSED),
    (ccxt.BadRequest, Meaning.REFUSED),
    (ccxt.OperationRejected, Meaning.REFUSED),
    (ccxt.InsufficientFunds, Meaning.REFUSED),
    (ccxt.InvalidOrder, Meaning.REFUSED),
    (ccxt.NotSupported, Meaning.REFUSED),
)

_CODE: Final = re.compile(r'"(?:code|retCode|ret_code)"\s*:\s*"?(-?\d+)')
_NAME: Final = re.compile(r'"(?:error|(?:new_order|preview)_failure_reason|error_code)"\s*:\s*"(\w+)"')


def judge(exchange_id: str, error: BaseException) -> Verdict:
    """Tell what an error of a call to `exchange_id` ("binance", "bybit", "coinbase") means."""
    text = str(error)
    code = _code_of(text)
    meaning = CODES[exchange_id].get(code) or _by_text(exchange_id, text) or _by_family(exchange_id, code)
    return Verdict(meaning or _by_class(error), code or type(error).__name__, redact_text(text)[:REASON_LENGTH_MAX])


def _code_of(text: str) -> str:
    number = _CODE.search(text)
    if number:
        return number.group(1)
    names = [name for name in _NAME.findall(text) if not name.startswith("UNKNOWN_")] or _NAME.findall(text)
    return names[0] if names else ""


def _by_text(exchange_id: str, text: str) -> Meaning | None:
    return next((meaning for sentence, meaning in TEXTS[exchange_id].items() if sentence in text), None)


def _by_family(exchange_id: str, code: str) -> Meaning | None:
    number = code.lstrip("-")
    return Meaning.REFUSED if number.isdecimal() and _refuses(exchange_id, int(number)) else None


def _refuses(exchange_id: str, number: int) -> bool:
    return any(number in family for family in REFUSING[exchange_id])


def _by_class(error: BaseException) -> Meaning:
    return next((meaning for kind, meaning in _CLASSES if isinstance(error, kind)), Meaning.UNPROVED)
