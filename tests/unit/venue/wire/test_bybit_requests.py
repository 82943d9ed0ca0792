"""From a request to the exchange and back: ids, signatures, limits, orders, refusals."""

from contextlib import suppress
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as some

from feeds.venue import errors
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, SelfTrade, Side, TimeInForce, Trigger
from feeds.venue.wire.bybit_access import authenticate, authenticate_socket, check_time, signature
from feeds.venue.wire.bybit_errors import Refused, refused
from feeds.venue.wire.bybit_ids import order_id_of, order_number
from feeds.venue.wire.bybit_limits import Window
from feeds.venue.wire.bybit_orders import create, new_order
from feeds.venue.wire.bybit_parameters import Parameters, decode_object, from_query
from feeds.venue.wire.message import Request
from patriot.domain.instrument import Instrument

NOW_MS = 1_700_000_000_000
LINEAR, SPOT = "BYBIT:BTC/USDT:USDT", "BYBIT:BTC/USDT"


def instrument(instrument_id: str) -> Instrument:
    linear = instrument_id == LINEAR
    return Instrument(
        id=instrument_id, native_symbol="BTCUSDT", base="BTC", quote="USDT", settle="USDT" if linear else "",
        kind="linear" if linear else "spot", tick_size=Decimal("0.1"), lot_size=Decimal("0.001"), price_decimals=1,
        quantity_decimals=3, minimum_notional=Decimal(5), minimum_quantity=Decimal("0.002"),
        maximum_quantity=Decimal(10), maximum_leverage=100 if linear else 1,
    )  # fmt: skip


@pytest.fixture
def exchange() -> Exchange:
    made = Exchange("BYBIT", [instrument(LINEAR), instrument(SPOT)], lambda: NOW_MS, unified=True)
    trader, maker = made.open_account("trader", api_key="key", secret="secret"), made.open_account("m", unlimited=True)
    made.deposit(trader, "linear", "USDT", Decimal(10_000))
    for instrument_id in (LINEAR, SPOT):
        for side, price in ((Side.BUY, 99), (Side.SELL, 101)):
            made.create(
                maker,
                NewOrder(
                    instrument_id=instrument_id, side=side, type=OrderType.LIMIT, quantity=Decimal(5),
                    price=Decimal(price),
                ),
            )  # fmt: skip
        made.create(
            maker,
            NewOrder(instrument_id=instrument_id, side=Side.BUY, type=OrderType.MARKET, quantity=Decimal("0.1")),
        )
    return made


def order_fields(category: str = "linear", **fields: Any) -> Parameters:
    return Parameters(
        {"category": category, "symbol": "BTCUSDT", "side": "Buy", "orderType": "Market", "qty": "1"} | fields
    )


@given(number=some.integers(1, (1 << 48) - 1), is_spot=some.booleans())
def test_order_ids_lead_back(number: int, *, is_spot: bool) -> None:
    text = order_id_of(number, is_spot=is_spot)
    assert order_number(text) == number
    assert text.isdigit() == is_spot


@given(some.text(max_size=40))
def test_order_number_of_any_text_is_none_of_ours_or_positive(text: str) -> None:
    number = order_number(text)
    assert number == -1 or number > 0


@given(some.integers(2, 500), some.integers(1, 20))
def test_window_lets_the_limit_through_and_no_more(requests: int, limit: int) -> None:
    window = Window(1000)
    allowed = [window.take("a", limit, 5000 + step % 1000).left >= 0 for step in range(requests)]
    assert sum(allowed) == min(requests, limit)
    assert window.take("b", limit, 5999).left >= 0
    assert window.take("a", limit, 6000).left == limit - 1


def test_window_tells_when_it_opens_again() -> None:
    window = Window(1000)
    assert window.take("a", 1, 5300).reset_ms == 5300
    assert window.take("a", 1, 5300).reset_ms == 6000
    assert window.take("a", 1, 5400).headers()["X-Bapi-Limit-Status"] == "0"


@pytest.mark.parametrize(
    ("timestamp", "window", "is_fine"),
    [
        (NOW_MS, "5000", True),
        (NOW_MS - 5000, "5000", True),
        (NOW_MS - 5001, "5000", False),
        (NOW_MS + 999, "5000", True),
        (NOW_MS + 1000, "5000", False),
        (NOW_MS - 5001, "", False),
        (NOW_MS - 60_001, "9999999", False),
    ],
)
def test_timestamps(timestamp: int, window: str, *, is_fine: bool) -> None:
    headers = {"x-bapi-timestamp": str(timestamp), "x-bapi-recv-window": window}
    if is_fine:
        check_time(headers, NOW_MS)
        return
    with pytest.raises(Refused) as refusal:
        check_time(headers, NOW_MS)
    assert refusal.value.code == 10002


def request(headers: dict[str, str], query: str = "a=1", body: bytes = b"", method: str = "GET") -> Request:
    return Request(method, "/v5/x", query, headers, body, "127.0.0.1")


def test_authenticate_takes_the_documented_signature(exchange: Exchange) -> None:
    headers = {
        "x-bapi-api-key": "key",
        "x-bapi-timestamp": str(NOW_MS),
        "x-bapi-recv-window": "5000",
        "x-bapi-sign": signature("secret", f"{NOW_MS}key5000a=1"),
    }
    assert authenticate(exchange, request(headers), NOW_MS).name == "trader"
    posted = headers | {"x-bapi-sign": signature("secret", f"{NOW_MS}key5000{{}}")}
    assert authenticate(exchange, request(posted, "", b"{}", "POST"), NOW_MS).name == "trader"
    for wrong, code in (
        ({"x-bapi-sign": "0" * 64}, 10004),
        ({"x-bapi-api-key": "other"}, 10003),
        ({"x-bapi-api-key": ""}, 10001),
        ({"x-bapi-timestamp": "now"}, 10001),
        ({"x-bapi-sign": "ü"}, 10004),
    ):
        with pytest.raises(Refused) as refusal:
            authenticate(exchange, request(headers | wrong), NOW_MS)
        assert refusal.value.code == code
        assert "secret" not in refusal.value.message


def test_signature_is_the_one_of_the_documentation() -> None:
    """HMAC-SHA256 of the empty key and text, from RFC 4231's definition."""
    assert signature("", "") == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"


@pytest.mark.parametrize(
    "arguments", [None, [], ["key"], ["key", "x", "y"], ["other", str(NOW_MS + 1), "y"], [1, 2, 3]]
)
def test_authenticate_socket_refuses(exchange: Exchange, arguments: Any) -> None:
    with pytest.raises(Refused):
        authenticate_socket(exchange, arguments, NOW_MS)


def test_new_order_of_a_plain_limit(exchange: Exchange) -> None:
    fields = order_fields(
        orderType="Limit",
        price="100.5",
        timeInForce="PostOnly",
        orderLinkId="mine",
        reduceOnly=True,
        smpType="CancelBoth",
    )
    assert new_order(exchange, exchange.instrument(LINEAR), fields) == NewOrder(
        instrument_id=LINEAR, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal(1), price=Decimal("100.5"),
        post_only=True, reduce_only=True, self_trade=SelfTrade.EXPIRE_BOTH, client_order_id="mine", record_failure=True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "direction", "kind"),
    [
        ("Buy", 1, OrderType.STOP_MARKET),
        ("Buy", 2, OrderType.TAKE_PROFIT_MARKET),
        ("Sell", 1, OrderType.TAKE_PROFIT_MARKET),
        ("Sell", 2, OrderType.STOP_MARKET),
    ],
)
def test_new_order_waits_for_the_direction(exchange: Exchange, side: str, direction: int, kind: OrderType) -> None:
    fields = order_fields(side=side, triggerDirection=direction, triggerPrice="100", triggerBy="MarkPrice")
    made = new_order(exchange, exchange.instrument(LINEAR), fields)
    assert (made.type, made.trigger_by, made.trigger_checked) == (kind, Trigger.MARK, True)


@pytest.mark.parametrize(
    ("side", "trigger", "kind"), [("Buy", "102", OrderType.STOP_LIMIT), ("Sell", "102", OrderType.TAKE_PROFIT_LIMIT)]
)
def test_new_spot_order_infers_the_direction(exchange: Exchange, side: str, trigger: str, kind: OrderType) -> None:
    fields = order_fields("spot", side=side, orderType="Limit", price="100", triggerPrice=trigger)
    assert new_order(exchange, exchange.instrument(SPOT), fields).type is kind


@pytest.mark.parametrize(
    ("fields", "in_quote"),
    [
        ({"side": "Buy"}, True),
        ({"side": "Sell"}, False),
        ({"side": "Buy", "marketUnit": "baseCoin"}, False),
        ({"side": "Sell", "marketUnit": "quoteCoin"}, True),
        ({"side": "Buy", "orderType": "Limit", "price": "100"}, False),
    ],
)
def test_new_spot_market_order_unit(exchange: Exchange, fields: dict[str, str], *, in_quote: bool) -> None:
    made = new_order(exchange, exchange.instrument(SPOT), order_fields("spot", **fields))
    assert (made.quote_quantity is not None) == in_quote
    assert made.quantity + (made.quote_quantity or 0) == 1


def test_market_order_is_immediate_whatever_it_says(exchange: Exchange) -> None:
    made = new_order(exchange, exchange.instrument(LINEAR), order_fields(timeInForce="FOK"))
    assert made.time_in_force is TimeInForce.GTC


CODES = [
    (("linear", {"qty": "0.0005"}), 10001),
    (("linear", {"qty": "0.001"}), 10001),
    (("linear", {"orderType": "Limit", "price": "0.05"}), 10001),
    (("linear", {"orderType": "Limit", "price": "1", "qty": "0.002"}), 110094),
    (("linear", {"orderType": "Limit", "price": "1000000", "qty": "10"}), 110007),
    (("linear", {"reduceOnly": True}), 110017),
    (("linear", {"triggerPrice": "90", "triggerDirection": 1}), 110092),
    (("linear", {"triggerPrice": "110", "triggerDirection": 2}), 110093),
    (("spot", {"marketUnit": "baseCoin", "qty": "0.001"}), 170136),
    (("spot", {"marketUnit": "baseCoin", "qty": "11"}), 170135),
    (("spot", {"marketUnit": "baseCoin", "qty": "0.0025"}), 170137),
    (("spot", {"marketUnit": "quoteCoin", "qty": "4.99"}), 170140),
    (("spot", {"orderType": "Limit", "price": "100.05"}), 170134),
    (("spot", {"orderType": "Limit", "price": "1", "qty": "0.002"}), 170140),
    (("spot", {"orderType": "Limit", "price": "1001", "qty": "10"}), 170131),
]


@pytest.mark.parametrize(("order", "code"), CODES)
def test_create_refuses_with_the_category_code(
    exchange: Exchange, order: tuple[str, dict[str, Any]], code: int
) -> None:
    trader = exchange.account("trader")
    with pytest.raises(Refused) as refusal:
        create(exchange, trader, order_fields(order[0], **order[1]))
    assert refusal.value.code == code
    assert exchange.orders(trader) == []


def test_every_refusal_of_the_exchange_has_a_code() -> None:
    made: list[errors.VenueError] = []
    for kind in errors.VenueError.__subclasses__():
        if kind is errors.InvalidRequest:
            made.append(errors.InvalidRequest("price", "rule"))
        elif kind is errors.FilterFailure:
            made += [errors.FilterFailure(name, "r") for name in ("PRICE_FILTER", "LOT_SIZE", "NOTIONAL", "TRADING")]
        elif kind is not errors.UnknownAccount:  # the signature is checked first
            made.append(kind("text"))
    for category in ("linear", "spot"):
        assert not [error for error in made if refused(error, category).code == 10016]


VALUES = some.one_of(
    some.none(), some.booleans(), some.integers(), some.floats(), some.text(), some.lists(some.integers())
)


@given(some.dictionaries(some.sampled_from(["category", "symbol", "side", "orderType", "qty", "price", "triggerPrice",
       "triggerDirection", "orderLinkId", "timeInForce", "marketUnit", "reduceOnly", "smpType"]), VALUES))  # fmt: skip
def test_create_of_anything_is_done_or_refused(fields: dict[str, Any]) -> None:
    made = Exchange("BYBIT", [instrument(LINEAR)], lambda: NOW_MS, unified=True)
    account = made.open_account("trader", api_key="key", secret="secret")
    base = {"category": "linear", "symbol": "BTCUSDT", "side": "Buy", "orderType": "Limit", "qty": "1", "price": "100"}
    try:
        create(made, account, Parameters(base | fields))
    except Refused:
        assert made.orders(account) == []
    else:
        assert len(made.orders(account)) == 1


@given(some.binary(max_size=64) | some.text(max_size=64))
def test_decode_object_of_anything(data: bytes | str) -> None:
    with suppress(Refused):
        assert isinstance(decode_object(data), dict)


@given(some.text(max_size=200))
def test_from_query_of_anything(query: str) -> None:
    with suppress(Refused):
        from_query(query)


@pytest.mark.parametrize("text", ["1e5", "1_0", " 1", "+1", "٣", "NaN", "Infinity", "0x1", "1.", ".5", "1" * 30, "--1"])
def test_decimals_are_plain(text: str) -> None:
    with pytest.raises(Refused):
        Parameters({"qty": text}).decimal("qty")
