from decimal import Decimal
from typing import Any

import pytest

from feeds.venue.orders import OrderType, SelfTrade, Side, TimeInForce, Trigger
from feeds.venue.wire.binance_errors import BinanceError
from feeds.venue.wire.binance_orders import ALGO, linear_order, spot_order
from feeds.venue.wire.binance_params import Params
from tests.unit.venue.world import PERPETUAL, SPOT


def spot(**changes: str) -> Any:
    order = {"side": "BUY", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "10"}
    return spot_order(SPOT, Params({name: value for name, value in (order | changes).items() if value}))


def linear(**changes: str) -> Any:
    order = {"side": "SELL", "type": "LIMIT", "timeInForce": "GTC", "quantity": "1", "price": "10"}
    return linear_order(PERPETUAL, Params({name: value for name, value in (order | changes).items() if value}))


def algo(**changes: str) -> Any:
    order = {"side": "SELL", "type": "STOP_MARKET", "quantity": "1", "triggerPrice": "10"}
    return linear_order(PERPETUAL, Params({name: value for name, value in (order | changes).items() if value}), ALGO)


def test_spot_limit_order_is_read():
    order = spot(newClientOrderId="mine", selfTradePreventionMode="EXPIRE_BOTH")
    assert (order.side, order.type, order.time_in_force) == (Side.BUY, OrderType.LIMIT, TimeInForce.GTC)
    assert (order.quantity, order.price, order.client_order_id) == (Decimal(1), Decimal(10), "mine")
    assert (order.self_trade, order.post_only, order.record_failure) == (SelfTrade.EXPIRE_BOTH, False, False)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"type": "LIMIT_MAKER", "timeInForce": ""}, {"post_only": True, "type": OrderType.LIMIT}),
        ({"timeInForce": "FOK"}, {"record_failure": True, "time_in_force": TimeInForce.FOK}),
        ({"type": "MARKET", "timeInForce": "", "price": ""}, {"type": OrderType.MARKET, "record_failure": True}),
        (
            {"type": "MARKET", "timeInForce": "", "price": "", "quantity": "", "quoteOrderQty": "50"},
            {"quote_quantity": Decimal(50), "quantity": Decimal(0)},
        ),
        (
            {"type": "STOP_LOSS", "timeInForce": "", "price": "", "stopPrice": "9"},
            {"type": OrderType.STOP_MARKET, "trigger_price": Decimal(9)},
        ),
        ({"type": "TAKE_PROFIT_LIMIT", "stopPrice": "9"}, {"type": OrderType.TAKE_PROFIT_LIMIT}),
    ],
)
def test_spot_types(changes: dict[str, str], expected: dict[str, object]):
    order = spot(**changes)
    assert {name: getattr(order, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"timeInForce": "GTX"}, {"post_only": True, "time_in_force": TimeInForce.GTC}),
        ({"timeInForce": "GTD", "goodTillDate": "99"}, {"expire_ms": 99, "time_in_force": TimeInForce.GTD}),
        ({"reduceOnly": "true"}, {"reduce_only": True}),
        ({"timeInForce": "FOK"}, {"record_failure": False}),
    ],
)
def test_futures_flags(changes: dict[str, str], expected: dict[str, object]):
    order = linear(**changes)
    assert {name: getattr(order, name) for name in expected} == expected


def test_algo_orders_wait_for_last_or_mark_price_and_may_close_the_position():
    assert algo().trigger_by is Trigger.LAST
    assert algo(workingType="MARK_PRICE").trigger_by is Trigger.MARK
    closing = algo(quantity="", closePosition="true")
    assert (closing.close_position, closing.quantity) == (True, Decimal(0))


@pytest.mark.requirement("P9")
def test_iceberg_is_read():
    assert spot(icebergQty="0.25").display_quantity == Decimal("0.25")
    assert spot().display_quantity is None


TRAIL = {"type": "TRAILING_STOP_MARKET", "triggerPrice": "", "callbackRate": "1.5"}


@pytest.mark.requirement("P9")
def test_trailing_stop_is_read():
    order = algo(**TRAIL, activatePrice="12", workingType="MARK_PRICE", reduceOnly="true")
    assert (order.type, order.callback_rate, order.activation_price) == (
        OrderType.TRAILING_STOP, Decimal("0.015"), Decimal(12),
    )  # fmt: skip
    assert (order.trigger_price, order.trigger_by, order.reduce_only) == (None, Trigger.MARK, True)
    assert algo(**TRAIL).activation_price is None
    assert algo(callbackRate="77").callback_rate == 0  # a stop has none


@pytest.mark.parametrize(
    ("make", "changes", "code"),
    [
        (spot, {"timeInForce": ""}, -1102),
        (spot, {"price": ""}, -1102),
        (spot, {"quantity": ""}, -1102),
        (spot, {"quantity": "0.123456789"}, -1111),
        (spot, {"type": "STOP"}, -1116),
        (spot, {"type": "MARKET", "price": "", "quantity": "", "quoteOrderQty": f"1.{'0' * 18}1"}, -1111),
        (spot, {"type": "MARKET", "timeInForce": ""}, -1106),
        (spot, {"timeInForce": "GTX"}, -1115),
        (spot, {"icebergQty": "1"}, -2010),
        (spot, {"icebergQty": "0.123456789"}, -1111),
        (spot, {"icebergQty": "0.5", "timeInForce": "IOC"}, -2010),
        (spot, {"icebergQty": "0.5", "type": "STOP_LOSS_LIMIT", "stopPrice": "9"}, -2010),
        (spot, {"icebergQty": "0.5", "type": "MARKET", "timeInForce": "", "price": ""}, -2010),
        (linear, {"quantity": "0.0001"}, -1111),
        (linear, {"quantity": "0"}, -4003),
        (linear, {"type": "STOP_MARKET"}, -4120),
        (linear, {"positionSide": "LONG"}, -4061),
        (linear, {"timeInForce": "GTD"}, -1102),
        (algo, {"type": "LIMIT"}, -1116),
        (algo, {"workingType": "MOON"}, -1130),
        (algo, {"triggerPrice": ""}, -1102),
        (algo, {**TRAIL, "callbackRate": ""}, -1102),
        (algo, {**TRAIL, "callbackRate": "0.05"}, -2007),
        (algo, {**TRAIL, "callbackRate": "10.1"}, -2007),
        (algo, {**TRAIL, "callbackRate": "1.55"}, -2007),
        (algo, {**TRAIL, "callbackRate": "-1"}, -2007),
        (algo, {**TRAIL, "activatePrice": "10.01"}, -1111),
        (algo, {**TRAIL, "triggerPrice": "10"}, -1106),
        (algo, {**TRAIL, "quantity": "", "closePosition": "true"}, -4136),
        (linear, {**TRAIL, "timeInForce": "", "price": ""}, -4120),
    ],
)
def test_bad_orders_are_refused(make: Any, changes: dict[str, str], code: int):
    with pytest.raises(BinanceError) as caught:
        make(**changes)
    assert caught.value.code == code
