"""Book topics: whatever happens, a reader that applies what it is told has the book."""

import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as some

from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side, TimeInForce
from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_streams import Streams, UnknownTopic
from feeds.venue.wire.bybit_topics import changes, tick_direction
from feeds.venue.wire.socket import Socket
from patriot.domain.instrument import Instrument

SIDE = some.dictionaries(some.integers(1, 40), some.integers(1, 9), max_size=30)


class Reader:
    """A socket that keeps what it is sent."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []

    def send(self, text: str, key: str = "") -> None:
        self.messages.append(json.loads(text))

    def book(self) -> tuple[dict[str, str], dict[str, str]]:
        """Apply the messages as the documents say; check that `u` has no gap."""
        bids: dict[str, str] = {}
        asks: dict[str, str] = {}
        update = 0
        for message in self.messages:
            data = message["data"]
            if message["type"] == "snapshot":
                bids, asks = {}, {}
            else:
                assert data["u"] == update + 1
            update = data["u"]
            for side, levels in ((bids, data["b"]), (asks, data["a"])):
                for price, size in levels:
                    side[price] = size
                    if size == "0":
                        del side[price]
        return bids, asks


class Venue:
    """An exchange whose timers run when the test says so."""

    def __init__(self, kind: str = "linear") -> None:
        linear = kind == "linear"
        self.instrument = Instrument(
            id="BYBIT:BTC/USDT:USDT" if linear else "BYBIT:BTC/USDT", native_symbol="BTCUSDT", base="BTC", quote="USDT",
            settle="USDT" if linear else "", kind="linear" if linear else "spot", tick_size=Decimal("0.1"),
            lot_size=Decimal("0.001"), price_decimals=1, quantity_decimals=3,
        )  # fmt: skip
        self.now_ms = 1_700_000_000_000
        self.exchange = Exchange("BYBIT", [self.instrument], lambda: self.now_ms, unified=True)
        self.maker = self.exchange.open_account("maker", unlimited=True)
        self.due: list[tuple[float, Callable[[], None]]] = []
        desk = Desk(self.exchange, schedule=lambda seconds, action: self.due.append((seconds, action)))
        self.streams = Streams(desk, self.instrument.kind)

    def read(self, topic: str) -> Reader:
        reader = Reader()
        self.streams.publisher(topic).add(cast("Socket", reader))
        return reader

    def run(self) -> None:
        due, self.due = self.due, []
        for _, action in due:
            action()

    def order(self, side: Side, price: int, quantity: int) -> None:
        self.exchange.create(
            self.maker,
            NewOrder(
                instrument_id=self.instrument.id, side=side, type=OrderType.LIMIT, quantity=Decimal(quantity),
                price=Decimal(price), time_in_force=TimeInForce.GTC,
            ),
        )  # fmt: skip

    def shown(self, depth: int) -> tuple[dict[str, str], dict[str, str]]:
        book = self.exchange.book(self.instrument.id, depth)
        unit = self.instrument
        bids, asks = (
            {str(unit.price_of(price)): str(unit.quantity_of(size)) for price, size in side}
            for side in (book.bids, book.asks)
        )
        return bids, asks


@given(SIDE, SIDE)
def test_changes_turn_one_side_into_the_other(before: dict[int, int], after: dict[int, int]) -> None:
    told = changes(list(before.items()), list(after.items()))
    result = {price: size for price, size in {**before, **dict(told)}.items() if size}
    assert result == after
    assert all(before.get(price, 0) != size for price, size in told)


ACTIONS = some.lists(
    some.one_of(
        some.tuples(some.just("order"), some.sampled_from(Side), some.integers(1, 120), some.integers(1, 5)),
        some.tuples(some.sampled_from(["run", "cancel", "join", "restart"])),
    ),
    max_size=60,
)


@given(ACTIONS, some.sampled_from([1, 50, 200]))
def test_every_reader_of_a_book_has_the_book(actions: list[tuple[Any, ...]], depth: int) -> None:
    venue = Venue()
    topic = f"orderbook.{depth}.BTCUSDT"
    readers = [venue.read(topic)]
    for action, *arguments in actions:
        if action == "order":
            venue.order(*arguments)
        elif action == "cancel":
            venue.exchange.cancel_all(venue.maker)
        elif action == "join":
            readers.append(venue.read(topic))
        elif action == "restart":
            venue.streams.restart()
        else:
            venue.run()
    venue.run()
    for reader in readers:
        assert reader.book() == venue.shown(depth)


def test_book_restart_is_a_snapshot_with_update_one() -> None:
    venue = Venue()
    reader = venue.read("orderbook.50.BTCUSDT")
    for price in range(10, 15):
        venue.order(Side.BUY, price, 1)
        venue.run()
    assert [one["data"]["u"] for one in reader.messages] == [1, 2, 3, 4, 5, 6]
    venue.streams.restart()
    assert (reader.messages[-1]["type"], reader.messages[-1]["data"]["u"]) == ("snapshot", 1)
    assert len(reader.messages[-1]["data"]["b"]) == 5


def test_book_of_a_returning_reader_goes_on_counting() -> None:
    venue = Venue()
    publisher = venue.streams.publisher("orderbook.50.BTCUSDT")
    first = venue.read("orderbook.50.BTCUSDT")
    publisher.remove(cast("Socket", first))
    venue.order(Side.BUY, 10, 1)
    venue.run()
    again = venue.read("orderbook.50.BTCUSDT")
    assert (again.messages[0]["type"], again.messages[0]["data"]["u"]) == ("snapshot", 2)
    assert len(first.messages) == 1


def test_trades_of_one_moment_come_in_one_message() -> None:
    venue = Venue()
    reader = venue.read("publicTrade.BTCUSDT")
    for price in (10, 11):
        venue.order(Side.SELL, price, 1)
    venue.order(Side.BUY, 11, 2)
    venue.run()
    (message,) = reader.messages
    assert [(one["p"], one["v"], one["S"], one["L"]) for one in message["data"]] == [
        ("10.0", "1.000", "Buy", "ZeroPlusTick"),
        ("11.0", "1.000", "Buy", "PlusTick"),
    ]


def test_linear_ticker_tells_what_changed_only() -> None:
    venue = Venue()
    reader = venue.read("tickers.BTCUSDT")
    venue.order(Side.BUY, 10, 1)
    venue.run()
    snapshot, delta = reader.messages
    assert snapshot["type"] == "snapshot"
    assert "openInterestValue" in snapshot["data"]
    assert delta["data"] == {"symbol": "BTCUSDT", "bid1Price": "10.0", "bid1Size": "1.000"}
    merged = snapshot["data"] | delta["data"]
    assert venue.read("tickers.BTCUSDT").messages[0]["data"] == merged


def test_spot_ticker_is_always_whole() -> None:
    venue = Venue("spot")
    reader = venue.read("tickers.BTCUSDT")
    venue.order(Side.BUY, 10, 1)
    venue.order(Side.SELL, 10, 1)
    venue.run()
    assert [one["type"] for one in reader.messages] == ["snapshot", "snapshot"]
    assert reader.messages[1]["data"]["lastPrice"] == "10.0"
    assert "usdIndexPrice" in reader.messages[1]["data"]


def test_bar_is_confirmed_once_after_its_end() -> None:
    venue = Venue()
    venue.now_ms -= venue.now_ms % 60_000
    reader = venue.read("kline.1.BTCUSDT")
    venue.order(Side.BUY, 10, 1)
    venue.order(Side.SELL, 10, 1)
    venue.run()
    assert [one["confirm"] for message in reader.messages for one in message["data"]] == [False]
    venue.now_ms += 60_001
    venue.run()
    venue.run()
    venue.run()
    assert [one["confirm"] for message in reader.messages for one in message["data"]] == [False, True]
    venue.order(Side.BUY, 11, 1)
    venue.order(Side.SELL, 11, 1)
    venue.run()
    assert [(one["confirm"], one["open"]) for one in reader.messages[-1]["data"]] == [(False, "11.0")]


@pytest.mark.parametrize(
    "topic", ["", "tickers", "orderbook.3.BTCUSDT", "orderbook.50.ETHUSDT", "kline.2.BTCUSDT", "."]
)
def test_unknown_topics_are_refused(topic: str) -> None:
    with pytest.raises(UnknownTopic):
        Venue().streams.publisher(topic)


def test_spot_has_no_liquidations() -> None:
    with pytest.raises(UnknownTopic):
        Venue("spot").streams.publisher("allLiquidation.BTCUSDT")


def test_tick_direction_keeps_the_last_move() -> None:
    steps = [(0, 5), (5, 6), (6, 6), (6, 4), (4, 4), (4, 5)]
    shown, last = [], "ZeroPlusTick"
    for before, now in steps:
        last = tick_direction(before, now, last)
        shown.append(last)
    assert shown == ["ZeroPlusTick", "PlusTick", "ZeroPlusTick", "MinusTick", "ZeroMinusTick", "PlusTick"]
