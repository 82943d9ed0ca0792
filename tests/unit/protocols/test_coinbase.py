import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.protocols.codec import Subscription
from patriot.protocols.coinbase import CoinbaseSpot
from patriot.protocols.errors import (
    MalformedFrame,
    ProtocolError,
    SubscriptionLimit,
    UnknownInstrument,
    UnsupportedChannel,
)
from patriot.protocols.events import Acknowledged, Declined, Heartbeat, Ignored, Resync
from patriot.protocols.market import Bar, BookDelta, BookSnapshot, Quote, Ticker, Trade
from tests.unit.protocols.samples import frame, instrument

BTC, ETH = "COINBASE:BTC/USD", "COINBASE:ETH/USD"
TIME = "2026-08-09T21:05:48.228568804Z"
TIME_MS = 1786309548228
TICKER = {
    "type": "ticker", "product_id": "BTC-USD", "price": "10.005", "volume_24_h": "5.55555", "low_24_h": "9",
    "high_24_h": "11", "best_bid": "10", "best_ask": "10.01", "best_bid_quantity": "1.5", "best_ask_quantity": "0.25",
}  # fmt: skip
TRADE = {"product_id": "BTC-USD", "trade_id": "2", "price": "10.5", "size": "0.5", "time": TIME, "side": "SELL"}
CANDLE = {
    "start": "1786309200", "high": "12", "low": "9", "open": "10", "close": "11", "volume": "1.5",
    "product_id": "BTC-USD",
}  # fmt: skip


def coinbase() -> CoinbaseSpot:
    return CoinbaseSpot([instrument(BTC, "BTC-USD"), instrument(ETH, "ETH-USD")])


def message(channel: str, number: int, *events: object) -> bytes:
    return frame({"channel": channel, "timestamp": TIME, "sequence_num": number, "events": events})


def book(kind: str, number: int, *levels: tuple[str, str, str], product: str = "BTC-USD") -> bytes:
    return message("l2_data", number, update(kind, *levels, product=product))


def update(kind: str, *levels: tuple[str, str, str], product: str = "BTC-USD") -> dict[str, object]:
    changes = [{"side": side, "event_time": TIME, "price_level": p, "new_quantity": q} for side, p, q in levels]
    return {"type": kind, "product_id": product, "updates": changes}


@pytest.mark.requirement("T2")
def test_book_begins_with_the_streams_snapshot_best_first() -> None:
    codec = coinbase()
    levels = [("bid", "9", "1"), ("bid", "10", "0.5"), ("offer", "12", "1"), ("offer", "11.5", "2")]
    assert codec.feed(book("snapshot", 0, *levels)) == [
        BookSnapshot(BTC, [(1000, 500), (900, 1000)], [(1150, 2000), (1200, 1000)], 0, TIME_MS)
    ]
    assert codec.feed(book("update", 1, ("bid", "10", "0"))) == [BookDelta(BTC, [(1000, 0)], [], 1, 1, 0, TIME_MS)]
    assert codec.feed(message("heartbeats", 2, {"heartbeat_counter": 5})) == (Heartbeat(),)
    assert codec.feed(book("update", 3)) == [BookDelta(BTC, [], [], 3, 3, 1, TIME_MS)]


@pytest.mark.requirement("T2")
def test_missing_number_costs_every_book_of_the_connection() -> None:
    codec = coinbase()
    codec.feed(book("snapshot", 0))
    codec.feed(book("snapshot", 1, product="ETH-USD"))
    [first, second, acknowledged] = codec.feed(message("subscriptions", 3, {"subscriptions": {}}))
    assert isinstance(first, Resync)
    assert isinstance(second, Resync)
    assert acknowledged == Acknowledged("")
    assert [(one.instrument, one.cause) for one in (first, second)] == [(BTC, "gap"), (ETH, "gap")]
    assert first.frames == (
        b'{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"level2"}',
        b'{"type":"subscribe","product_ids":["BTC-USD"],"channel":"level2"}',
    )
    assert codec.feed(book("update", 4)) == []
    assert len(codec.feed(book("snapshot", 5))) == 1
    assert len(codec.feed(book("update", 6))) == 1


def test_message_may_hold_two_updates_of_a_product() -> None:
    codec = coinbase()
    codec.feed(book("snapshot", 0))
    one, two = update("update", ("bid", "1", "1")), update("update", ("bid", "1", "2"))
    assert [event.bids for event in codec.feed(message("l2_data", 1, one, two)) if isinstance(event, BookDelta)] == [
        [(100, 1000)],
        [(100, 2000)],
    ]


def test_message_that_cannot_be_read_counts_as_lost() -> None:
    codec = coinbase()
    codec.feed(book("snapshot", 0))
    with pytest.raises(MalformedFrame):
        codec.feed(book("update", 1, ("bid", "x", "1")))
    [gap, acknowledged] = codec.feed(message("subscriptions", 2))
    assert isinstance(gap, Resync)
    assert acknowledged == Acknowledged("")
    with pytest.raises(MalformedFrame):
        codec.feed(b'{"channel":"l2_data","sequence_num":3')
    assert isinstance(codec.feed(message("subscriptions", 4))[0], Resync)


def test_update_before_the_snapshot_asks_for_one() -> None:
    [event] = coinbase().feed(book("update", 0))
    assert isinstance(event, Resync)
    assert event.cause == "no_snapshot"


def test_value_beyond_the_scale_forces_a_resync() -> None:
    codec = coinbase()
    codec.feed(book("snapshot", 0))
    [event] = codec.feed(book("update", 1, ("bid", "1.001", "1")))
    assert isinstance(event, Resync)
    assert event.cause == "unrepresentable"
    body = {"product_id": "BTC-USD", "bids": [{"price": "1.001", "size": "1"}], "asks": [], "time": TIME}
    [event] = codec.snapshot(BTC, frame({"pricebook": body}))
    assert isinstance(event, Resync)


def test_trades_are_given_oldest_first_and_side_is_the_makers() -> None:
    events = coinbase().feed(
        message("market_trades", 0, {"type": "update", "trades": [TRADE, TRADE | {"trade_id": "1", "side": "BUY"}]})
    )
    assert events == [Trade(BTC, 1050, 500, True, "1", TIME_MS), Trade(BTC, 1050, 500, False, "2", TIME_MS)]


def test_ticker_gives_quote_and_statistics() -> None:
    assert coinbase().feed(message("ticker", 0, {"type": "update", "tickers": [TICKER]})) == [
        Quote(BTC, 1000, 1500, 1001, 250, 0, TIME_MS),
        Ticker(BTC, 1000, 0, 1100, 900, 5556, TIME_MS),
    ]


def test_candles_close_by_the_venues_clock() -> None:
    codec = coinbase()
    older = CANDLE | {"start": "1786308900"}
    events = codec.feed(
        message("candles", 0, {"type": "snapshot", "candles": [older, CANDLE | {"start": "1786309500"}]})
    )
    assert events == [
        Bar(BTC, 300, 1786308900000, 1000, 1200, 900, 1100, 1500, 0, closed=True),
        Bar(BTC, 300, 1786309500000, 1000, 1200, 900, 1100, 1500, 0, closed=False),
    ]
    with pytest.raises(MalformedFrame, match="no time in seconds"):
        codec.feed(message("candles", 1, {"candles": [CANDLE | {"start": "soon"}]}))


def test_order_of_keys_does_not_matter() -> None:
    data = frame({"events": [update("snapshot")], "sequence_num": 0, "timestamp": TIME, "channel": "l2_data"})
    assert coinbase().feed(data) == coinbase().feed(book("snapshot", 0))


def test_other_channels_and_errors() -> None:
    codec = coinbase()
    assert codec.feed(message("status", 0)) == (Ignored("status"),)
    assert codec.feed(b'{"type":"error","message":"too many subscriptions"}') == (
        Declined("", "", "too many subscriptions"),
    )


def test_snapshot_of_rest_is_a_picture_only() -> None:
    side = [{"price": "10", "size": "1"}]
    body = frame({"pricebook": {"product_id": "BTC-USD", "bids": side, "asks": side, "time": TIME}})
    assert coinbase().snapshot(BTC, body) == (BookSnapshot(BTC, [(1000, 1000)], [(1000, 1000)], 0, TIME_MS),)
    with pytest.raises(MalformedFrame):
        coinbase().snapshot(BTC, b"{}")
    with pytest.raises(UnknownInstrument):
        coinbase().snapshot("COINBASE:X/Y", body)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"{}", b"[]", b"\xff", b'{"channel":"status"}', b'{"channel":"l2_data"}',
        book("snapshot", -1), book("snapshot", 0, product="SOL-USD"), book("snapshot", 0, ("both", "1", "1")),
        message("ticker", 0, {"tickers": [TICKER | {"best_bid": ""}]}),
        message("market_trades", 0, {"trades": [TRADE | {"time": "2026-08-09T21:05:48"}]}),
        message("market_trades", 0, {"trades": [TRADE | {"size": "1e-7"}]}),
    ],
)  # fmt: skip
def test_garbage_raises_malformed_frame(data: bytes) -> None:
    with pytest.raises(MalformedFrame):
        coinbase().feed(data)


def test_subscriptions_are_grouped_by_channel_and_ask_for_heartbeats() -> None:
    codec = coinbase()
    beats = b'{"type":"subscribe","channel":"heartbeats"}'
    wanted = [
        Subscription("depth", BTC),
        Subscription("depth", ETH),
        Subscription("quote", BTC),
        Subscription("ticker", BTC),
    ]
    assert codec.subscribe(wanted) == [
        b'{"type":"subscribe","product_ids":["BTC-USD","ETH-USD"],"channel":"level2"}',
        b'{"type":"subscribe","product_ids":["BTC-USD"],"channel":"ticker"}',
        beats,
    ]
    assert codec.unsubscribe([wanted[2]]) == []
    assert codec.unsubscribe([wanted[3]]) == [b'{"type":"unsubscribe","product_ids":["BTC-USD"],"channel":"ticker"}']
    assert codec.ping() == b""
    assert codec.subscribe([Subscription("bar", BTC, 300)])[0].endswith(b'"candles"}')
    for wrong in (Subscription("bar", BTC, 60), Subscription("mark_price", BTC)):
        with pytest.raises(UnsupportedChannel):
            codec.subscribe([wrong])
    with pytest.raises(UnknownInstrument):
        codec.subscribe([Subscription("trade", "COINBASE:X/Y")])


def test_subscriptions_are_limited() -> None:
    many = [instrument(f"COINBASE:C{number}/USD", f"C{number}-USD") for number in range(301)]
    with pytest.raises(SubscriptionLimit):
        CoinbaseSpot(many).subscribe([Subscription("trade", one.id) for one in many])


def test_reset_begins_a_new_count() -> None:
    codec = coinbase()
    codec.feed(book("snapshot", 0))
    codec.reset()
    assert len(codec.feed(book("snapshot", 0))) == 1
    assert CoinbaseSpot.url("depth") == "wss://advanced-trade-ws.coinbase.com"


@given(st.binary(max_size=200))
def test_any_bytes_raise_only_documented_errors(data: bytes) -> None:
    for one in (data, b'{"channel":"l2_data",' + data, b'{"channel":"ticker","events":[' + data):
        with contextlib.suppress(ProtocolError):
            coinbase().feed(one)


@given(
    st.sampled_from(["l2_data", "market_trades", "ticker", "candles", "heartbeats"]),
    st.integers(-1, 3),
    st.dictionaries(
        st.sampled_from([*CANDLE, *TRADE, *TICKER, "updates", "type"]),
        st.text(max_size=12) | st.just("BTC-USD") | st.just("1.5") | st.just([]) | st.just(TIME),
    ),
)
def test_any_fields_raise_only_documented_errors(channel: str, number: int, data: dict[str, object]) -> None:
    body = {"type": "update", "product_id": "BTC-USD", "trades": [TRADE | data], "tickers": [TICKER | data],
            "candles": [CANDLE | data], "updates": [data]}  # fmt: skip
    codec = coinbase()
    for _ in range(2):
        with contextlib.suppress(ProtocolError):
            codec.feed(message(channel, number, body))


# --- definitions -----------------------------------------------------------------------------------------------------

PRODUCT = {
    "product_id": "BTC-USD", "base_increment": "0.00000001", "quote_increment": "0.01", "quote_min_size": "1",
    "base_min_size": "0.00000001", "base_max_size": "3400", "status": "online", "trading_disabled": False,
    "product_type": "SPOT", "quote_currency_id": "USD", "base_currency_id": "BTC", "price_increment": "0.1",
}  # fmt: skip


@pytest.mark.requirement("T2")
def test_instruments_of_spot() -> None:
    future = PRODUCT | {"product_type": "FUTURE"}
    [one] = CoinbaseSpot.decode_instruments(frame({"products": [PRODUCT, future]}))
    assert (one.id, one.native_symbol, one.kind, one.trading) == (BTC, "BTC-USD", "spot", True)
    assert (str(one.tick_size), one.price_decimals, one.quantity_decimals) == ("0.1", 2, 8)


@pytest.mark.parametrize("change", [{"base_increment": "tiny"}, {"product_id": None}, {"quote_increment": "1e-30"}])
def test_wrong_definitions_are_refused(change: dict[str, object]) -> None:
    with pytest.raises(MalformedFrame):
        CoinbaseSpot.decode_instruments(frame({"products": [PRODUCT | change]}))
