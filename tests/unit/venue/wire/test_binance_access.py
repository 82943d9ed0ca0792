import hmac
from hashlib import sha256

import pytest

from feeds.venue.exchange import Exchange
from feeds.venue.wire.binance_access import (
    LINEAR_ORDERS,
    SPOT_ORDERS,
    STRIKES_MAX,
    Limits,
    account_of,
    check_signed_object,
    check_signed_request,
)
from feeds.venue.wire.binance_errors import BinanceError
from feeds.venue.wire.binance_params import Params
from feeds.venue.wire.message import Request

NOW = 1_700_000_000_000
# the example of Binance's own documentation
DOCUMENTED_SECRET = "NhqPtmdSJYdKjVHjA7PZj4Mge3R5YNiP1e3UZjInClVN65XAbvqqM6A7H5fATj0j"
DOCUMENTED = (
    "symbol=LTCBTC&side=BUY&type=LIMIT&timeInForce=GTC&quantity=1&price=0.1&recvWindow=5000&timestamp=1499827319559"
)
DOCUMENTED_SIGNATURE = "c8db56825ae71d6d79447849e617115f4a920fa2acdcab2b053c4b2838bd6b71"


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> int:
        return self.now


def account(secret: str = "s"):  # noqa: S107
    return Exchange("BINANCE", [], lambda: NOW).open_account("a", api_key="k", secret=secret)


def request(query: str, body: bytes = b"") -> Request:
    return Request("POST", "/api/v3/order", query, {}, body, "127.0.0.1")


def check(secret: str, query: str, body: bytes, now: int) -> None:
    check_signed_request(account(secret), request(query, body), Params.of_request(query, body), now)


@pytest.mark.parametrize("split", [0, len(DOCUMENTED), DOCUMENTED.index("&quantity") + 1])
def test_documented_signature_holds_in_query_body_and_both(split: int):
    signed = f"{DOCUMENTED}&signature={DOCUMENTED_SIGNATURE}"
    query, body = signed[:split].rstrip("&"), signed[split:].encode()
    if split == DOCUMENTED.index("&quantity") + 1:
        # query and body are joined without a sign between them
        joined = (query + DOCUMENTED[split:]).encode()
        signature = hmac.new(DOCUMENTED_SECRET.encode(), joined, sha256).hexdigest()
        body = f"{DOCUMENTED[split:]}&signature={signature}".encode()
    check(DOCUMENTED_SECRET, query, body, 1499827319559)


@pytest.mark.parametrize(
    ("signed", "code"),
    [
        (f"{DOCUMENTED}&signature={'0' * 64}", -1022),
        (f"{DOCUMENTED.replace('price=0.1', 'price=0.2')}&signature={DOCUMENTED_SIGNATURE}", -1022),
        (DOCUMENTED, -1102),
        ("symbol=LTCBTC&signature=x", -1102),
        (DOCUMENTED.replace("recvWindow=5000", "recvWindow=60001"), -1131),
    ],
)
def test_anything_else_is_refused(signed: str, code: int):
    with pytest.raises(BinanceError) as caught:
        check(DOCUMENTED_SECRET, signed, b"", 1499827319559)
    assert caught.value.code == code


@pytest.mark.parametrize(
    ("skew", "is_refused"), [(0, False), (5000, False), (5001, True), (-999, False), (-1000, True)]
)
def test_timestamp_lies_in_the_window(skew: int, is_refused: bool):  # noqa: FBT001
    signed = f"{DOCUMENTED}&signature={DOCUMENTED_SIGNATURE}"
    if is_refused:
        with pytest.raises(BinanceError, match="Timestamp"):
            check(DOCUMENTED_SECRET, signed, b"", 1499827319559 + skew)
    else:
        check(DOCUMENTED_SECRET, signed, b"", 1499827319559 + skew)


def test_objects_are_signed_sorted_by_name():
    values = {"timestamp": str(NOW), "apiKey": "k", "symbol": "BTCUSDT"}
    text = f"apiKey=k&symbol=BTCUSDT&timestamp={NOW}"
    values["signature"] = hmac.new(b"s", text.encode(), sha256).hexdigest()
    check_signed_object(account(), Params(values), NOW)
    with pytest.raises(BinanceError, match="Signature"):
        check_signed_object(account(), Params(values | {"symbol": "ETHUSDT"}), NOW)


def test_keys_are_known_or_refused():
    exchange = Exchange("BINANCE", [], lambda: NOW)
    opened = exchange.open_account("a", api_key="k", secret="s")
    assert account_of(exchange, "k") is opened
    for key, code in (("", -2014), ("other", -2015)):
        with pytest.raises(BinanceError) as caught:
            account_of(exchange, key)
        assert (caught.value.code, caught.value.status) == (code, 401)


def status_of(limits: Limits, weight: int = 10) -> int:
    try:
        limits.spend("1.2.3.4", weight)
    except BinanceError as refusal:
        return refusal.status
    return 200


def test_weight_is_counted_by_minute_and_address_then_429_then_418():
    clock = Clock()
    limits = Limits(clock, 100, ())
    assert [status_of(limits) for _ in range(10)] == [200] * 10
    assert [status_of(limits) for _ in range(STRIKES_MAX)] == [429] * STRIKES_MAX
    assert status_of(limits) == 418
    assert limits.spend("5.6.7.8", 1) == 1
    clock.now += 119_000
    assert status_of(limits) == 418
    clock.now += 1_000
    assert status_of(limits) == 200


def test_each_ban_is_twice_as_long_up_to_three_days():
    clock = Clock()
    limits = Limits(clock, 1, ())
    lengths = []
    for _ in range(14):
        while status_of(limits) != 418:
            pass
        start = clock.now
        while status_of(limits) == 418:
            clock.now += 60_000
        lengths.append(clock.now - start)
    assert lengths[:3] == [120_000, 240_000, 480_000]
    assert lengths[-1] == 3 * 86_400_000


def test_retry_after_ends_with_the_minute():
    clock = Clock()
    clock.now = 60_000 * 1000 + 17_500
    limits = Limits(clock, 1, ())
    limits.spend("a", 1)
    with pytest.raises(BinanceError) as caught:
        limits.spend("a", 1)
    assert caught.value.headers == {"Retry-After": "43"}


@pytest.mark.parametrize(("orders", "count"), [(SPOT_ORDERS, 100), (LINEAR_ORDERS, 300)])
def test_orders_are_counted_by_account_and_interval(orders: tuple, count: int):
    clock = Clock()
    limits, one, other = Limits(clock, 0, orders), account(), account()
    other.name = "b"
    for _ in range(count):
        limits.place(one)
    assert limits.used(one, orders[0]) == count
    with pytest.raises(BinanceError, match="Too many new orders"):
        limits.place(one)
    limits.place(other)
    clock.now += 10_000
    limits.place(one)
    assert limits.used(one, orders[0]) == 1
    assert limits.used(one, orders[1]) == count + 1


def test_no_limits_refuse_nobody():
    limits = Limits(Clock(), 0, ())
    for _ in range(100):
        assert status_of(limits, 1_000_000) == 200
