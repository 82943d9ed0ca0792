"""Who may call, and how often. Rule: a request is counted before it is read, and checked before it is done.

Signature: HMAC-SHA256, hexadecimal, over the parameters as they were sent (REST) or sorted by name (WebSocket API).
Limits: weight per minute and address; orders per account. Over the limit: 429 with Retry-After until the minute ends;
who goes on regardless is banned with 418, first for two minutes, twice as long each time, at most three days.
"""

import hmac
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from math import ceil

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownAccount
from feeds.venue.exchange import Exchange
from feeds.venue.wire.binance_errors import INVALID_KEY, BinanceError
from feeds.venue.wire.binance_params import Params, missing
from feeds.venue.wire.message import Request

RECEIVE_WINDOW_MS = 5000
RECEIVE_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1000
BAN_MS_MIN = 2 * 60_000
BAN_MS_MAX = 3 * 86_400_000
STRIKES_MAX = 10
"""Requests answered with 429 before the ban."""

_SIGNATURE = re.compile(r"(^|&)signature=[^&]*")


def account_of(exchange: Exchange, api_key: str) -> Account:
    """Raises BinanceError -2014 where no key was sent, -2015 where nobody has it."""
    if not api_key:
        raise BinanceError(-2014, "API-key format invalid.", 401)
    try:
        return exchange.account_by_key(api_key)
    except UnknownAccount:
        raise BinanceError(*INVALID_KEY, 401) from None


def check_signed_request(account: Account, request: Request, params: Params, now_ms: int) -> None:
    signed = _SIGNATURE.sub("", request.query) + _SIGNATURE.sub("", request.body.decode())
    _check(account, signed, params, now_ms)


def check_signed_object(account: Account, params: Params, now_ms: int) -> None:
    pairs = sorted((name, value) for name, value in params.values.items() if name != "signature")
    _check(account, "&".join(f"{name}={value}" for name, value in pairs), params, now_ms)


def _check(account: Account, signed: str, params: Params, now_ms: int) -> None:
    _check_time(params, now_ms)
    expected = hmac.new(account.secret.encode(), signed.encode(), sha256).hexdigest()
    given = params.values.get("signature", "")
    if not given:
        raise missing("signature")
    if not hmac.compare_digest(expected.encode(), given.lower().encode()):
        raise BinanceError(-1022, "Signature for this request is not valid.")


def _check_time(params: Params, now_ms: int) -> None:
    timestamp = params.integer("timestamp")
    window = params.integer("recvWindow", RECEIVE_WINDOW_MS)
    if not 0 < window <= RECEIVE_WINDOW_MS_MAX:
        raise BinanceError(-1131, "recvWindow must be less than 60000.")
    if timestamp >= now_ms + AHEAD_MS_MAX:
        raise BinanceError(-1021, "Timestamp for this request was 1000ms ahead of the server's time.")
    if now_ms - timestamp > window:
        raise BinanceError(-1021, "Timestamp for this request is outside of the recvWindow.")


@dataclass(frozen=True, slots=True)
class OrderLimit:
    """At most `limit` orders of an account per interval; `letter` names it in headers (10S, 1M, 1D)."""

    letter: str
    interval: str
    count: int
    interval_ms: int
    limit: int


SPOT_ORDERS = (OrderLimit("10S", "SECOND", 10, 10_000, 100), OrderLimit("1D", "DAY", 1, 86_400_000, 200_000))
LINEAR_ORDERS = (OrderLimit("10S", "SECOND", 10, 10_000, 300), OrderLimit("1M", "MINUTE", 1, 60_000, 1200))


@dataclass(slots=True)
class _Usage:
    """What one address used in the current minute, and its sins."""

    minute: int = 0
    weight: int = 0
    strikes: int = 0
    bans: int = 0
    banned_until_ms: int = 0


@dataclass(slots=True)
class Limits:
    """Counts of one kind of market. A limit of 0 means none."""

    now_ms: Callable[[], int]
    weight_max: int
    orders: tuple[OrderLimit, ...]
    _addresses: dict[str, _Usage] = field(default_factory=dict)
    _orders: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)

    def spend(self, address: str, weight: int) -> int:
        """Count one request; return the weight used this minute. Raises BinanceError -1003 with 429 or 418."""
        now = self.now_ms()
        usage = self._usage(address, now)
        usage.weight += weight
        if not self.weight_max:
            return usage.weight
        if usage.banned_until_ms > now:
            raise self._ban(usage, now)
        if usage.weight > self.weight_max:
            usage.strikes += 1
            if usage.strikes > STRIKES_MAX:
                self._start_ban(usage, now)
                raise self._ban(usage, now)
            raise BinanceError(-1003, self._too_much(), 429, _retry_after(60_000 - now % 60_000))
        return usage.weight

    def place(self, account: Account) -> None:
        """Count one new order. Raises BinanceError -1015."""
        now = self.now_ms()
        for limit in self.orders:
            used = self.used(account, limit) + 1
            if limit.limit and used > limit.limit:
                interval = f"{limit.count} {limit.interval}"
                message = f"Too many new orders; current limit is {limit.limit} orders per {interval}."
                raise BinanceError(-1015, message, 429, _retry_after(limit.interval_ms - now % limit.interval_ms))
            self._orders[account.name, limit.letter] = (now // limit.interval_ms, used)

    def used(self, account: Account, limit: OrderLimit) -> int:
        """Orders of an account in the current interval."""
        window, count = self._orders.get((account.name, limit.letter), (0, 0))
        return count if window == self.now_ms() // limit.interval_ms else 0

    def _usage(self, address: str, now: int) -> _Usage:
        usage = self._addresses.setdefault(address, _Usage())
        if usage.minute != now // 60_000:
            usage.minute, usage.weight, usage.strikes = now // 60_000, 0, 0
        return usage

    def _start_ban(self, usage: _Usage, now: int) -> None:
        usage.banned_until_ms = now + min(BAN_MS_MAX, BAN_MS_MIN * 2**usage.bans)
        usage.bans += 1

    def _ban(self, usage: _Usage, now: int) -> BinanceError:
        message = f"Way too much request weight used; IP banned until {usage.banned_until_ms}."
        return BinanceError(-1003, message, 418, _retry_after(usage.banned_until_ms - now))

    def _too_much(self) -> str:
        return f"Too much request weight used; current limit is {self.weight_max} request weight per 1 MINUTE."


def _retry_after(milliseconds: int) -> dict[str, str]:
    return {"Retry-After": str(ceil(milliseconds / 1000))}
