"""Reference counts, splitting over lines, the budget."""

import pytest

from feeds.market_data.budget import BudgetExhausted
from feeds.market_data.endpoints import Endpoint
from feeds.market_data.pool import SharedConnections
from patriot.protocols.binance import BinanceSpot
from patriot.protocols.codec import Limits, Subscription
from patriot.protocols.errors import UnknownInstrument, UnsupportedChannel
from tests.unit.market_data.world import BTC, DEPTH, ETH, QUOTE, TRADES, World, spot


class Narrow(BinanceSpot):
    """Three subscriptions per connection."""

    name = "narrow"
    limits = Limits(subscriptions_max=3, frames_per_second_max=5)


@pytest.fixture
async def world():
    world = World(budget=3)
    world.pool = SharedConnections({"narrow": world.source}, world.around)
    yield world
    await world.pool.close()
    assert not world.exchange.open
    assert world.budget.taken == 0


def narrow(world):
    world.source.endpoint = Endpoint(Narrow)
    bases = [f"C{number}" for number in range(20)]
    world.source.instruments = {one.id: one for one in map(spot, bases)}
    return [Subscription("quote", one) for one in world.source.instruments]


@pytest.mark.requirement("P6")
async def test_pool_many_subscribers_share_one_connection(world):
    assert world.pool.subscribe("a", [DEPTH, TRADES]) == [DEPTH, TRADES]
    assert world.pool.subscribe("b", [DEPTH]) == []
    await world.advance(1)
    assert len(world.exchange.sockets) == 1
    assert len(world.exchange.sockets[0].sent) == 1
    assert world.pool.subscriptions() == {DEPTH: 2, TRADES: 1}


@pytest.mark.requirement("P6")
async def test_pool_stream_is_left_with_its_last_subscriber(world):
    world.pool.subscribe("a", [DEPTH, QUOTE])
    world.pool.subscribe("b", [DEPTH])
    await world.advance(1)
    assert world.pool.unsubscribe("a", [DEPTH]) == []
    await world.advance(1)
    assert "btcusdt@depth@100ms" in world.exchange.open[0].topics
    assert world.pool.unsubscribe("b", [DEPTH]) == [DEPTH]
    await world.advance(1)
    assert world.exchange.open[0].topics == {"btcusdt@bookTicker"}


@pytest.mark.requirement("P6")
async def test_pool_connection_closes_with_its_last_subscription(world):
    world.pool.subscribe("a", [DEPTH, QUOTE])
    await world.advance(1)
    world.pool.unsubscribe("a", [DEPTH, QUOTE])
    await world.advance(1)
    assert not world.exchange.open
    assert world.budget.taken == 0
    world.pool.subscribe("a", [DEPTH])
    await world.advance(1)
    assert len(world.exchange.open) == 1


async def test_pool_subscribing_twice_counts_once(world):
    world.pool.subscribe("a", [DEPTH])
    world.pool.subscribe("a", [DEPTH])
    assert world.pool.unsubscribe("a", [DEPTH]) == [DEPTH]


async def test_pool_stranger_cannot_end_a_subscription(world):
    world.pool.subscribe("a", [DEPTH])
    assert world.pool.unsubscribe("b", [DEPTH, QUOTE]) == []
    assert world.pool.subscriptions() == {DEPTH: 1}


@pytest.mark.requirement("P6")
async def test_pool_full_connection_is_followed_by_another_up_to_the_budget(world):
    streams = narrow(world)
    world.pool.subscribe("a", streams[:7])
    await world.advance(1)
    assert sorted(len(one.topics) for one in world.exchange.open) == [1, 3, 3]
    world.pool.subscribe("a", streams[7:9])
    with pytest.raises(BudgetExhausted):
        world.pool.subscribe("a", streams[9:10])
    await world.advance(1)
    assert [len(one.topics) for one in world.exchange.open] == [3, 3, 3]
    assert streams[9] not in world.pool.subscriptions()


async def test_pool_room_that_was_left_is_used_again(world):
    streams = narrow(world)
    world.pool.subscribe("a", streams[:9])
    world.pool.unsubscribe("a", streams[1:2])
    world.pool.subscribe("a", streams[9:10])
    await world.advance(1)
    assert len(world.exchange.open) == 3


async def test_pool_refusal_changes_nothing(world):
    with pytest.raises(UnknownInstrument):
        world.pool.subscribe("a", [Subscription("depth", "BINANCE:DOGE/USDT")])
    with pytest.raises(UnsupportedChannel):
        world.pool.subscribe("a", [Subscription("mark_price", BTC.id)])
    assert world.pool.subscriptions() == {}
    assert world.budget.taken == 0


async def test_pool_refresh_replaces_only_the_lines_of_the_instrument(world):
    streams = narrow(world)
    world.pool.subscribe("a", streams[:6])
    await world.advance(1)
    world.pool.refresh(streams[0].instrument)
    await world.advance(5)
    assert sorted(line.rotations for line in world.pool.lines) == [0, 1]


async def test_pool_book_that_does_not_come_is_asked_for_on_a_new_connection(world):
    world.pool.subscribe("a", [DEPTH])
    await world.advance(1)
    world.pool.check()
    await world.advance(30)
    assert len(world.exchange.sockets) == 1
    world.pool.check()
    await world.advance(0.5)
    assert len(world.exchange.sockets) == 2


async def test_pool_changed_scale_reconnects_at_once(world):
    world.pool.subscribe("a", [QUOTE, Subscription("quote", ETH.id)])
    await world.advance(1)
    world.pool.renew(world.endpoint.name, [BTC.id])
    world.exchange.tell("btcusdt@bookTicker", {"u": 9, "s": "BTCUSDT", "b": "1.00", "B": "1", "a": "2.00", "A": "1"})
    await world.advance(2)
    assert world.told == [], "nothing in the old scale comes through"
    assert [one.is_open for one in world.exchange.sockets] == [False, True]
