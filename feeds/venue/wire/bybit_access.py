"""Who is asking, and may they? Rule: a signature is compared in constant time and never echoed.

REST signs `timestamp + api key + recv window + (query | body)`, a WebSocket `"GET/realtime" + expires`;
both HMAC-SHA256 in hex. Source: bybit-exchange.github.io/docs/v5/guide
"""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Any

from feeds.venue.accounts import Account
from feeds.venue.errors import UnknownAccount
from feeds.venue.exchange import Exchange
from feeds.venue.wire.bybit_errors import API_KEY, PARAMETERS, SIGNATURE, TIMESTAMP, Refused, malformed
from feeds.venue.wire.message import Request

RECEIVE_WINDOW_MS = 5000
RECEIVE_WINDOW_MS_MAX = 60_000
AHEAD_MS_MAX = 1000
"""How far a client's clock may run ahead."""


def signature(secret: str, text: str) -> str:
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def authenticate(exchange: Exchange, request: Request, now_ms: int) -> Account:
    """Return the account that signed a REST request. Raises Refused."""
    headers = request.headers
    key, timestamp = headers.get("x-bapi-api-key", ""), headers.get("x-bapi-timestamp", "")
    signed = headers.get("x-bapi-sign", "")
    if not (key and timestamp and signed):
        message = "empty value: apiTimestamp[] apiKey[] apiSignature[]: openapi sign params error!"
        raise Refused(PARAMETERS, message)
    window = headers.get("x-bapi-recv-window", "")
    check_time(headers, now_ms)
    account = _account(exchange, key)
    payload = request.query if request.method == "GET" else request.body.decode(errors="replace")
    _check_signature(account, timestamp + key + window + payload, signed)
    return account


def authenticate_socket(exchange: Exchange, arguments: Any, now_ms: int) -> Account:
    """Return the account that signed [api key, expires, signature]. Raises Refused."""
    if not isinstance(arguments, list) or len(arguments) != 3:
        raise malformed("args", "must be api key, expires and signature")
    key, expires, signed = map(str, arguments)
    account = _account(exchange, key)
    if _milliseconds(expires, "expires") <= now_ms:
        raise Refused(SIGNATURE, "error: the signature has expired")
    _check_signature(account, "GET/realtime" + expires, signed)
    return account


def check_time(headers: Mapping[str, Any], now_ms: int) -> None:
    """Check timestamp and receive window. Raises Refused."""
    timestamp = _milliseconds(str(headers.get("x-bapi-timestamp", "")), "timestamp")
    window = _milliseconds(str(headers.get("x-bapi-recv-window", "") or RECEIVE_WINDOW_MS), "recv_window")
    if not now_ms - min(window, RECEIVE_WINDOW_MS_MAX) <= timestamp < now_ms + AHEAD_MS_MAX:
        message = "invalid request, please check your server timestamp or recv_window param. "
        raise Refused(
            TIMESTAMP, f"{message}req_timestamp[{timestamp}],server_timestamp[{now_ms}],recv_window[{window}]"
        )


def _milliseconds(text: str, name: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 16):
        raise malformed(name, "is not a number of milliseconds")
    return int(text)


def _account(exchange: Exchange, key: str) -> Account:
    try:
        return exchange.account_by_key(key)
    except UnknownAccount:
        raise Refused(API_KEY, "API key is invalid.") from None


def _check_signature(account: Account, text: str, signed: str) -> None:
    if not hmac.compare_digest(signature(account.secret, text).encode(), signed.lower().encode()):
        raise Refused(SIGNATURE, "error sign! please check your signature generation algorithm.")
