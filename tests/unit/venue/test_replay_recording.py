"""Real recordings through the exchange, with orders of ours among them."""

import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from itertools import islice
from pathlib import Path

import pytest

from feeds.venue.clearing import total_money
from feeds.venue.events import EVERY
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side
from feeds.venue.replay import Replay, ReplayClock
from patriot.protocols.binance import BinanceLinear
from patriot.protocols.market import BookDelta, BookSnapshot, Market, Trade
from patriot.protocols.recording import read_recording
from tests.data import recording
from tests.unit.venue.world import PERPETUAL

FRAMES = 12_000
BTC = replace(PERPETUAL, price_decimals=2)
# the recording begins with trades and quotes; depth counts from its REST snapshot on


def market_data(path: Path) -> Iterator[Market]:
    codec = BinanceLinear([BTC])
    with gzip.open(path) as file:
        for frame in islice(read_recording(iter(lambda: file.read(1 << 16), b""), path.name), FRAMES):
            events = codec.snapshot(BTC.id, frame.payload) if frame.kind == "rest" else codec.feed(frame.payload)
            for event in events:
                if isinstance(event, Market):
                    yield event


class Session:
    """A replay with a customer who quotes both sides at the best prices once a second and takes every ten."""

    def __init__(self) -> None:
        self.clock = ReplayClock()
        self.exchange = Exchange("BINANCE", [BTC], self.clock)
        self.replay = Replay(self.exchange, self.clock)
        self.customer = self.exchange.open_account("customer")
        self.exchange.deposit(self.customer, "linear", "USDT", Decimal(100_000))
        self.heard: list[object] = []
        self.exchange.on_account(EVERY, self.heard.append)
        self.acted_s = 0

    def run(self, events: Iterator[Market]) -> None:
        for event in events:
            self.replay.apply(event)
            quote = self.exchange.quote(BTC.id)
            assert not quote.bid or not quote.ask or quote.bid < quote.ask
            if isinstance(event, BookDelta) and self.clock() // 1000 > self.acted_s:
                self.acted_s = self.clock() // 1000
                self.act(BTC.price_of(quote.bid), BTC.price_of(quote.ask))

    def act(self, bid: Decimal, ask: Decimal) -> None:
        self.exchange.cancel_all(self.customer)
        orders = [("buy", bid, OrderType.LIMIT), ("sell", ask, OrderType.LIMIT)]
        if self.acted_s % 10 == 0:
            orders.append(("buy" if self.acted_s % 20 else "sell", None, OrderType.MARKET))
        for side, price, kind in orders:
            self.exchange.create(
                self.customer,
                NewOrder(instrument_id=BTC.id, side=Side(side), type=kind, quantity=Decimal("0.005"), price=price),
            )


@pytest.fixture(scope="module")
def path() -> Path:
    return recording("hftbacktest/usdm_btcusdt_20240808.gz")


def test_a_recording_fills_our_orders_and_conserves_money(path):
    session = Session()
    session.run(market_data(path))
    fills = session.exchange.trades(session.customer)
    assert {fill.is_maker for fill in fills} == {True, False}
    assert session.replay.gaps == 0
    assert total_money(session.exchange._clearing) == {"USDT": 100_000 * 10**18}


def test_a_recording_without_orders_of_ours_gives_the_recorded_book(path):
    """Levels are compared within what both know; trades consume levels that the next delta names again."""
    session = Session()
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for event in market_data(path):
        if isinstance(event, Trade):
            continue
        session.replay.apply(event)
        if isinstance(event, BookSnapshot):
            bids, asks = dict(event.bids), dict(event.asks)
        elif isinstance(event, BookDelta):
            bids.update(event.bids)
            asks.update(event.asks)
    book = session.exchange.book(BTC.id, 1_000_000)
    assert book.bids == sorted(((p, q) for p, q in bids.items() if q), reverse=True)
    assert book.asks == sorted((p, q) for p, q in asks.items() if q)
    assert len(book.bids) > 100


@pytest.mark.requirement("T11")
def test_two_replays_are_the_same(path):
    digests = []
    for _ in range(2):
        session = Session()
        session.run(islice(market_data(path), 4000))
        digests.append(hashlib.sha256(repr(session.heard).encode()).hexdigest())
    assert digests[0] == digests[1]
