import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.protocols.bybit import BybitLinear, BybitSpot
from patriot.protocols.codec import Subscription
from patriot.protocols.errors import (
    MalformedFrame,
    ProtocolError,
    SubscriptionLimit,
    UnknownInstrument,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Declined, Heartbeat, Ignored, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.unit.protocols.samples import frame, instrument

LINEAR = "BYBIT:BTC/USDT:USDT"
TRADE = {
    "T": 9,
    "s": "BTCUSDT",
    "S": "Sell",
    "v": "0.004",
    "p": "65114.20",
    "L": "MinusTick",
    "i": "a9188a0a",
    "BT": False,
}


def linear() -> BybitLinear:
    return BybitLinear([instrument(LINEAR, kind="linear")])


def book(
    kind: str, update: int, bids: object = (), asks: object = (), *, depth: int = 200, symbol: str = "BTCUSDT"
) -> bytes:
    data = {"s": symbol, "b": bids, "a": asks, "u": update, "seq": 7}
    return frame({"topic": f"orderbook.{depth}.BTCUSDT", "type": kind, "ts": 5, "data": data, "cts": 4})


def topic(name: str, data: object, kind: str = "snapshot") -> bytes:
    return frame({"topic": name, "type": kind, "ts": 5, "data": data})


@pytest.mark.requirement("P7")
def test_book_begins_with_the_streams_snapshot_and_follows_u() -> None:
    codec = linear()
    assert codec.feed(book("snapshot", 10, [["65114.20", "6.054"]], [["65114.30", "1"]])) == (
        BookSnapshot(LINEAR, [(6511420, 6054)], [(6511430, 1000)], 10, 4),
    )
    assert codec.feed(book("delta", 11, [["65114.20", "0"]])) == (BookDelta(LINEAR, [(6511420, 0)], [], 11, 11, 10, 4),)
    assert codec.feed(book("delta", 11)) == ()
    [gap] = codec.feed(book("delta", 13))
    assert isinstance(gap, Resync)
    assert gap.cause == "gap"
    assert gap.frames == (
        b'{"req_id":"1","op":"unsubscribe","args":["orderbook.200.BTCUSDT"]}',
        b'{"req_id":"2","op":"subscribe","args":["orderbook.200.BTCUSDT"]}',
    )
    assert codec.feed(book("delta", 14)) == ()
    assert len(codec.feed(book("snapshot", 20))) == 1
    assert len(codec.feed(book("delta", 21))) == 1


def test_update_one_is_a_snapshot_after_a_restart() -> None:
    codec = linear()
    codec.feed(book("snapshot", 10))
    [event] = codec.feed(book("delta", 1))
    assert event == BookSnapshot(LINEAR, [], [], 1, 4)
    assert len(codec.feed(book("delta", 2))) == 1


def test_best_quotes_come_from_depth_one() -> None:
    codec = linear()
    assert codec.feed(book("snapshot", 10, [["5.00", "1"]], [["6.00", "2"]], depth=1)) == (
        Quote(LINEAR, 500, 1000, 600, 2000, 10, 4),
    )
    assert codec.feed(book("delta", 11, [["5.00", "0"], ["5.10", "3"]], [], depth=1)) == (
        Quote(LINEAR, 510, 3000, 600, 2000, 11, 4),
    )
    assert codec.feed(book("delta", 12, [], [["6.00", "0"], ["7.00", "0"]], depth=1)) == (
        Quote(LINEAR, 510, 3000, 0, 0, 12, 4),
    )
    [event] = codec.feed(book("delta", 14, depth=1))
    assert isinstance(event, Resync)


def test_trades_come_several_per_message_with_the_takers_side() -> None:
    events = linear().feed(topic("publicTrade.BTCUSDT", [TRADE, TRADE | {"S": "Buy", "i": "b"}]))
    assert list(events) == [
        Trade(LINEAR, 6511420, 4, True, "a9188a0a", 9),
        Trade(LINEAR, 6511420, 4, False, "b", 9),
    ]


def test_bars() -> None:
    bar = {
        "start": 60_000, "end": 119_999, "interval": "1", "open": "2", "close": "3.5", "high": "4", "low": "1",
        "volume": "1.5764", "turnover": "1", "confirm": True, "timestamp": 9,
    }  # fmt: skip
    assert linear().feed(topic("kline.1.BTCUSDT", [bar])) == [
        Bar(LINEAR, 60, 60_000, 200, 400, 100, 350, 1576, 0, closed=True)
    ]
    with pytest.raises(MalformedFrame, match="unknown interval"):
        linear().feed(topic("kline.7.BTCUSDT", [bar | {"interval": "7"}]))


def test_tickers_are_merged_from_snapshot_and_deltas() -> None:
    codec = linear()
    whole = {
        "symbol": "BTCUSDT", "lastPrice": "10.00", "prevPrice24h": "9.00", "highPrice24h": "11.00",
        "lowPrice24h": "8.00", "volume24h": "17573.9120", "markPrice": "10.005", "indexPrice": "10.02",
        "fundingRate": "0.0001", "nextFundingTime": "1786320000000",
    }  # fmt: skip
    ticker = Ticker(LINEAR, 1000, 900, 1100, 800, 17573912, 5)
    assert codec.feed(topic("tickers.BTCUSDT", whole)) == [
        ticker,
        MarkPrice(LINEAR, 1000, 1002, "0.0001", 1786320000000, 5),
    ]
    assert codec.feed(topic("tickers.BTCUSDT", {"symbol": "BTCUSDT", "bid1Price": "9.99"}, "delta")) == [ticker]
    assert codec.feed(topic("tickers.BTCUSDT", {"symbol": "BTCUSDT", "fundingRate": "-0.0002"}, "delta")) == [
        ticker,
        MarkPrice(LINEAR, 1000, 1002, "-0.0002", 1786320000000, 5),
    ]


def test_ticker_delta_without_a_snapshot_says_nothing() -> None:
    assert linear().feed(topic("tickers.BTCUSDT", {"symbol": "BTCUSDT", "highPrice24h": "9"}, "delta")) == []


def test_contract_without_funding() -> None:
    data = {"symbol": "BTCUSDT", "markPrice": "1.00"}
    assert linear().feed(topic("tickers.BTCUSDT", data)) == [MarkPrice(LINEAR, 100, 0, "0", 0, 5)]
    with pytest.raises(MalformedFrame, match="not a time"):
        linear().feed(topic("tickers.BTCUSDT", data | {"nextFundingTime": "soon"}))


def test_order_of_keys_does_not_matter() -> None:
    data = frame({"type": "snapshot", "ts": 5, "topic": "publicTrade.BTCUSDT", "data": [TRADE]})
    codec = linear()
    assert codec.feed(data) == codec.feed(data) == codec.feed(topic("publicTrade.BTCUSDT", [TRADE]))


def test_value_beyond_the_scale_forces_a_resync() -> None:
    codec = linear()
    codec.feed(book("snapshot", 10))
    [event] = codec.feed(book("delta", 11, [["1.234", "1"]]))
    assert isinstance(event, Resync)
    assert event.cause == "unrepresentable"
    assert event.frames
    [event] = codec.snapshot(
        LINEAR, frame({"retCode": 0, "result": {"s": "BTCUSDT", "b": [["1.234", "1"]], "a": [], "u": 1}})
    )
    assert isinstance(event, Resync)


def test_answers() -> None:
    codec = linear()
    assert codec.feed(b'{"success":true,"ret_msg":"","conn_id":"x","req_id":"7","op":"subscribe"}') == (
        Acknowledged("7"),
    )
    assert codec.feed(b'{"success":false,"ret_msg":"no such topic","req_id":"8","op":"subscribe"}') == (
        Declined("8", "", "no such topic"),
    )
    assert codec.feed(b'{"success":true,"ret_msg":"pong","conn_id":"x","op":"ping"}') == (Heartbeat(),)
    assert codec.feed(b'{"req_id":"1","op":"pong","args":["1675418560633"]}') == (Heartbeat(),)
    assert codec.ping() == b'{"op":"ping"}'


@pytest.mark.parametrize("name", ["allLiquidation.BTCUSDT", "price-limit.BTCUSDT", "publicTrade." + "X" * 80])
def test_other_topics_are_named_and_ignored(name: str) -> None:
    assert linear().feed(topic(name, [])) == (Ignored(name),)


def test_snapshot_of_rest_is_a_picture_only() -> None:
    codec = linear()
    codec.feed(book("snapshot", 10))
    body = {"retCode": 0, "retMsg": "OK", "result": {"s": "BTCUSDT", "b": [["1", "2"]], "a": [], "ts": 3, "u": 99}}
    assert codec.snapshot(LINEAR, frame(body)) == (BookSnapshot(LINEAR, [(100, 2000)], [], 99, 3),)
    assert len(codec.feed(book("delta", 11))) == 1
    assert codec.snapshot(LINEAR, b'{"retCode":10001,"retMsg":"params error"}') == (
        Declined("", "10001", "params error"),
    )
    with pytest.raises(MalformedFrame):
        codec.snapshot(LINEAR, b"<html>")
    with pytest.raises(UnknownInstrument):
        codec.snapshot("BYBIT:X/Y", b"{}")


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{}", b"[]", b"\xff", b'{"op":"auth"}',
        b'{"topic":"publicTrade.BTCUSDT"}',
        topic("publicTrade.ETHUSDT", [TRADE]),
        topic("publicTrade.BTCUSDT", [TRADE | {"s": "ETHUSDT"}]),
        topic("publicTrade.BTCUSDT", [TRADE | {"S": "Hold"}]),
        topic("publicTrade.BTCUSDT", [TRADE | {"v": "-1"}]),
        topic("publicTrade.BTCUSDT", [TRADE | {"v": "1" * 5000 + ".111"}]),
        topic("tickers.BTCUSDT", {"symbol": "ETHUSDT"}),
        book("snapshot", 1, symbol="ETHUSDT"),
        book("delta", -1),
    ],
)  # fmt: skip
def test_garbage_raises_malformed_frame(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        linear().feed(data)


def test_made_up_topics_do_not_fill_the_memory() -> None:
    codec = linear()
    for number in range(200):
        codec.feed(topic(f"orderbook.{number + 2}.BTCUSDT", {"s": "BTCUSDT", "b": [], "a": [], "u": 5}))
    assert len(codec._handlers) <= 64


def test_subscriptions() -> None:
    codec = linear()
    wanted = [Subscription("ticker", LINEAR), Subscription("mark_price", LINEAR), Subscription("bar", LINEAR, 86_400)]
    assert codec.subscribe(wanted) == [b'{"req_id":"1","op":"subscribe","args":["tickers.BTCUSDT","kline.D.BTCUSDT"]}']
    assert codec.unsubscribe([wanted[0]]) == []  # the mark price still needs the topic
    assert codec.unsubscribe([wanted[1]]) == [b'{"req_id":"2","op":"unsubscribe","args":["tickers.BTCUSDT"]}']
    with pytest.raises(UnsupportedChannel, match="no bars of 7 s"):
        codec.subscribe([Subscription("bar", LINEAR, 7)])
    with pytest.raises(UnsupportedChannel, match="aggregate_trade"):
        codec.subscribe([Subscription("aggregate_trade", LINEAR)])
    with pytest.raises(UnknownInstrument):
        codec.subscribe([Subscription("trade", "BYBIT:X/Y")])
    with pytest.raises(UnsupportedChannel):
        BybitSpot([instrument("BYBIT:BTC/USDT")]).subscribe([Subscription("mark_price", "BYBIT:BTC/USDT")])


def test_subscriptions_go_ten_per_frame_and_are_limited() -> None:
    many = [instrument(f"BYBIT:C{number}/USDT", f"C{number}USDT") for number in range(301)]
    codec = BybitSpot(many)
    assert len(codec.subscribe([Subscription("trade", one.id) for one in many[:25]])) == 3
    with pytest.raises(SubscriptionLimit):
        codec.subscribe([Subscription("trade", one.id) for one in many])
    codec.reset()
    assert len(codec.subscribe([Subscription("trade", many[0].id)])) == 1


def test_reset_forgets_the_book() -> None:
    codec = linear()
    codec.feed(book("snapshot", 10))
    codec.reset()
    [event] = codec.feed(book("delta", 11))
    assert isinstance(event, Resync)
    assert event.cause == "no_snapshot"


def test_addresses() -> None:
    assert BybitLinear.url("depth") == "wss://stream.bybit.com/v5/public/linear"
    assert BybitSpot.url("depth") == "wss://stream.bybit.com/v5/public/spot"


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_documented_errors(data: bytes) -> None:
    for one in (data, b'{"topic":"orderbook.1.BTCUSDT",' + data, b'{"topic":"kline.1.BTCUSDT","data":[' + data):
        with contextlib.suppress(ProtocolError):
            linear().feed(one)


@given(
    st.sampled_from(["orderbook.200", "orderbook.1", "publicTrade", "tickers", "kline.1"]),
    st.dictionaries(
        st.sampled_from([*"sbauTSvpi", "symbol", "lastPrice", "markPrice", "fundingRate", "nextFundingTime", "start"]),
        st.text(max_size=12) | st.integers() | st.just("BTCUSDT") | st.just([["1", "2"]]),
    ),
)
def test_any_fields_raise_only_documented_errors(name: str, data: dict[str, object]) -> None:
    for body in (data, [data]):
        with contextlib.suppress(ProtocolError):
            linear().feed(topic(f"{name}.BTCUSDT", body))


# --- definitions -----------------------------------------------------------------------------------------------------

LINEAR_SYMBOL = {
    "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC",
    "quoteCoin": "USDT", "deliveryTime": "0", "priceScale": "2", "settleCoin": "USDT",
    "leverageFilter": {"minLeverage": "1", "maxLeverage": "100.00", "leverageStep": "0.01"},
    "priceFilter": {"minPrice": "0.10", "maxPrice": "1999999.80", "tickSize": "0.10"},
    "lotSizeFilter": {"maxOrderQty": "1500.000", "minOrderQty": "0.001", "qtyStep": "0.001", "minNotionalValue": "5"},
}  # fmt: skip
SPOT_SYMBOL = {
    "symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "PreLaunch",
    "lotSizeFilter": {"basePrecision": "0.000001", "minOrderQty": "0.000001", "maxOrderQty": "230", "minOrderAmt": "5"},
    "priceFilter": {"tickSize": "0.1"},
}  # fmt: skip


def info(category: str, symbol: dict[str, object]) -> bytes:
    return frame({"retCode": 0, "retMsg": "OK", "result": {"category": category, "list": [symbol]}})


def test_linear_instrument() -> None:
    [one] = BybitLinear.decode_instruments(info("linear", LINEAR_SYMBOL))
    assert (one.id, one.native_symbol, one.kind, one.settle) == (LINEAR, "BTCUSDT", "linear", "USDT")
    assert (str(one.tick_size), one.price_decimals, one.quantity_decimals) == ("0.10", 2, 3)
    assert (one.maximum_leverage, str(one.maintenance_margin_rate), one.trading) == (100, "0.005", True)


def test_dated_contract_is_named_as_in_ccxt() -> None:
    [one] = BybitLinear.decode_instruments(info("linear", LINEAR_SYMBOL | {"deliveryTime": "1727424000000"}))
    assert one.id == "BYBIT:BTC/USDT:USDT-240927"


def test_spot_instrument() -> None:
    [one] = BybitSpot.decode_instruments(info("spot", SPOT_SYMBOL))
    assert (one.id, one.kind, one.settle) == ("BYBIT:BTC/USDT", "spot", "USDT")
    assert (one.price_decimals, one.quantity_decimals, str(one.minimum_notional)) == (1, 6, "5")
    assert (one.maximum_leverage, one.maintenance_margin_rate, one.trading) == (1, 0, False)


@pytest.mark.parametrize(
    "data",
    [
        b"<html>",
        b'{"retCode":10001,"retMsg":"params error"}',
        b'{"retCode":0}',
        info("spot", LINEAR_SYMBOL),
        info("linear", LINEAR_SYMBOL | {"priceScale": "many"}),
        info("linear", LINEAR_SYMBOL | {"priceScale": "1000000"}),
        info("linear", LINEAR_SYMBOL | {"deliveryTime": "-1"}),
    ],
)
def test_wrong_definitions_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        BybitLinear.decode_instruments(data)
