import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.instrument import Instrument
from patriot.protocols.binance import HANDLERS_PER_INSTRUMENT_MAX, BinanceInverse, BinanceLinear, BinanceSpot
from patriot.protocols.codec import Subscription
from patriot.protocols.errors import (
    MalformedFrame,
    ProtocolError,
    SubscriptionLimit,
    UnknownInstrument,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Declined, Event, GoingAway, Ignored, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.unit.protocols.samples import frame, instrument, stream

SPOT = "BINANCE:BTC/USDT"
LINEAR = "BINANCE:BTC/USDT:USDT"
QUOTE = {"u": 400, "s": "BTCUSDT", "b": "28165.47000000", "B": "7.98600000", "a": "28165.48000000", "A": "3.26800000"}
TRADE = {"e": "trade", "E": 7, "s": "BTCUSDT", "t": 9, "p": "28165.47000000", "q": "0.00500000", "T": 6, "m": True}
KLINE = {
    "t": 60_000, "T": 119_999, "s": "BTCUSDT", "i": "1m", "f": 1, "L": 2, "o": "1.10", "c": "1.20", "h": "1.30",
    "l": "1.00", "v": "12.5", "n": 30, "x": True, "q": "9", "V": "5", "Q": "2", "B": "0",
}  # fmt: skip
MARK = {"e": "markPriceUpdate", "E": 8, "s": "BTCUSDT", "p": "28147.27373413", "i": "28159.755", "r": "-0.0001", "T": 9}


def depth(first: int, last: int, *, previous: int | None = None, bids: object = (), asks: object = ()) -> bytes:
    data = {"e": "depthUpdate", "E": 11, "s": "BTCUSDT", "U": first, "u": last, "b": bids, "a": asks}
    if previous is not None:
        data |= {"pu": previous, "T": 10}
    return stream("btcusdt@depth@100ms", data)


def rest(sequence: int, bids: object = (), asks: object = ()) -> bytes:
    return frame({"lastUpdateId": sequence, "bids": bids, "asks": asks})


def spot() -> BinanceSpot:
    return BinanceSpot([instrument()])


def linear() -> BinanceLinear:
    return BinanceLinear([instrument(LINEAR, kind="linear")])


def feed(codec: BinanceSpot, data: bytes) -> list[Event]:
    """Feed twice where that is harmless: the first time goes the slow way, the second the fast one."""
    first = list(codec.feed(data))
    assert list(codec.feed(data)) == first
    return first


def test_quote_of_spot_and_of_futures() -> None:
    expected = Quote(SPOT, 2816547, 7986, 2816548, 3268, 400, 0)
    assert feed(spot(), stream("btcusdt@bookTicker", QUOTE)) == [expected]
    [quote] = feed(linear(), stream("btcusdt@bookTicker", QUOTE | {"e": "bookTicker", "T": 5, "E": 6}))
    assert quote == Quote(LINEAR, 2816547, 7986, 2816548, 3268, 400, 5)


def test_quote_follows_sizes_that_change_one_at_a_time() -> None:
    codec = spot()
    for bid, ask in (("1.000", "2.000"), ("1.000", "3.000"), ("4.000", "3.000"), ("4.000", "3.000"), ("0", "0")):
        [quote] = codec.feed(stream("btcusdt@bookTicker", QUOTE | {"B": bid, "A": ask}))
        assert isinstance(quote, Quote)
        assert (quote.bid_quantity, quote.ask_quantity) == (int(float(bid) * 1000), int(float(ask) * 1000))


def test_quote_whose_size_cannot_be_read_leaves_the_last_sizes_alone() -> None:
    codec = spot()
    codec.feed(stream("btcusdt@bookTicker", QUOTE))
    for _ in range(2):
        with pytest.raises(MalformedFrame):
            codec.feed(stream("btcusdt@bookTicker", QUOTE | {"B": "-1"}))
    [quote] = codec.feed(stream("btcusdt@bookTicker", QUOTE))
    assert quote == Quote(SPOT, 2816547, 7986, 2816548, 3268, 400, 0)


def test_trades_and_aggregate_trades() -> None:
    assert feed(spot(), stream("btcusdt@trade", TRADE)) == [Trade(SPOT, 2816547, 5, True, "9", 6)]
    aggregate = {
        "e": "aggTrade",
        "E": 7,
        "s": "BTCUSDT",
        "a": 8,
        "p": "1.5",
        "q": "2",
        "f": 1,
        "l": 2,
        "T": 6,
        "m": False,
    }
    assert feed(linear(), stream("btcusdt@aggTrade", aggregate)) == [Trade(LINEAR, 150, 2000, False, "8", 6)]


def test_futures_placeholder_trade_is_no_execution() -> None:
    assert feed(linear(), stream("btcusdt@trade", TRADE | {"p": "0", "q": "0", "X": "NA"})) == [Ignored("trade")]


@pytest.mark.parametrize(("topic", "event"), [("ticker", "24hrTicker"), ("miniTicker", "24hrMiniTicker")])
def test_tickers(topic: str, event: str) -> None:
    data = {"e": event, "E": 3, "s": "BTCUSDT", "c": "5.00", "o": "4.00", "h": "6.005", "l": "3.00", "v": "12.3456"}
    assert feed(spot(), stream(f"btcusdt@{topic}", data)) == [Ticker(SPOT, 500, 400, 600, 300, 12346, 3)]


def test_bars() -> None:
    data = {"e": "kline", "E": 3, "s": "BTCUSDT", "k": KLINE}
    assert feed(spot(), stream("btcusdt@kline_1m", data)) == [
        Bar(SPOT, 60, 60_000, 110, 130, 100, 120, 12500, 30, closed=True)
    ]
    with pytest.raises(MalformedFrame, match="unknown interval '7m'"):
        spot().feed(stream("btcusdt@kline_7m", data | {"k": KLINE | {"i": "7m"}}))


def test_mark_price_is_rounded_because_venues_give_it_finer_than_a_tick() -> None:
    assert feed(linear(), stream("btcusdt@markPrice@1s", MARK)) == [
        MarkPrice(LINEAR, 2814727, 2815976, "-0.0001", 9, 8)
    ]
    dated = {key: value for key, value in MARK.items() if key != "i"} | {"r": "", "T": 0}
    assert feed(linear(), stream("btcusdt@markPrice", dated)) == [MarkPrice(LINEAR, 2814727, 0, "0", 0, 8)]


@pytest.mark.requirement("P7")
def test_spot_book_from_rest_snapshot_and_diffs() -> None:
    codec = spot()
    [asked] = codec.feed(depth(99, 100))
    assert asked == Resync(SPOT, "no_snapshot", "first diff 99", "/api/v3/depth?symbol=BTCUSDT&limit=1000")
    assert (
        codec.feed(depth(101, 103, bids=[["28165.47000000", "0.50000000"]], asks=[["28165.48000000", "0.00000000"]]))
        == ()
    )
    assert codec.snapshot(SPOT, rest(100, [["28165.40", "1.000"]], [["28165.48", "2.000"]])) == (
        BookSnapshot(SPOT, [(2816540, 1000)], [(2816548, 2000)], 100, 0),
        BookDelta(SPOT, [(2816547, 500)], [(2816548, 0)], 101, 103, -1, 11),
    )
    [gap] = codec.feed(depth(105, 106))
    assert isinstance(gap, Resync)
    assert gap.cause == "gap"


@pytest.mark.requirement("P7")
def test_futures_book_follows_pu() -> None:
    codec = linear()
    codec.snapshot(LINEAR, rest(100))
    [delta] = codec.feed(depth(110, 112, previous=95))
    assert delta == BookDelta(LINEAR, [], [], 110, 112, 95, 10)
    [gap] = codec.feed(depth(120, 121, previous=115))
    assert gap == Resync(
        LINEAR, "gap", "applied 112, the next diff starts after 115", "/fapi/v1/depth?symbol=BTCUSDT&limit=1000"
    )


def test_value_beyond_the_scale_forces_a_resync() -> None:
    codec = spot()
    codec.snapshot(SPOT, rest(100))
    [event] = codec.feed(depth(101, 101, bids=[["28165.471", "1"]]))
    assert isinstance(event, Resync)
    assert (event.cause, event.instrument) == ("unrepresentable", SPOT)
    assert codec.feed(depth(102, 102)) == ()  # waits for the snapshot
    [event] = codec.snapshot(SPOT, rest(103, [["1.001", "1"]]))
    assert isinstance(event, Resync)
    [event] = codec.feed(stream("btcusdt@trade", TRADE | {"q": "0.0001"}))
    assert isinstance(event, Resync)


def test_snapshot_that_is_the_venues_error() -> None:
    assert spot().snapshot(SPOT, frame({"code": -1121, "msg": "Invalid symbol."})) == (
        Declined("", "-1121", "Invalid symbol."),
    )
    for body in (b"<html>", b"{}", b'{"lastUpdateId":-5,"bids":[],"asks":[]}'):
        with pytest.raises(MalformedFrame):
            spot().snapshot(SPOT, body)
    with pytest.raises(UnknownInstrument):
        spot().snapshot("BINANCE:X/Y", rest(1))


@pytest.mark.parametrize(
    ("event", "data"),
    [
        ("trade", TRADE),
        ("bookTicker", QUOTE),
        ("kline", {"e": "kline", "s": "BTCUSDT", "k": KLINE}),
        ("depthUpdate", {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 1, "u": 1, "b": [], "a": []}),
    ],
)
def test_single_streams_give_the_same_events(event: str, data: dict[str, object]) -> None:
    topic = {"depthUpdate": "depth"}.get(event, event)
    assert spot().feed(frame(data)) == spot().feed(stream(f"btcusdt@{topic}", data))


def test_white_space_and_order_of_keys_do_not_matter() -> None:
    expected = spot().feed(stream("btcusdt@trade", TRADE))
    assert spot().feed(b' { "stream" : "btcusdt@trade", "data" : ' + frame(TRADE) + b"}") == expected
    assert spot().feed(b'{"data":' + frame(TRADE) + b',"stream":"btcusdt@trade"}') == expected


def test_answers_and_refusals() -> None:
    codec = spot()
    assert codec.feed(b'{"result":null,"id":3}') == (Acknowledged("3"),)
    assert codec.feed(b'{"error":{"code":2,"msg":"Invalid request"},"id":4}') == (
        Declined("4", "2", "Invalid request"),
    )
    assert codec.feed(b'{"code":2,"msg":"too many"}') == (Declined("", "2", "too many"),)


def test_shutdown_wrapped_and_bare() -> None:
    assert spot().feed(b'{"e":"serverShutdown","E":1}') == (GoingAway(),)
    assert spot().feed(stream("!notices", {"e": "serverShutdown", "E": 1})) == (GoingAway(),)


@pytest.mark.parametrize("name", ["btcusdt@forceOrder", "!ticker@arr", "btcusdt@avgPrice", "btcusdt@trade@" + "x" * 80])
def test_other_streams_are_named_and_ignored(name: str) -> None:
    assert spot().feed(stream(name, {"e": "other"})) == (Ignored(name),)
    assert spot().feed(b'{"stream":"' + name.encode() + b'"}') == (Ignored(name),)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"id":[]}', b'{"stream":5}',
        b'{"stream":"btcusdt@trade"}',
        b'{"stream":"btcusdt@trade","data":{}}',
        b'{"data":null,"stream":"btcusdt@trade"}',
        stream("btcusdt@trade", TRADE | {"p": 5}),
        stream("btcusdt@trade", TRADE | {"p": "NaN"}),
        stream("btcusdt@trade", TRADE | {"q": "-1"}),
        stream("btcusdt@trade", TRADE | {"q": "1." + "1" * 5000}),
        stream("btcusdt@trade", TRADE | {"q": "1" * 5000 + ".111"}),
        depth(-5, 3),
        b"[" * 100_000,
    ],
)  # fmt: skip
def test_garbage_raises_malformed_frame(data: bytes) -> None:
    codec = spot()
    codec.feed(stream("btcusdt@trade", TRADE))
    with pytest.raises(MalformedFrame):
        codec.feed(data)


def test_unknown_symbol_is_named() -> None:
    with pytest.raises(UnknownInstrument, match="ETHUSDT"):
        spot().feed(stream("ethusdt@trade", TRADE))


def test_made_up_stream_names_do_not_fill_the_memory() -> None:
    codec = spot()
    for number in range(3 * HANDLERS_PER_INSTRUMENT_MAX):
        codec.feed(stream(f"btcusdt@trade@{number}", TRADE))
    assert len(codec._handlers) <= HANDLERS_PER_INSTRUMENT_MAX


def test_subscriptions_are_numbered_chunked_and_counted() -> None:
    codec = linear()
    assert codec.subscribe([Subscription("depth", LINEAR), Subscription("bar", LINEAR, 60)]) == [
        b'{"method":"SUBSCRIBE","params":["btcusdt@depth@100ms","btcusdt@kline_1m"],"id":1}'
    ]
    assert codec.subscribe([Subscription("depth", LINEAR)]) == []
    assert codec.unsubscribe([Subscription("depth", LINEAR), Subscription("trade", LINEAR)]) == [
        b'{"method":"UNSUBSCRIBE","params":["btcusdt@depth@100ms"],"id":2}'
    ]
    assert codec.ping() == b""


def test_subscriptions_beyond_the_limit_are_refused_whole() -> None:
    many = [instrument(f"BINANCE:C{number}/USDT:USDT", f"C{number}USDT", "linear") for number in range(201)]
    codec = BinanceLinear(many)
    with pytest.raises(SubscriptionLimit, match="201 subscriptions on one connection, the venue allows 200"):
        codec.subscribe([Subscription("trade", one.id) for one in many])
    frames = codec.subscribe([Subscription("trade", one.id) for one in many[:200]])
    assert [data.count(b"@trade") for data in frames] == [100, 100]
    codec.reset()
    assert len(codec.subscribe([Subscription("trade", one.id) for one in many[:200]])) == 2


def test_subscribing_to_what_the_venue_lacks() -> None:
    with pytest.raises(UnsupportedChannel, match="no mark_price stream"):
        spot().subscribe([Subscription("mark_price", SPOT)])
    with pytest.raises(UnsupportedChannel, match="no bars of 7 s"):
        spot().subscribe([Subscription("bar", SPOT, 7)])
    with pytest.raises(UnsupportedChannel, match="no bars of 1 s"):
        linear().subscribe([Subscription("bar", LINEAR, 1)])
    with pytest.raises(UnknownInstrument):
        spot().subscribe([Subscription("trade", "BINANCE:X/Y")])
    assert spot().subscribe([Subscription("bar", SPOT, 1)])


def test_reset_forgets_the_book() -> None:
    codec = spot()
    codec.snapshot(SPOT, rest(100))
    codec.reset()
    [event] = codec.feed(depth(101, 101))
    assert isinstance(event, Resync)
    assert event.cause == "no_snapshot"


def test_addresses() -> None:
    assert BinanceSpot.url("depth") == "wss://stream.binance.com:9443/stream"
    assert BinanceLinear.url("trade") == "wss://fstream.binance.com/public/stream"
    assert BinanceLinear.url("mark_price") == "wss://fstream.binance.com/market/stream"
    assert BinanceInverse.url("depth") == "wss://dstream.binance.com/stream"


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_documented_errors(data: bytes) -> None:
    codec = linear()
    for one in (data, b'{"stream":"btcusdt@trade","data":' + data, b'{"stream":"btcusdt@depth",' + data):
        with contextlib.suppress(ProtocolError):
            codec.feed(one)


@given(
    st.sampled_from(["depth", "trade", "aggTrade", "bookTicker", "ticker", "kline_1m", "markPrice"]),
    st.dictionaries(
        st.sampled_from("esEtTuUpqbBaAmkvochliXr") | st.just("pu"),
        st.text(max_size=12) | st.integers() | st.booleans() | st.just([["1", "2"]]) | st.just(KLINE),
    ),
)
def test_any_fields_raise_only_documented_errors(topic: str, data: dict[str, object]) -> None:
    with contextlib.suppress(ProtocolError):
        linear().feed(stream(f"btcusdt@{topic}", data))


# --- definitions -----------------------------------------------------------------------------------------------------

SPOT_SYMBOL = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "baseAssetPrecision": 8, "quoteAsset": "USDT",
    "quoteAssetPrecision": 8,
    "filters": [
        {"filterType": "PRICE_FILTER", "minPrice": "0.01", "maxPrice": "1000000", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "minQty": "0.00001000", "maxQty": "9000.00000000", "stepSize": "0.00001000"},
        {"filterType": "NOTIONAL", "minNotional": "5.00000000"},
    ],
}  # fmt: skip
FUTURES_SYMBOL = {
    "symbol": "BTCUSDT", "status": "TRADING", "baseAsset": "BTC", "quoteAsset": "USDT", "marginAsset": "USDT",
    "contractType": "PERPETUAL", "deliveryDate": 4133404800000, "pricePrecision": 2, "quantityPrecision": 3,
    "baseAssetPrecision": 8, "maintMarginPercent": "2.5000", "requiredMarginPercent": "5.0000",
    "filters": [
        {"filterType": "PRICE_FILTER", "tickSize": "0.10"},
        {"filterType": "LOT_SIZE", "minQty": "0.001", "maxQty": "1000", "stepSize": "0.001"},
        {"filterType": "MIN_NOTIONAL", "notional": "100"},
    ],
}  # fmt: skip


def listed(codec: type[BinanceSpot], symbol: dict[str, object]) -> Instrument:
    [one] = codec.decode_instruments(frame({"symbols": [symbol]}))
    return one


def test_spot_instrument_keeps_the_venues_own_precision() -> None:
    """Orders from before a step grew keep their finer numbers, so the scale is not that of the step."""
    one = listed(BinanceSpot, SPOT_SYMBOL)
    assert (one.id, one.kind, one.settle) == (SPOT, "spot", "USDT")
    assert (str(one.tick_size), str(one.lot_size)) == ("0.01000000", "0.00001000")
    assert (one.price_decimals, one.quantity_decimals) == (8, 8)
    assert (str(one.minimum_notional), one.trading, one.maximum_leverage) == ("5.00000000", True, 1)


def test_linear_instrument() -> None:
    one = listed(BinanceLinear, FUTURES_SYMBOL)
    assert (one.id, one.kind, one.price_decimals, one.quantity_decimals) == (LINEAR, "linear", 2, 3)
    assert (one.maximum_leverage, str(one.maintenance_margin_rate), str(one.minimum_notional)) == (20, "0.0250", "100")


def test_dated_and_inverse_contracts_are_named_as_in_ccxt() -> None:
    dated = FUTURES_SYMBOL | {"symbol": "BTCUSDT_240927", "deliveryDate": 1727424000000, "requiredMarginPercent": "0"}
    assert listed(BinanceLinear, dated).id == "BINANCE:BTC/USDT:USDT-240927"
    inverse = FUTURES_SYMBOL | {
        "symbol": "BTCUSD_PERP", "quoteAsset": "USD", "marginAsset": "BTC", "contractSize": 100,
        "contractStatus": "PENDING_TRADING", "status": "", "filters": [],
    }  # fmt: skip
    one = listed(BinanceInverse, inverse)
    assert (one.id, one.kind, one.settle, one.contract_size) == ("BINANCE:BTC/USD:BTC", "inverse", "BTC", 100)
    assert not one.trading


@pytest.mark.parametrize(
    "change",
    [
        {"pricePrecision": 99},
        {"deliveryDate": -1},
        {"deliveryDate": 10**15},
        {"requiredMarginPercent": "NaN"},
        {"filters": [{"filterType": "PRICE_FILTER", "tickSize": "cheap"}]},
        {"symbol": None},
    ],
)
def test_wrong_definitions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedFrame):
        listed(BinanceLinear, FUTURES_SYMBOL | change)
