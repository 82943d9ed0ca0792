"""News that nobody needs yet: what waits is in the book for whoever looks, as if it had never waited."""

import random
from decimal import Decimal

import pytest

from feeds.venue.orders import OrderStatus, OrderType
from feeds.venue.replay import Replay
from feeds.venue.waiting import WAITING_MAX
from patriot.protocols.market import BookDelta, BookSnapshot, Market, Quote, Trade
from tests.unit.venue.world import SPOT, START_MS, World

Levels = list[tuple[int, int]]


def snapshot(bids: Levels, asks: Levels) -> BookSnapshot:
    return BookSnapshot(SPOT.id, bids, asks, 10, START_MS)


def delta(sequence: int, bids: Levels, asks: Levels, time_ms: int = START_MS) -> BookDelta:
    return BookDelta(SPOT.id, bids, asks, sequence, sequence, sequence - 1, time_ms)


def quote(bid: int, ask: int) -> Quote:
    return Quote(SPOT.id, bid, 5_000, ask, 5_000, 1, START_MS)


def trade(price: int, quantity: int, time_ms: int = START_MS) -> Trade:
    return Trade(SPOT.id, price, quantity, buyer_is_maker=True, trade_id="t", time_ms=time_ms)


BOOK = snapshot([(6_000_000, 30_000), (5_999_900, 50_000)], [(6_000_100, 20_000), (6_000_200, 40_000)])


def unheard() -> World:
    """A world whose market nobody listens to."""
    world = World()
    world.exchange._events._market.clear()
    return world


def waits(world: World) -> bool:
    return world.exchange._markets[SPOT.id]._waiting is not None


@pytest.fixture
def world() -> World:
    return unheard()


@pytest.fixture
def replay(world) -> Replay:
    return Replay(world.exchange)


def test_whoever_looks_finds_what_waited(world, replay):
    replay.apply(BOOK)
    replay.apply(delta(11, [(6_000_000, 0)], [(6_000_050, 1_000)]))
    assert waits(world)
    book = world.exchange.book(SPOT.id)
    assert not waits(world)
    assert (book.bids, book.asks[0]) == ([(5_999_900, 50_000)], (6_000_050, 1_000))


def test_an_order_meets_what_waited(world, replay):
    replay.apply(quote(6_000_000, 6_000_100))
    replay.apply(quote(5_000_000, 5_000_100))
    order = world.order(world.alice, "buy", "0.01")
    assert order.status is OrderStatus.FILLED
    assert order.average_price == 50_001


def test_news_do_not_wait_while_an_order_rests_or_somebody_listens(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.1", "59000")
    replay.apply(delta(11, [(5_999_900, 1)], []))
    assert not waits(world)
    world.exchange.cancel(world.alice, SPOT.id, order_id=order.id)
    heard: list[Market] = []
    stop = world.exchange.on_market(SPOT.id, heard.append)
    replay.apply(delta(12, [(5_999_900, 2)], []))
    assert not waits(world)
    assert heard
    stop()
    replay.apply(delta(13, [(5_999_900, 3)], []))
    assert waits(world)


def test_a_trade_takes_from_the_levels_unless_newer_news_name_them(world, replay):
    replay.apply(BOOK)
    replay.apply(trade(6_000_000, 10_000, START_MS + 1))
    assert world.exchange.book(SPOT.id).bids[0] == (6_000_000, 20_000)
    replay.apply(trade(6_000_000, 10_000, START_MS + 2))
    replay.apply(delta(11, [(6_000_000, 15_000)], [], START_MS + 2))
    replay.apply(trade(6_000_000, 1_000, START_MS + 3))
    assert world.exchange.book(SPOT.id).bids[0] == (6_000_000, 14_000)


def test_a_trade_is_printed_at_once_and_fires_stops(world, replay):
    replay.apply(BOOK)
    stop = world.order(world.alice, "sell", "0.001", type=OrderType.STOP_MARKET, trigger_price=Decimal(59999))
    replay.apply(trade(6_000_000, 1))
    assert world.exchange.ticker(SPOT.id).last == 6_000_000
    assert stop.status is OrderStatus.UNTRIGGERED
    replay.apply(trade(5_999_900, 1))
    assert stop.status is OrderStatus.FILLED


def test_what_waits_is_bounded(world, replay):
    for number in range(WAITING_MAX + 2):
        replay.apply(trade(6_000_000, 1, START_MS + number))
    assert len(world.exchange._markets[SPOT.id]._waiting.trades) <= WAITING_MAX
    replay.apply(snapshot([(price, 1) for price in range(1, 5)], []))
    for number in range(WAITING_MAX // 1000 + 2):
        first = 10 + number * 1000
        replay.apply(delta(11 + number, [(price, 1) for price in range(first, first + 1000)], []))
    assert len(world.exchange._markets[SPOT.id]._waiting.bids) <= WAITING_MAX
    assert len(world.exchange.book(SPOT.id, 10**6).bids) == 4 + (WAITING_MAX // 1000 + 2) * 1000


def test_a_book_that_waited_equals_one_that_was_watched():
    """The same news, with and without a listener that keeps them from waiting."""
    rng, patient, eager = random.Random(5), unheard(), World()
    feeds = [Replay(world.exchange) for world in (patient, eager)]
    for number in range(2_000):
        bids, asks = (
            [(price, rng.choice((0, 5, 9))) for price in rng.sample(range(lowest, lowest + 100), rng.randrange(4))]
            for lowest in (1_000, 1_100)
        )
        news = delta(11 + number, bids, asks) if number % 300 else BookSnapshot(SPOT.id, bids, asks, 10 + number, 0)
        for feed in feeds:
            feed.apply(news)
        if rng.random() < 0.02:
            books = [world.exchange.book(SPOT.id) for world in (patient, eager)]
            assert (books[0].bids, books[0].asks) == (books[1].bids, books[1].asks)
