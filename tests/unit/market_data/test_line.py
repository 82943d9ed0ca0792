"""The life of one shared connection, on a virtual clock."""

import itertools

import pytest

from feeds.market_data.line import Line
from patriot.domain.book import OrderBook
from patriot.protocols.codec import Subscription
from patriot.protocols.market import BookSnapshot, Quote
from tests.unit.market_data.world import BTC, DEPTH, ETH, QUOTE, TRADES, World


@pytest.fixture
async def world():
    world = World()
    world.budget.take()
    world.line = Line(world.source, world.endpoint.url("trade"), world.around)
    world.line.add([DEPTH, TRADES])
    world.line.start()
    await world.advance(1)
    world.exchange.depth()
    await world.advance(1)
    world.lost_books.clear()  # before its first snapshot the book was not there
    yield world
    await world.line.stop()
    assert not world.exchange.open, "a stopped line leaves no socket"


def book_of(world):
    book = OrderBook(BTC.id)
    for message in world.books():
        book.apply(message)
    return book


def in_sync(world):
    return book_of(world).bids == {price * 100: size for price, size in world.exchange.bids.items() if size}


@pytest.mark.requirement("P6")
async def test_line_one_socket_carries_all_subscriptions(world):
    world.line.add([QUOTE, Subscription("aggregate_trade", ETH.id)])
    await world.advance(1)
    assert len(world.exchange.sockets) == 1
    assert world.exchange.open[0].topics == {
        "btcusdt@depth@100ms",
        "btcusdt@aggTrade",
        "btcusdt@bookTicker",
        "ethusdt@aggTrade",
    }
    world.line.remove([QUOTE])
    await world.advance(1)
    assert "btcusdt@bookTicker" not in world.exchange.open[0].topics


async def test_line_frames_go_out_no_faster_than_the_venue_allows(world):
    sent = len(world.exchange.open[0].sent)
    for _ in range(20):
        world.line.add([QUOTE])
        world.line.remove([QUOTE])
    await world.advance(1)
    assert len(world.exchange.open[0].sent) - sent == 6, "one at once, then five a second"
    await world.advance(7)
    assert len(world.exchange.open[0].sent) - sent == 40


async def test_line_book_comes_from_snapshot_and_diffs(world):
    world.exchange.depth(size=7000)
    await world.advance(1)
    world.exchange.depth(price=59998, size=500)
    await world.advance(1)
    assert in_sync(world)
    assert book_of(world).bids[5_999_800] == 500


@pytest.mark.requirement("P6")
async def test_line_reconnects_with_growing_pauses(world):
    world.exchange.refuses = True
    made = []
    connect = world.exchange.connect

    async def counted(url):
        made.append(world.clock.monotonic())
        return await connect(url)

    world.exchange.connect = counted
    world.exchange.open[0].cut()
    await world.advance(20)
    pauses = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert len(made) >= 4
    assert all(later > earlier * 1.05 for earlier, later in itertools.pairwise(pauses))
    world.exchange.refuses = False
    await world.advance(60)
    assert len(world.exchange.open) == 1
    assert world.line.connections_made == 2


async def test_line_breaker_opens_after_failures_and_tries_once(world):
    world.exchange.refuses = True
    made = []
    connect = world.exchange.connect

    async def counted(url):
        made.append(world.clock.monotonic())
        return await connect(url)

    world.exchange.connect = counted
    world.exchange.open[0].cut()
    await world.advance(300)
    assert world.source.breaker.is_open
    assert len(made) <= 5 + 300 / 30, "with an open breaker, one attempt per 30 s"
    world.exchange.refuses = False
    await world.advance(62)
    assert not world.source.breaker.is_open
    assert world.line.active is not None


@pytest.mark.requirement("P6")
async def test_line_prices_come_over_rest_while_the_socket_is_down(world):
    world.exchange.refuses = True
    world.exchange.open[0].cut()
    await world.advance(10)
    quotes = [one for one in world.told if isinstance(one, Quote)]
    assert quotes
    assert (quotes[-1].bid, quotes[-1].ask) == (6_000_000, 6_000_100)
    world.exchange.refuses = False
    await world.advance(60)
    asked = len(world.exchange.asked)
    await world.advance(10)
    assert len(world.exchange.asked) == asked, "with a socket nobody polls"


async def test_line_lost_connection_loses_the_book_at_once(world):
    world.exchange.depth()
    await world.advance(1)
    world.exchange.open[0].cut()
    await world.settle()
    assert world.lost_books == [BTC.id]


@pytest.mark.requirement("P6")
async def test_line_missed_trades_are_filled_over_rest_in_order(world):
    for _ in range(3):
        world.exchange.trade()
    await world.advance(1)
    world.exchange.open[0].cut()
    await world.settle()
    for _ in range(2500):
        world.exchange.trade()
    await world.advance(5)
    world.exchange.trade()
    await world.advance(1)
    assert world.trade_ids() == list(range(1, 2505))
    assert world.line.missed_trades(BTC.id) == 0


async def test_line_hole_in_the_trades_is_filled(world):
    world.exchange.trade()
    await world.advance(1)
    world.exchange.trade(lost=True)
    world.exchange.trade()
    await world.advance(2)
    assert world.trade_ids() == [1, 2, 3]


async def test_line_hole_that_cannot_be_filled_is_counted(world):
    world.exchange.trade()
    await world.advance(1)
    world.exchange.rest_is_down = True
    world.exchange.trade(lost=True)
    world.exchange.trade()
    await world.advance(10)
    assert world.trade_ids() == [1, 3]
    assert world.line.missed_trades(BTC.id) == 1


async def test_line_gap_costs_one_book_a_new_snapshot(world):
    world.exchange.depth()
    await world.advance(1)
    world.exchange.depth(lost=True, price=59997, size=3000)
    world.exchange.depth(size=4000)
    await world.advance(2)
    assert world.lost_books == [BTC.id]
    assert in_sync(world)
    assert len(world.exchange.sockets) == 1, "the connection stays"


async def test_line_garbage_is_passed_over_and_trades_are_checked(world):
    world.exchange.trade()
    await world.advance(1)
    world.exchange.open[0].push(b"\xff{not json")
    world.exchange.trade(lost=True)
    await world.advance(1)
    assert world.trade_ids() == [1, 2], "the lost frame may have been a trade"
    assert len(world.exchange.sockets) == 1


async def test_line_nothing_but_garbage_ends_the_connection(world):
    for _ in range(10):
        world.exchange.open[0].push(b"nonsense")
    await world.advance(5)
    assert len(world.exchange.sockets) == 2
    assert len(world.exchange.open) == 1


# --- rotation ---


@pytest.mark.requirement("P6")
async def test_line_rotates_before_24_hours_without_a_gap(world):
    world.exchange.depth()
    await world.advance(1)
    for _ in range(26 * 60):
        world.exchange.trade()
        world.exchange.depth(size=1000 + len(world.exchange.trades))
        await world.advance(60)
    assert world.line.rotations == 1
    assert len(world.exchange.open) == 1
    assert world.exchange.sockets[1].is_open
    assert world.trade_ids() == list(range(1, 26 * 60 + 1))
    assert in_sync(world)
    assert not world.lost_books, "the book was there all the time"


async def test_line_old_connection_serves_until_the_new_one_is_in_sync(world):
    world.exchange.depth()
    await world.advance(1)
    world.exchange.rest_is_down = True  # the new connection gets no snapshot
    world.line.rotate()
    for number in range(20):
        world.exchange.depth(size=500 + number)
        world.exchange.trade()
        await world.advance(1)
    assert world.line.rotations == 0
    assert len(world.exchange.open) == 2
    assert in_sync(world)
    world.exchange.rest_is_down = False
    for number in range(20):
        world.exchange.depth(size=900 + number)
        await world.advance(1)
    assert world.line.rotations == 1
    assert len(world.exchange.open) == 1
    assert world.trade_ids() == list(range(1, 21))
    assert in_sync(world)


async def test_line_duplicates_of_a_rotation_are_dropped(world):
    world.exchange.depth()
    await world.advance(1)
    world.line.rotate()
    for number in range(40):
        world.exchange.depth(size=500 + number)
        world.exchange.trade()
        await world.advance(0.1)
    assert world.line.rotations == 1
    assert world.trade_ids() == list(range(1, 41))
    deltas = [one.last for one in world.books() if not isinstance(one, BookSnapshot)]
    assert deltas == sorted(set(deltas)), "no diff twice, none out of order"


async def test_line_server_shutdown_rotates(world):
    world.exchange.depth()
    await world.advance(1)
    world.exchange.open[0].push({"e": "serverShutdown", "E": 1})
    for _ in range(30):
        world.exchange.depth()
        world.exchange.trade()
        await world.advance(0.2)
    assert world.line.rotations == 1
    assert not world.lost_books
    assert world.trade_ids() == list(range(1, 31))


async def test_line_old_connection_dies_during_the_rotation(world):
    world.exchange.depth()
    world.exchange.trade()
    await world.advance(1)
    world.line.rotate()
    await world.settle()
    world.exchange.sockets[0].cut()
    for _ in range(30):
        world.exchange.depth()
        world.exchange.trade()
        await world.advance(0.2)
    assert world.line.rotations == 1
    assert world.trade_ids() == list(range(1, 32))
    assert in_sync(world)


async def test_line_new_connection_dies_during_the_rotation(world):
    world.exchange.depth()
    await world.advance(1)
    world.line.rotate()
    await world.settle()
    world.exchange.sockets[1].cut()
    for _ in range(10):
        world.exchange.depth()
        world.exchange.trade()
        await world.advance(0.2)
    assert world.line.rotations == 0
    assert world.exchange.sockets[0].is_open
    assert not world.lost_books
    assert in_sync(world)
    assert world.budget.taken == 1


async def test_line_rotation_waits_for_a_place_in_the_budget(world):
    while world.budget.taken < world.budget.maximum:
        world.budget.take()
    world.line.rotate()
    await world.advance(5)
    assert len(world.exchange.sockets) == 1
    world.budget.give_back()
    world.exchange.depth()
    await world.advance(61)
    world.exchange.depth()
    await world.advance(5)
    assert world.line.rotations == 1


async def test_line_subscription_added_during_a_rotation_is_on_both(world):
    world.exchange.depth()
    await world.advance(1)
    world.line.rotate()
    await world.settle()
    world.line.add([QUOTE])
    await world.advance(0.3)
    assert all("btcusdt@bookTicker" in one.topics for one in world.exchange.open)
    assert len(world.exchange.open) == 2


async def test_line_price_beyond_the_scale_reports_an_outdated_definition(world):
    world.exchange.depth()
    await world.advance(1)
    data = {"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 102, "u": 102, "b": [["60000.123", "1"]], "a": []}
    world.exchange.tell("btcusdt@depth@100ms", data)
    await world.advance(0.1)
    assert world.outdated == [BTC.id]
    assert world.lost_books == [BTC.id]


async def test_line_failing_listener_does_not_end_the_line(world):
    def fail(_):
        raise RuntimeError("a listener's mistake")

    world.line._gate._handlers[Quote] = fail
    world.line.add([QUOTE])
    await world.advance(1)
    quote = {"u": 1, "s": "BTCUSDT", "b": "1.00", "B": "1", "a": "2.00", "A": "1"}
    world.exchange.tell("btcusdt@bookTicker", quote)
    await world.advance(5)
    assert world.line.connections_made == 2
    assert world.line.active is not None


async def test_line_diffs_that_reach_the_new_connection_late_are_dropped(world):
    world.line.rotate()
    await world.advance(0.5)
    world.exchange.depth()
    await world.advance(0.6)  # in sync, within the overlap
    _old, new = world.exchange.sockets
    assert world.line.rotations == 0
    late = []
    new.push, push = late.append, new.push
    for number in range(3):
        world.exchange.depth(size=700 + number)
    await world.advance(1)
    assert world.line.rotations == 1
    new.push = push
    for message in late:
        new.push(message)
    world.exchange.depth(size=800)
    await world.advance(0.5)
    sequences = [one.sequence if isinstance(one, BookSnapshot) else one.last for one in world.books()]
    assert sequences == sorted(sequences), "the book never goes back"
    assert in_sync(world)
    assert not world.lost_books


async def test_line_trades_that_only_the_new_connection_got_are_not_lost(world):
    world.exchange.trade()
    world.line.rotate()
    await world.advance(0.5)
    world.exchange.depth()
    await world.advance(0.6)
    world.exchange.rest_is_down = True  # nobody can repair it later
    world.exchange.sockets[0].push = lambda _: None
    world.exchange.trade()
    await world.advance(1)
    assert world.line.rotations == 1
    assert world.trade_ids() == [1, 2]


async def test_line_trades_between_the_death_of_the_old_and_the_new_connection_are_filled(world):
    world.exchange.trade()
    await world.advance(0.1)
    world.line.rotate()
    world.exchange.sockets[0].cut()
    world.exchange.trade()  # nobody hears it, and no later one tells of the hole
    await world.advance(0.1)
    world.exchange.depth()
    await world.advance(3)
    assert world.trade_ids() == [1, 2]


async def test_line_old_connection_that_dies_in_the_overlap_leaves_no_hole(world):
    world.exchange.trade()
    world.line.rotate()
    await world.settle()
    assert len(world.exchange.open) == 2
    world.exchange.sockets[0].cut()
    await world.settle()
    world.exchange.sockets[1].push = lambda _: None  # what is printed before the answer to the subscription
    world.exchange.trade()
    del world.exchange.sockets[1].push
    await world.advance(0.1)
    world.exchange.depth()
    await world.advance(3)
    assert world.line.rotations == 1
    assert world.trade_ids() == [1, 2]
