"""The table of meanings, row by row: only proof is a refusal."""

import asyncio

import aiohttp
import ccxt
import pytest

from patriot.domain.venue import Rejected, Unknown
from patriot.venues.outcomes import CODES, REFUSING, Meaning, judge
from patriot.venues.reading import Unreadable

NO_PROOF = (
    ccxt.RequestTimeout("binance POST https://api.example/order"),
    ccxt.NetworkError("socket closed"),
    ccxt.ExchangeNotAvailable("binance POST https://api.example/order 503 Service Unavailable"),
    ccxt.ExchangeNotAvailable("binance 502 Bad Gateway <html></html>"),
    ccxt.OnMaintenance("system upgrade"),
    ccxt.BadResponse("not JSON: <html>"),
    ccxt.NullResponse("empty"),
    ccxt.OperationFailed("failed"),
    ccxt.CancelPending("later"),
    ccxt.ExchangeError("an error without a code"),
    ccxt.ExchangeClosedByUser("closed"),
    ccxt.BaseError("anything"),
    TimeoutError(),
    asyncio.IncompleteReadError(b"", 10),
    aiohttp.ServerDisconnectedError(),
    ConnectionResetError("reset"),
    Unreadable("status None"),
    ValueError("bad json"),
    KeyError("orderId"),
)
REFUSALS = (
    (ccxt.InsufficientFunds("no money"), Meaning.REFUSED),
    (ccxt.InvalidOrder("too small"), Meaning.REFUSED),
    (ccxt.OrderImmediatelyFillable("would take"), Meaning.REFUSED),
    (ccxt.OrderNotFillable("cannot fill"), Meaning.REFUSED),
    (ccxt.BadRequest("malformed"), Meaning.REFUSED),
    (ccxt.BadSymbol("no such market"), Meaning.REFUSED),
    (ccxt.AuthenticationError("key"), Meaning.REFUSED),
    (ccxt.PermissionDenied("no trading"), Meaning.REFUSED),
    (ccxt.AccountNotEnabled("no futures"), Meaning.REFUSED),
    (ccxt.AccountSuspended("suspended"), Meaning.REFUSED),
    (ccxt.ArgumentsRequired("price"), Meaning.REFUSED),
    (ccxt.OperationRejected("refused"), Meaning.REFUSED),
    (ccxt.NotSupported("never sent"), Meaning.REFUSED),
    (ccxt.RateLimitExceeded("429"), Meaning.LIMITED),
    (ccxt.DDoSProtection("418"), Meaning.LIMITED),
    (ccxt.InvalidNonce("clock"), Meaning.STALE),
    (ccxt.OrderNotFound("unknown"), Meaning.MISSING),
)
OUTCOMES = {
    Meaning.REFUSED: Rejected,
    Meaning.LIMITED: Rejected,
    Meaning.STALE: Rejected,
    Meaning.MISSING: Rejected,
    Meaning.DUPLICATE: Unknown,
    Meaning.UNPROVED: Unknown,
}
ROWS = [(exchange, code, meaning) for exchange, codes in CODES.items() for code, meaning in codes.items()]
NAMED = [(exchange, code) for exchange, code, _ in ROWS if not code.lstrip("-").isdecimal()]
CLASSES = (ccxt.ExchangeError, ccxt.InvalidOrder, ccxt.OperationFailed, ccxt.AuthenticationError)
SECRET = "1234567890abcdef" * 4

pytestmark = pytest.mark.requirement("P7", "A5")


def body(exchange: str, code: str) -> str:
    """An answer as the exchange writes it, in ccxt's words."""
    field, value = {"binance": ("code", code), "bybit": ("retCode", code), "coinbase": ("error", f'"{code}"')}[exchange]
    return f'{exchange} {{"{field}":{value},"msg":"no"}}'


@pytest.mark.parametrize("exchange", CODES)
@pytest.mark.parametrize("error", NO_PROOF, ids=lambda error: f"{type(error).__name__}-{error}"[:40])
def test_failure_without_proof_is_unknown(exchange: str, error: Exception):
    assert judge(exchange, error).meaning is Meaning.UNPROVED
    assert isinstance(judge(exchange, error).outcome(), Unknown)


@pytest.mark.parametrize("exchange", CODES)
@pytest.mark.parametrize(("error", "meaning"), REFUSALS, ids=lambda one: type(one).__name__)
def test_kind_of_error_tells_where_no_code_does(exchange: str, error: Exception, meaning: Meaning):
    verdict = judge(exchange, error)
    assert (verdict.meaning, verdict.code) == (meaning, type(error).__name__)
    assert isinstance(verdict.outcome(), Rejected)


@pytest.mark.parametrize(("exchange", "code", "meaning"), ROWS)
@pytest.mark.parametrize("kind", CLASSES)
def test_code_of_the_venue_is_the_stronger_witness(
    exchange: str, code: str, meaning: Meaning, kind: type[ccxt.BaseError]
):
    """Whatever kind of error ccxt makes of it: some kinds depend on the host name that it talked to."""
    verdict = judge(exchange, kind(body(exchange, code)))
    assert (verdict.meaning, verdict.code) == (meaning, code)
    assert isinstance(verdict.outcome(), OUTCOMES[meaning])


@pytest.mark.parametrize(
    ("exchange", "code"),
    [
        ("binance", -1000),
        ("binance", -1001),
        ("binance", -1006),
        ("binance", -1007),
        ("binance", -1008),
        ("bybit", 10000),
        ("bybit", 10016),
        ("bybit", 170007),
    ],
)
def test_documented_unknown_of_an_exchange_is_unknown(exchange: str, code: int):
    """Named here again: a slip in the table must not go unseen."""
    assert isinstance(judge(exchange, ccxt.InvalidOrder(body(exchange, str(code)))).outcome(), Unknown)


@pytest.mark.parametrize(
    ("exchange", "code"),
    [
        ("binance", -1013),
        ("binance", -1021),
        ("binance", -1111),
        ("binance", -2010),
        ("binance", -2019),
        ("binance", -4164),
        ("binance", -5021),
        ("binance", -5022),
        ("bybit", 10001),
        ("bybit", 110007),
        ("bybit", 110094),
        ("bybit", 170131),
    ],
)
def test_documented_refusal_of_an_exchange_is_rejected(exchange: str, code: int):
    verdict = judge(exchange, ccxt.ExchangeError(body(exchange, str(code))))
    assert verdict.outcome() == Rejected(str(code), body(exchange, str(code)))


@pytest.mark.parametrize(("exchange", "code"), [("binance", -9999), ("bybit", 999999), ("coinbase", 17)])
def test_code_that_nobody_knows_is_unknown(exchange: str, code: int):
    assert isinstance(judge(exchange, ccxt.ExchangeError(body(exchange, str(code)))).outcome(), Unknown)


@pytest.mark.parametrize(
    ("exchange", "code"), [("binance", -4116), ("binance", -4111), ("bybit", 110072), ("bybit", 170141)]
)
def test_duplicate_name_is_asked_for(exchange: str, code: int):
    assert judge(exchange, ccxt.InvalidOrder(body(exchange, str(code)))).meaning is Meaning.DUPLICATE


def test_duplicate_on_binance_spot_is_told_by_its_text():
    """-2010 is any refused order."""
    told = '{"code":-2010,"msg":"Duplicate order sent."}'
    assert judge("binance", ccxt.InvalidOrder(f"binance {told}")).meaning is Meaning.DUPLICATE
    other = '{"code":-2010,"msg":"Account has insufficient balance for requested action."}'
    assert judge("binance", ccxt.InsufficientFunds(f"binance {other}")).meaning is Meaning.REFUSED


def test_server_error_with_a_code_stays_unknown():
    told = '503 {"code":-1007,"msg":"Timeout waiting for response from backend server."}'
    assert isinstance(judge("binance", ccxt.ExchangeNotAvailable(told)).outcome(), Unknown)


@pytest.mark.parametrize("exchange", CODES)
def test_no_family_of_refusals_holds_a_success(exchange: str):
    assert not any(0 in family for family in REFUSING[exchange])


def test_reason_is_short_and_shows_no_secret():
    reason = judge("binance", ccxt.ExchangeError(f"signature={SECRET} " + "x" * 1000)).reason
    assert len(reason) <= 300
    assert SECRET not in reason
