"""The whole REST surface without sockets: answers, headers, and that nothing sent breaks it."""

import hmac
import json
from decimal import Decimal
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side
from feeds.venue.wire.binance_linear import linear_segment
from feeds.venue.wire.binance_listen_keys import ListenKeys
from feeds.venue.wire.binance_segment import Segment
from feeds.venue.wire.binance_spot import spot_segment
from feeds.venue.wire.message import Request
from feeds.venue.wire.strikes import Strikes
from patriot.protocols.market import MarkPrice
from tests.unit.venue.world import PERPETUAL, SPOT

NOW = 1_700_000_000_000


def world() -> tuple[Exchange, dict[str, Segment]]:
    exchange = Exchange("BINANCE", [SPOT, PERPETUAL], lambda: NOW)
    exchange.open_account("maker", unlimited=True)
    trader = exchange.open_account("trader", api_key="k", secret="s")
    exchange.deposit(trader, "spot", "USDT", Decimal(10_000))
    exchange.deposit(trader, "linear", "USDT", Decimal(10_000))
    exchange.set_mark(MarkPrice(PERPETUAL.id, 600_000, 600_000, "0.0001", 0, NOW))
    for instrument in (SPOT, PERPETUAL):
        for side, price in ((Side.BUY, 59_999), (Side.SELL, 60_001)):
            request = NewOrder(
                instrument_id=instrument.id, side=side, type=OrderType.LIMIT, quantity=Decimal(1), price=Decimal(price)
            )
            exchange.create(exchange.account("maker"), request)
    keys = ListenKeys(exchange.now_ms)
    return exchange, {
        "spot": spot_segment(exchange, Strikes(), keys, is_limited=True),
        "linear": linear_segment(exchange, Strikes(), keys, is_limited=True),
    }


def ask(segment: Segment, method: str, path: str, **params: object) -> tuple[int, Any, Any]:
    query = urlencode(params | {"timestamp": NOW})
    signature = hmac.new(b"s", query.encode(), sha256).hexdigest()
    request = Request(method, path, f"{query}&signature={signature}", {"x-mbx-apikey": "k"}, b"", "local")
    answer = segment.answer(request)
    return answer.status, json.loads(answer.body), answer.headers


BUY = {"symbol": "BTCUSDT", "side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "0.01", "price": "50000"}


def test_order_headers_count_orders_and_weight():
    _, segments = world()
    _, _, headers = ask(segments["spot"], "POST", "/api/v3/order", **BUY)
    assert headers == {
        "X-MBX-USED-WEIGHT": "1",
        "X-MBX-USED-WEIGHT-1M": "1",
        "X-MBX-ORDER-COUNT-10S": "1",
        "X-MBX-ORDER-COUNT-1D": "1",
    }
    _, _, headers = ask(segments["linear"], "POST", "/fapi/v1/order", **BUY)
    assert (headers["X-MBX-ORDER-COUNT-10S"], headers["X-MBX-ORDER-COUNT-1M"]) == ("1", "1")


@pytest.mark.parametrize(
    ("response", "present", "absent"),
    [("ACK", "transactTime", "status"), ("RESULT", "status", "fills"), ("FULL", "fills", "nothing")],
)
def test_response_types_of_new_spot_orders(response: str, present: str, absent: str):
    _, segments = world()
    _, body, _ = ask(segments["spot"], "POST", "/api/v3/order", **BUY, newOrderRespType=response)
    assert present in body
    assert absent not in body


def test_fills_of_an_order_are_its_own():
    _, segments = world()
    market = {"symbol": "BTCUSDT", "side": "BUY", "type": "MARKET", "quantity": "0.01"}
    ask(segments["spot"], "POST", "/api/v3/order", **market)
    _, body, _ = ask(segments["spot"], "POST", "/api/v3/order", **market)
    assert [fill["qty"] for fill in body["fills"]] == ["0.01000000"]
    assert body["fills"][0]["commissionAsset"] == "BTC"


def test_cancel_replace_stops_or_goes_on_as_asked():
    _, segments = world()
    spot = segments["spot"]
    replace = BUY | {"cancelReplaceMode": "STOP_ON_FAILURE", "cancelOrderId": 999}
    status, body, _ = ask(spot, "POST", "/api/v3/order/cancelReplace", **replace)
    assert (status, body["code"]) == (400, -2022)
    assert (body["data"]["cancelResult"], body["data"]["newOrderResult"]) == ("FAILURE", "NOT_ATTEMPTED")
    replace["cancelReplaceMode"] = "ALLOW_FAILURE"
    status, body, _ = ask(spot, "POST", "/api/v3/order/cancelReplace", **replace)
    assert (status, body["code"], body["data"]["newOrderResult"]) == (409, -2021, "SUCCESS")
    made = body["data"]["newOrderResponse"]["orderId"]
    replace |= {"cancelOrderId": made, "price": "100"}
    replace["quantity"] = "0.00001"
    status, body, _ = ask(spot, "POST", "/api/v3/order/cancelReplace", **replace)
    assert (status, body["data"]["cancelResult"], body["data"]["newOrderResult"]) == (409, "SUCCESS", "FAILURE")
    assert body["data"]["newOrderResponse"] == {"code": -1013, "msg": "Filter failure: NOTIONAL"}


def test_amend_keeps_priority_and_only_decreases():
    _, segments = world()
    spot = segments["spot"]
    _, made, _ = ask(spot, "POST", "/api/v3/order", **BUY)
    amend = {"symbol": "BTCUSDT", "orderId": made["orderId"]}
    status, body, _ = ask(spot, "PUT", "/api/v3/order/amend/keepPriority", **amend, newQty="0.005")
    assert (status, body["amendedOrder"]["origQty"]) == (200, "0.00500000")
    status, body, _ = ask(spot, "PUT", "/api/v3/order/amend/keepPriority", **amend, newQty="0.01")
    assert (status, body["code"]) == (400, -2038)


def test_a_foreign_order_does_not_exist():
    exchange, segments = world()
    foreign = next(iter(exchange.account("maker").by_id))
    for kind, path in (("spot", "/api/v3/order"), ("linear", "/fapi/v1/order")):
        for method, code in (("GET", -2013), ("DELETE", -2011)):
            _, body, _ = ask(segments[kind], method, path, symbol="BTCUSDT", orderId=foreign)
            assert body["code"] == code
    assert len(exchange.account("maker").open_orders) == 4


def test_modes_that_are_so_already_or_are_not_offered():
    _, segments = world()
    linear = segments["linear"]
    for path, params, code in (
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "CROSSED"}, -4046),
        ("/fapi/v1/marginType", {"symbol": "BTCUSDT", "marginType": "ISOLATED"}, -1020),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "false"}, -4059),
        ("/fapi/v1/positionSide/dual", {"dualSidePosition": "true"}, -1020),
        ("/fapi/v1/positionSide/dual", {}, -1102),
        ("/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": 0}, -4028),
        ("/fapi/v1/leverage", {"symbol": "BTCUSDT", "leverage": 9999}, -4028),
    ):
        status, body, _ = ask(linear, "POST", path, **params)
        assert (status, body["code"]) == (400, code)


def test_income_shows_profits_and_commissions():
    _, segments = world()
    for side in ("BUY", "SELL"):
        ask(segments["linear"], "POST", "/fapi/v1/order", symbol="BTCUSDT", side=side, type="MARKET", quantity="0.1")
    _, rows, _ = ask(segments["linear"], "GET", "/fapi/v1/income")
    assert [row["incomeType"] for row in rows] == ["COMMISSION", "REALIZED_PNL", "COMMISSION"]
    assert rows[1]["income"] == "-0.20000000"


def test_listen_keys_live_are_kept_and_end():
    _, segments = world()
    linear = segments["linear"]
    _, first, _ = ask(linear, "POST", "/fapi/v1/listenKey")
    _, second, _ = ask(linear, "POST", "/fapi/v1/listenKey")
    assert first == second
    assert ask(linear, "PUT", "/fapi/v1/listenKey")[0] == 200
    assert ask(linear, "DELETE", "/fapi/v1/listenKey")[1] == {}
    assert ask(linear, "PUT", "/fapi/v1/listenKey")[1]["code"] == -1125


def test_an_unknown_path_says_so():
    _, segments = world()
    status, body, _ = ask(segments["linear"], "GET", "/fapi/v1/nope")
    assert (status, body["code"]) == (404, -5000)


_WORDS = st.sampled_from(
    ["BTCUSDT", "ETHUSDT", "BUY", "SELL", "LIMIT", "MARKET", "STOP", "GTC", "GTX", "0", "1", "-1", "0.01", "60000",
     "1e9", "NaN", "true", "", "CONDITIONAL", "99999999999999999999", "é", "[]", '["BTCUSDT"]', "1m"]
)  # fmt: skip
_NAMES = st.sampled_from(
    ["symbol", "symbols", "side", "type", "timeInForce", "quantity", "price", "orderId", "limit", "interval",
     "startTime", "endTime", "stopPrice", "triggerPrice", "algoType", "algoId", "leverage",
     "newClientOrderId", "origClientOrderId",
     "reduceOnly", "closePosition", "newQty", "cancelReplaceMode", "cancelOrderId", "quoteOrderQty", "goodTillDate",
     "workingType", "fromId", "incomeType", "marginType", "omitZeroBalances"]
)  # fmt: skip

_STOP = BUY | {"type": "STOP", "triggerPrice": "70000", "algoType": "CONDITIONAL", "price": "71000"}
_MARKET = {"symbol": "BTCUSDT", "side": "SELL", "type": "MARKET", "quantity": "0.01"}
_BASES: list[dict[str, str]] = [
    {},
    BUY,
    BUY | {"price": "60001"},
    _STOP,
    _MARKET,
    BUY | {"orderId": "5", "algoId": "6"},
]


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 999), st.sampled_from(_BASES), st.dictionaries(_NAMES, _WORDS, max_size=3)),
        max_size=60,
    )
)
def test_random_requests_are_answered_or_refused_with_a_code(
    requests: list[tuple[int, dict[str, str], dict[str, str]]],
):
    _, segments = world()
    for segment in segments.values():
        segment.limits.weight_max, segment.limits.orders = 0, ()
        routes = list(segment.routes)
        for number, base, params in requests:
            method, path = routes[number % len(routes)]
            status, body, _ = ask(segment, method, path, **(base | params))
            assert status in {200, 400, 401, 409}
            assert status == 200 or body["code"] < -1000
            assert body.get("code") != -1000 if isinstance(body, dict) else True
