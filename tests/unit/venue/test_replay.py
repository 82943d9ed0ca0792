"""Recorded data against our orders: the queue model, the limits of volume, gaps, clocks."""

from decimal import Decimal

import pytest

from feeds.venue.orders import OrderStatus
from feeds.venue.replay import Replay, ReplayClock
from patriot.protocols.market import BookDelta, BookSnapshot, MarkPrice, Quote, Ticker, Trade
from tests.unit.venue.world import PERPETUAL, SPOT, START_MS, World


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def replay(world) -> Replay:
    return Replay(world.exchange)


def snapshot(bids: list[tuple[int, int]], asks: list[tuple[int, int]], sequence: int = 10) -> BookSnapshot:
    return BookSnapshot(SPOT.id, bids, asks, sequence, START_MS)


def delta(sequence: int, bids: list[tuple[int, int]], asks: list[tuple[int, int]]) -> BookDelta:
    return BookDelta(SPOT.id, bids, asks, sequence, sequence, sequence - 1, START_MS)


def sold(price: int, quantity: int) -> Trade:
    """A recorded trade whose aggressor sold."""
    return Trade(SPOT.id, price, quantity, buyer_is_maker=True, trade_id="r1", time_ms=START_MS)


BOOK = snapshot([(6_000_000, 30_000), (5_999_900, 50_000)], [(6_000_100, 20_000), (6_000_200, 40_000)])


def test_a_marketable_order_consumes_recorded_levels_until_the_next_update(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.3")
    assert order.status is OrderStatus.FILLED
    assert order.filled_notional == Decimal("0.2") * Decimal(60001) + Decimal("0.1") * Decimal(60002)
    assert world.exchange.book(SPOT.id).asks == [(6_000_200, 30_000)]
    replay.apply(delta(11, [], [(6_000_100, 25_000)]))
    assert world.exchange.book(SPOT.id).asks == [(6_000_100, 25_000), (6_000_200, 30_000)]
    assert world.money() == world.deposited


def test_a_resting_order_waits_for_the_queue_ahead_of_it(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.1", "60000")
    replay.apply(sold(6_000_000, 29_999))
    assert order.filled == 0
    replay.apply(sold(6_000_000, 4_001))
    assert order.filled == Decimal("0.04"), "one lot of the queue was left ahead"
    replay.apply(sold(6_000_000, 100_000))
    assert order.status is OrderStatus.FILLED
    assert order.average_price == 60_000
    assert world.exchange.trades(world.alice)[0].is_maker
    assert world.money() == world.deposited


def test_quantity_that_comes_later_stands_behind_and_cancels_come_from_behind(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.1", "60000")
    replay.apply(delta(11, [(6_000_000, 90_000)], []))
    replay.apply(delta(12, [(6_000_000, 20_000)], []))
    replay.apply(sold(6_000_000, 25_000))
    assert order.filled == Decimal("0.05"), "twenty thousand lots were still ahead"


def test_a_trade_through_the_price_fills_at_the_orders_price_and_only_its_own_quantity(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.1", "60000")
    replay.apply(sold(5_999_950, 6_000))
    assert (order.filled, order.average_price) == (Decimal("0.06"), 60_000)
    prices = [price for price, _ in world.exchange.book(SPOT.id).bids]
    assert prices == [6_000_000, 5_999_900]
    assert world.exchange.book(SPOT.id).bids[0] == (6_000_000, 4_000), "the recorded level there was stale"


def test_an_aggressive_buyer_fills_our_ask(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "sell", "0.1", "60000.50")
    replay.apply(Trade(SPOT.id, 6_000_100, 10_000, buyer_is_maker=False, trade_id="r2", time_ms=START_MS))
    assert (order.status, order.average_price) == (OrderStatus.FILLED, Decimal("60000.50"))


def test_a_recorded_trade_is_printed_once_as_it_was(world, replay):
    replay.apply(BOOK)
    world.order(world.alice, "buy", "0.1", "60000")
    trade = sold(6_000_000, 35_000)
    replay.apply(trade)
    assert world.heard_of(Trade) == [trade]
    assert world.exchange.recent_trades(SPOT.id) == [trade]


def test_a_recorded_level_that_crosses_our_order_fills_it(world, replay):
    replay.apply(BOOK)
    order = world.order(world.alice, "buy", "0.5", "60000.50")
    replay.apply(delta(11, [], [(6_000_040, 20_000)]))
    assert (order.filled, order.average_price) == (Decimal("0.2"), Decimal("60000.50"))
    quote = world.exchange.quote(SPOT.id)
    assert (quote.bid, quote.ask) == (6_000_050, 6_000_100)


def test_newer_news_drops_recorded_levels_that_it_crosses(world, replay):
    replay.apply(BOOK)
    replay.apply(delta(11, [], [(5_999_950, 10_000)]))
    book = world.exchange.book(SPOT.id)
    assert book.bids == [(5_999_900, 50_000)]
    assert book.asks[0] == (5_999_950, 10_000)


def test_a_snapshot_replaces_recorded_levels_and_leaves_ours(world, replay):
    replay.apply(BOOK)
    world.order(world.alice, "buy", "0.1", "59000")
    replay.apply(snapshot([(5_999_800, 1_000)], [(6_000_300, 1_000)], sequence=20))
    book = world.exchange.book(SPOT.id)
    assert book.bids == [(5_999_800, 1_000), (5_900_000, 10_000)]
    assert book.asks == [(6_000_300, 1_000)]


def test_deltas_in_the_snapshot_are_skipped_and_a_gap_drops_the_recorded_levels(world, replay):
    replay.apply(BOOK)
    replay.apply(delta(10, [(6_000_000, 1)], []))
    assert world.exchange.book(SPOT.id).bids[0] == (6_000_000, 30_000)
    straddling = BookDelta(SPOT.id, [(6_000_000, 7)], [], 5, 15, 4, START_MS)
    replay.apply(straddling)
    assert world.exchange.book(SPOT.id).bids[0] == (6_000_000, 7)
    assert replay.gaps == 0
    replay.apply(delta(18, [(5_990_000, 5)], []))
    assert replay.gaps == 1
    assert world.exchange.book(SPOT.id).bids == [(5_990_000, 5)]
    assert world.exchange.book(SPOT.id).asks == []


def test_quotes_drive_the_book_only_where_there_is_no_depth(world, replay):
    replay.apply(Quote(SPOT.id, 100, 5, 110, 6, 1, START_MS))
    replay.apply(Quote(SPOT.id, 101, 7, 109, 8, 2, START_MS))
    book = world.exchange.book(SPOT.id)
    assert (book.bids, book.asks) == ([(101, 7)], [(109, 8)])
    replay.apply(BOOK)
    replay.apply(Quote(SPOT.id, 1, 1, 2, 2, 3, START_MS))
    assert world.exchange.book(SPOT.id).bids == BOOK.bids


def test_marks_are_taken_and_the_rest_is_passed_over(world, replay):
    replay.apply(MarkPrice(PERPETUAL.id, 600_000, 600_010, "0.0001", 0, START_MS))
    replay.apply(Ticker(SPOT.id, 1, 1, 1, 1, 1, START_MS))
    replay.apply(Trade("OTHER:X/Y", 1, 1, buyer_is_maker=True, trade_id="1", time_ms=START_MS))
    assert world.exchange.mark_price(PERPETUAL.id).index == 600_010
    assert replay.applied == 2


def test_external_flow_respects_reduce_only_orders(world, replay):
    world.order(world.bob, "sell", "0.1", "60000", PERPETUAL)
    world.order(world.alice, "buy", "0.1", "60000", PERPETUAL)
    world.order(world.alice, "sell", "0.1", "60010", PERPETUAL, reduce_only=True)
    second = world.order(world.alice, "sell", "0.1", "60020", PERPETUAL, reduce_only=True)
    replay.apply(Trade(PERPETUAL.id, 600_500, 500, buyer_is_maker=False, trade_id="1", time_ms=START_MS))
    assert second.status is OrderStatus.EXPIRED
    assert world.exchange.position(world.alice, PERPETUAL.id).size == 0


def test_the_clock_follows_the_recording_and_never_runs_back():
    clock = ReplayClock(100)
    clock.move_to(50)
    assert clock() == 100
    clock.move_to(150)
    assert clock() == 150


async def test_play_keeps_the_recordings_pace():
    world = World()
    clock = ReplayClock()
    replay = Replay(world.exchange, clock)
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    trades = [
        Trade(SPOT.id, 6_000_000, 1, buyer_is_maker=True, trade_id=str(n), time_ms=START_MS + n * 500) for n in range(4)
    ]
    await replay.play(trades, sleep=sleep, speed=2)
    assert sum(slept) == 0.75
    assert clock() == START_MS + 1500
    slept.clear()
    await replay.play(trades, sleep=sleep)
    assert sum(slept) == 0
