"""Orders on the exchange: every type, every way to end, every refusal."""

from dataclasses import replace
from decimal import Decimal

import pytest
from msgspec import structs

from feeds.venue import errors
from feeds.venue.events import AccountUpdate, Change, OrderUpdate
from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderStatus, OrderType, Reason, SelfTrade, Side, TimeInForce
from patriot.protocols.market import BookDelta, Quote, Trade
from tests.unit.venue.world import PERPETUAL, SPOT, World


@pytest.fixture
def world() -> World:
    return World()


def test_limit_order_rests_and_holds_its_cost(world):
    order = world.order(world.alice, "buy", "0.5", "60000")
    assert order.status is OrderStatus.NEW
    assert world.free(world.alice, "USDT") == 70_000
    assert world.exchange.book(SPOT.id).bids == [(6_000_000, 50_000)]
    world.exchange.cancel(world.alice, SPOT.id, order_id=order.id)
    assert (order.status, order.reason) == (OrderStatus.CANCELLED, Reason.USER)
    assert world.free(world.alice, "USDT") == 100_000


def test_match_pays_the_makers_price_and_takes_the_fee_from_what_is_received(world):
    maker = world.order(world.alice, "sell", "0.5", "60000")
    taker = world.order(world.bob, "buy", "0.2", "61000")
    assert (taker.status, taker.average_price, taker.filled_notional) == (OrderStatus.FILLED, 60_000, 12_000)
    assert (maker.status, maker.filled, maker.left) == (OrderStatus.PARTIALLY_FILLED, Decimal("0.2"), Decimal("0.3"))
    assert world.total(world.bob, "BTC") == Decimal("2.1998")
    assert world.free(world.bob, "USDT") == 88_000
    assert world.total(world.alice, "USDT") == 111_988
    assert world.total(world.exchange.account("fees"), "USDT") == 12
    mine, yours = world.exchange.trades(world.alice)[0], world.exchange.trades(world.bob)[0]
    assert (mine.trade_id, mine.is_maker, mine.fee, mine.fee_asset) == (1, True, 12, "USDT")
    assert (yours.trade_id, yours.is_maker, yours.fee, yours.fee_asset) == (1, False, Decimal("0.0002"), "BTC")


def test_time_priority_at_one_price(world):
    first = world.order(world.alice, "sell", "0.1", "60000")
    second = world.order(world.carol, "sell", "0.1", "60000")
    world.order(world.bob, "buy", "0.1", "60000")
    assert (first.status, second.status) == (OrderStatus.FILLED, OrderStatus.NEW)


def test_market_order_sweeps_the_levels_and_its_rest_expires(world):
    world.order(world.alice, "sell", "0.1", "60000")
    world.order(world.alice, "sell", "0.1", "60100")
    order = world.order(world.bob, "buy", "0.5")
    assert (order.status, order.reason, order.filled) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY, Decimal("0.2"))
    assert order.average_price == 60_050
    assert world.free(world.bob, "USDT") == world.total(world.bob, "USDT") == 100_000 - 12_010


def test_market_order_into_an_empty_side_is_refused(world):
    with pytest.raises(errors.NoLiquidity):
        world.order(world.bob, "buy", "0.5")
    order = world.order(world.bob, "buy", "0.5", record_failure=True)
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)


def test_market_order_by_quote_quantity_buys_whole_lots_within_the_budget(world):
    world.order(world.alice, "sell", "0.01", "60000")
    world.order(world.alice, "sell", "1", "60010")
    order = world.order(world.bob, "buy", "0", quote_quantity=Decimal(1000))
    assert order.status is OrderStatus.FILLED
    assert order.filled == Decimal("0.01666")
    assert Decimal(1000) - Decimal("0.7") < order.filled_notional <= 1000


def test_ioc_fills_what_it_can_and_expires(world):
    world.order(world.alice, "sell", "0.1", "60000")
    order = world.order(world.bob, "buy", "0.5", "60000", time_in_force=TimeInForce.IOC)
    assert (order.status, order.reason, order.filled) == (OrderStatus.EXPIRED, Reason.IOC, Decimal("0.1"))
    assert world.exchange.book(SPOT.id).bids == []
    assert world.free(world.bob, "USDT") == 94_000


def test_fok_fills_whole_or_is_killed(world):
    world.order(world.alice, "sell", "0.1", "60000")
    with pytest.raises(errors.FokKilled):
        world.order(world.bob, "buy", "0.2", "60000", time_in_force=TimeInForce.FOK)
    killed = world.order(world.bob, "buy", "0.2", "60000", time_in_force=TimeInForce.FOK, record_failure=True)
    assert (killed.status, killed.reason, killed.filled) == (OrderStatus.EXPIRED, Reason.FOK, 0)
    assert world.order(world.bob, "buy", "0.1", "60000", time_in_force=TimeInForce.FOK).status is OrderStatus.FILLED


def test_post_only_never_takes(world):
    world.order(world.alice, "sell", "0.1", "60000")
    with pytest.raises(errors.WouldTake):
        world.order(world.bob, "buy", "0.1", "60000", post_only=True)
    recorded = world.order(world.bob, "buy", "0.1", "60000", post_only=True, record_failure=True)
    assert (recorded.status, recorded.reason) == (OrderStatus.EXPIRED, Reason.POST_ONLY)
    assert world.order(world.bob, "buy", "0.1", "59999.99", post_only=True).status is OrderStatus.NEW


def test_gtd_expires_when_its_time_comes(world):
    order = world.order(world.bob, "buy", "0.1", "50000", time_in_force=TimeInForce.GTD, expire_ms=world.now_ms + 1000)
    world.now_ms += 999
    world.exchange.advance()
    assert order.is_open
    world.now_ms += 1
    world.exchange.advance()
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, Reason.GTD)
    assert world.free(world.bob, "USDT") == 100_000


@pytest.mark.parametrize(
    ("mode", "taker_filled", "taker_status", "maker_status"),
    [
        (SelfTrade.NONE, "0.2", OrderStatus.FILLED, OrderStatus.FILLED),
        (SelfTrade.EXPIRE_TAKER, "0.1", OrderStatus.EXPIRED, OrderStatus.NEW),
        (SelfTrade.EXPIRE_MAKER, "0.2", OrderStatus.FILLED, OrderStatus.EXPIRED),
        (SelfTrade.EXPIRE_BOTH, "0.1", OrderStatus.EXPIRED, OrderStatus.EXPIRED),
    ],
)
def test_self_trade_prevention(world, mode, taker_filled, taker_status, maker_status):
    world.order(world.alice, "sell", "0.1", "60000")
    own = world.order(world.bob, "sell", "0.1", "60001")
    world.order(world.alice, "sell", "0.1", "60002")
    taker = world.order(world.bob, "buy", "0.2", "60005", self_trade=mode)
    assert (taker.filled, taker.status, own.status) == (Decimal(taker_filled), taker_status, maker_status)
    if taker_status is OrderStatus.EXPIRED:
        assert taker.reason is Reason.SELF_TRADE


def test_fok_does_not_count_the_makers_that_prevention_removes(world):
    world.order(world.bob, "sell", "0.1", "60000")
    with pytest.raises(errors.FokKilled):
        world.order(world.bob, "buy", "0.1", "60000", time_in_force=TimeInForce.FOK, self_trade=SelfTrade.EXPIRE_MAKER)


def test_fok_counts_what_lies_behind_the_makers_that_prevention_removes(world):
    own = world.order(world.bob, "sell", "0.1", "60000")
    world.order(world.alice, "sell", "0.1", "60001")
    taker = world.order(
        world.bob, "buy", "0.1", "60001", time_in_force=TimeInForce.FOK, self_trade=SelfTrade.EXPIRE_MAKER
    )
    assert (taker.status, taker.average_price, own.status) == (OrderStatus.FILLED, 60_001, OrderStatus.EXPIRED)


def test_a_market_order_reserves_what_it_pays_behind_its_own_orders(world):
    world.order(world.bob, "sell", "1", "50000")
    world.order(world.alice, "sell", "2", "60000")
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.bob, "buy", "1.9", self_trade=SelfTrade.EXPIRE_MAKER)
    assert world.order(world.bob, "buy", "1.6", self_trade=SelfTrade.EXPIRE_MAKER).average_price == 60_000


# stops


def traded_at(world: World, price: str) -> None:
    world.order(world.carol, "sell", "0.01", price)
    world.order(world.carol, "buy", "0.01", price)


@pytest.mark.parametrize(
    ("kind", "side", "trigger", "before", "after"),
    [
        (OrderType.STOP_MARKET, "buy", "61000", "60999", "61000"),
        (OrderType.STOP_MARKET, "sell", "59000", "59001", "59000"),
        (OrderType.TAKE_PROFIT_MARKET, "buy", "59000", "59001", "59000"),
        (OrderType.TAKE_PROFIT_MARKET, "sell", "61000", "60999", "61000"),
    ],
)
def test_conditional_order_fires_at_its_trigger(world, kind, side, trigger, before, after):  # noqa: PLR0917
    traded_at(world, "60000")
    order = world.order(world.alice, side, "0.1", type=kind, trigger_price=Decimal(trigger))
    assert order.status is OrderStatus.UNTRIGGERED
    traded_at(world, before)
    assert order.status is OrderStatus.UNTRIGGERED
    world.order(world.bob, "sell" if side == "buy" else "buy", "0.1", "62000" if side == "buy" else "58000")
    traded_at(world, after)
    assert order.status is OrderStatus.FILLED
    assert order.triggered_ms == world.now_ms


def test_stop_limit_rests_after_its_trigger_and_holds_spot_funds_before(world):
    traded_at(world, "60000")
    order = world.order(world.alice, "buy", "0.1", "60500", type=OrderType.STOP_LIMIT, trigger_price=Decimal(61_000))
    assert world.free(world.alice, "USDT") == Decimal(100_000) - 6_050
    traded_at(world, "61000")
    assert order.status is OrderStatus.NEW
    assert (6_050_000, 10_000) in world.exchange.book(SPOT.id).bids


def test_stop_that_is_already_passed_is_refused_unless_asked(world):
    traded_at(world, "60000")
    with pytest.raises(errors.WouldTriggerImmediately):
        world.order(world.alice, "buy", "0.1", type=OrderType.STOP_MARKET, trigger_price=Decimal(60_000))
    world.order(world.bob, "sell", "0.1", "60001")
    order = world.order(
        world.alice, "buy", "0.1", type=OrderType.STOP_MARKET, trigger_price=Decimal(60_000), trigger_checked=False
    )
    assert order.status is OrderStatus.FILLED


def test_stop_that_finds_no_liquidity_expires(world):
    traded_at(world, "60000")
    order = world.order(world.alice, "sell", "0.1", type=OrderType.STOP_MARKET, trigger_price=Decimal(59_000))
    assert world.free(world.alice, "BTC") == Decimal("1.9")
    traded_at(world, "59000")
    assert (order.status, order.reason) == (OrderStatus.EXPIRED, Reason.NO_LIQUIDITY)
    assert world.free(world.alice, "BTC") == 2


def test_stops_cascade_until_prices_rest(world):
    traded_at(world, "60000")
    world.order(world.bob, "buy", "0.1", "59500")
    world.order(world.bob, "buy", "0.1", "58000")
    world.order(world.bob, "buy", "0.1", "57000")
    first = world.order(world.alice, "sell", "0.15", type=OrderType.STOP_MARKET, trigger_price=Decimal(59_500))
    second = world.order(world.alice, "sell", "0.1", type=OrderType.STOP_MARKET, trigger_price=Decimal(58_500))
    world.order(world.carol, "sell", "0.01", "59500")
    assert first.status is second.status is OrderStatus.FILLED
    assert second.average_price < first.average_price


# amends


def test_amend_down_keeps_the_place_up_loses_it(world):
    first = world.order(world.alice, "sell", "0.3", "60000")
    second = world.order(world.carol, "sell", "0.3", "60000")
    world.exchange.amend(world.alice, SPOT.id, order_id=first.id, quantity=Decimal("0.2"))
    assert world.free(world.alice, "BTC") == Decimal("1.8")
    world.order(world.bob, "buy", "0.2", "60000")
    assert (first.status, second.filled) == (OrderStatus.FILLED, 0)
    third = world.order(world.alice, "sell", "0.1", "60000")
    world.exchange.amend(world.carol, SPOT.id, order_id=second.id, quantity=Decimal("0.4"))
    world.order(world.bob, "buy", "0.1", "60000")
    assert (third.status, second.filled) == (OrderStatus.FILLED, 0)


def test_amend_of_the_price_moves_the_order_its_lock_and_may_match(world):
    order = world.order(world.alice, "buy", "0.1", "50000")
    world.order(world.bob, "sell", "0.1", "60000")
    world.exchange.amend(world.alice, SPOT.id, client_order_id=order.client_order_id, price=Decimal(55_000))
    assert world.exchange.book(SPOT.id).bids == [(5_500_000, 10_000)]
    assert world.free(world.alice, "USDT") == 94_500
    world.exchange.amend(world.alice, SPOT.id, order_id=order.id, price=Decimal(60_000))
    assert order.status is OrderStatus.FILLED


def test_amend_that_fails_changes_nothing(world):
    order = world.order(world.alice, "buy", "0.1", "50000", post_only=True)
    world.order(world.bob, "sell", "0.1", "60000")
    before = world.exchange.book(SPOT.id)
    amend = lambda **changes: world.exchange.amend(world.alice, SPOT.id, order_id=order.id, **changes)  # noqa: E731
    with pytest.raises(errors.NothingToAmend):
        amend(price=Decimal(50_000))
    with pytest.raises(errors.WouldTake):
        amend(price=Decimal(60_000))
    with pytest.raises(errors.InsufficientBalance):
        amend(quantity=Decimal(3))
    with pytest.raises(errors.FilterFailure):
        amend(price=Decimal("50000.001"))
    with pytest.raises(errors.InvalidRequest):
        amend(trigger_price=Decimal(70_000))
    assert world.free(world.alice, "USDT") == 95_000
    after = world.exchange.book(SPOT.id)
    assert (after.bids, after.asks, after.sequence) == (before.bids, before.asks, before.sequence)


def test_amend_below_what_is_filled_is_refused(world):
    order = world.order(world.alice, "sell", "0.3", "60000")
    world.order(world.bob, "buy", "0.2", "60000")
    with pytest.raises(errors.InvalidRequest) as caught:
        world.exchange.amend(world.alice, SPOT.id, order_id=order.id, quantity=Decimal("0.2"))
    assert caught.value.field == "quantity"


def test_amend_of_a_waiting_stop_moves_its_trigger(world):
    traded_at(world, "60000")
    stop = world.order(world.alice, "sell", "0.1", type=OrderType.STOP_MARKET, trigger_price=Decimal(59_000))
    world.exchange.amend(world.alice, SPOT.id, order_id=stop.id, trigger_price=Decimal(58_000))
    with pytest.raises(errors.WouldTriggerImmediately):
        world.exchange.amend(world.alice, SPOT.id, order_id=stop.id, trigger_price=Decimal(60_000))
    traded_at(world, "59000")
    assert stop.status is OrderStatus.UNTRIGGERED
    world.exchange.amend(world.alice, SPOT.id, order_id=stop.id, trigger_price=Decimal("58000.5"))
    world.order(world.bob, "buy", "0.1", "50000")
    traded_at(world, "58000.5")
    assert stop.status is OrderStatus.FILLED


# refusals


def request(**changes: object) -> NewOrder:
    whole = NewOrder(
        instrument_id=SPOT.id, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.1"), price=Decimal(60_000)
    )
    return structs.replace(whole, **changes)


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"price": Decimal("60000.001")}, "PRICE_FILTER"),
        ({"price": Decimal(0)}, "PRICE_FILTER"),
        ({"price": Decimal(-1)}, "PRICE_FILTER"),
        ({"quantity": Decimal("0.000001")}, "LOT_SIZE"),
        ({"quantity": Decimal(0)}, "LOT_SIZE"),
        ({"quantity": Decimal(9001)}, "LOT_SIZE"),
        ({"quantity": Decimal("0.00008")}, "NOTIONAL"),
        ({"instrument_id": PERPETUAL.id, "price": Decimal("60000.05")}, "PRICE_FILTER"),
    ],
)
def test_filters_are_named(world, changes, name):
    with pytest.raises(errors.FilterFailure) as caught:
        world.exchange.create(world.alice, request(**changes))
    assert caught.value.filter == name
    assert world.exchange.orders(world.alice) == []


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"price": None}, "price"),
        ({"type": OrderType.MARKET}, "price"),
        ({"type": OrderType.MARKET, "price": None, "post_only": True}, "post_only"),
        ({"trigger_price": Decimal(1)}, "trigger_price"),
        ({"type": OrderType.STOP_LIMIT}, "trigger_price"),
        ({"post_only": True, "time_in_force": TimeInForce.IOC}, "time_in_force"),
        ({"time_in_force": TimeInForce.GTD, "expire_ms": 1}, "expire_ms"),
        ({"reduce_only": True}, "reduce_only"),
        ({"close_position": True}, "close_position"),
        ({"quote_quantity": Decimal(10)}, "quote_quantity"),
        ({"client_order_id": "x" * 65}, "client_order_id"),
    ],
)
def test_contradictions_name_the_field(world, changes, field):
    with pytest.raises(errors.InvalidRequest) as caught:
        world.exchange.create(world.alice, request(**changes))
    assert caught.value.field == field


def test_an_instrument_that_does_not_trade_refuses_orders(world):
    closed = Exchange("BINANCE", [replace(SPOT, trading=False)], lambda: 0)
    with pytest.raises(errors.FilterFailure) as caught:
        closed.create(closed.open_account("a"), request())
    assert caught.value.filter == "TRADING"


def test_unknown_things_are_named(world):
    with pytest.raises(errors.UnknownInstrument):
        world.exchange.create(world.alice, request(instrument_id="BINANCE:XXX/YYY"))
    with pytest.raises(errors.UnknownInstrument):
        world.exchange.find_instrument("BTCUSDT", "inverse")
    with pytest.raises(errors.UnknownInstrument):
        world.exchange.position(world.alice, SPOT.id)
    with pytest.raises(errors.UnknownOrder):
        world.exchange.cancel(world.alice, SPOT.id, order_id=77)
    with pytest.raises(errors.UnknownOrder):
        world.exchange.order(world.alice, SPOT.id, client_order_id="none")
    with pytest.raises(errors.UnknownAccount):
        world.exchange.account_by_key("none")
    with pytest.raises(errors.UnknownAccount):
        world.exchange.account("none")


def test_a_foreign_order_cannot_be_seen_or_cancelled(world):
    order = world.order(world.alice, "buy", "0.1", "50000")
    with pytest.raises(errors.UnknownOrder):
        world.exchange.cancel(world.bob, SPOT.id, order_id=order.id)
    with pytest.raises(errors.UnknownOrder):
        world.exchange.order(world.alice, PERPETUAL.id, order_id=order.id)


def test_an_ended_order_cannot_be_cancelled_or_amended(world):
    order = world.order(world.alice, "buy", "0.1", "50000")
    world.exchange.cancel(world.alice, SPOT.id, order_id=order.id)
    with pytest.raises(errors.UnknownOrder):
        world.exchange.cancel(world.alice, SPOT.id, order_id=order.id)
    with pytest.raises(errors.UnknownOrder):
        world.exchange.amend(world.alice, SPOT.id, order_id=order.id, price=Decimal(1))


def test_client_order_id_is_unique_among_open_orders_only(world):
    first = world.order(world.alice, "buy", "0.1", "50000", client_order_id="mine")
    with pytest.raises(errors.DuplicateClientOrderId):
        world.order(world.alice, "buy", "0.1", "50000", client_order_id="mine")
    world.order(world.bob, "buy", "0.1", "50000", client_order_id="mine")
    world.exchange.cancel(world.alice, SPOT.id, client_order_id="mine")
    second = world.order(world.alice, "buy", "0.1", "50000", client_order_id="mine")
    assert world.exchange.order(world.alice, SPOT.id, client_order_id="mine") is second
    assert world.exchange.order(world.alice, SPOT.id, order_id=first.id) is first


def test_client_order_id_can_be_unique_forever():
    world = World(client_ids_forever=True)
    world.order(world.alice, "buy", "0.1", "50000", client_order_id="mine")
    world.exchange.cancel(world.alice, SPOT.id, client_order_id="mine")
    with pytest.raises(errors.DuplicateClientOrderId):
        world.order(world.alice, "buy", "0.1", "50000", client_order_id="mine")


def test_spot_funds_are_checked_against_what_is_free(world):
    world.order(world.alice, "buy", "1", "60000")
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.alice, "buy", "1", "60000")
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.bob, "sell", "2.1", "60000")
    world.order(world.carol, "sell", "2", "60001")
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.bob, "buy", "1.9")
    with pytest.raises(errors.InsufficientBalance):
        world.exchange.withdraw(world.alice, "spot", "USDT", Decimal(50_000))


def test_a_refused_order_leaves_no_trace(world):
    world.order(world.carol, "sell", "2", "60000")
    count = len(world.heard)
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.bob, "buy", "1.9", "60000")
    assert len(world.heard) == count
    assert world.money() == world.deposited
    assert world.free(world.bob, "USDT") == 100_000


# what is heard


def test_private_stream_tells_each_change_once_and_in_order(world):
    mine = []
    stop = world.exchange.on_account("bob", mine.append)
    world.order(world.alice, "sell", "0.1", "60000")
    world.order(world.alice, "sell", "0.1", "60001")
    world.order(world.bob, "buy", "0.3", "60001")
    changes = [(update.change, update.order.filled, update.order.status) for update in mine[:-1]]
    assert changes == [
        (Change.NEW, 0, OrderStatus.NEW),
        (Change.TRADE, Decimal("0.1"), OrderStatus.PARTIALLY_FILLED),
        (Change.TRADE, Decimal("0.2"), OrderStatus.PARTIALLY_FILLED),
    ]
    assert isinstance(mine[-1], AccountUpdate)
    assert {balance.asset for balance in mine[-1].balances} == {"USDT", "BTC"}
    stop()
    world.exchange.cancel_all(world.bob)
    assert len(mine) == 4


def test_public_stream_has_a_complete_sequence_of_deltas(world):
    bids: dict[int, int] = {}
    asks: dict[int, int] = {}
    for step in range(60):
        side = "buy" if step % 3 else "sell"
        world.order(world.alice, side, "0.01", str(60_000 + (step * 7) % 11))
        if step % 5 == 0:
            world.exchange.cancel_all(world.alice)
    deltas = [delta for delta in world.heard_of(BookDelta) if delta.instrument == SPOT.id]
    assert [delta.last for delta in deltas] == list(range(1, len(deltas) + 1))
    assert all(delta.first == delta.last == delta.previous + 1 for delta in deltas)
    for delta in deltas:
        for side_levels, changes in ((bids, delta.bids), (asks, delta.asks)):
            side_levels.update(changes)
    book = world.exchange.book(SPOT.id)
    assert sorted(((p, q) for p, q in bids.items() if q), reverse=True) == book.bids
    assert sorted((p, q) for p, q in asks.items() if q) == book.asks
    assert book.sequence == deltas[-1].last


def test_quotes_and_trades_are_public(world):
    world.order(world.alice, "sell", "0.1", "60000")
    world.order(world.bob, "buy", "0.04", "60000")
    trade = world.heard_of(Trade)[-1]
    assert (trade.price, trade.quantity, trade.buyer_is_maker, trade.trade_id) == (6_000_000, 4_000, False, "1")
    quote = world.heard_of(Quote)[-1]
    assert (quote.ask, quote.ask_quantity, quote.bid_quantity) == (6_000_000, 6_000, 0)
    assert world.exchange.recent_trades(SPOT.id) == [trade]
    assert world.exchange.ticker(SPOT.id).volume == 4_000


def test_a_listener_may_call_the_exchange(world):
    def chase(event: object) -> None:
        if isinstance(event, OrderUpdate) and event.change is Change.TRADE and len(placed) < 3:
            placed.append(world.order(world.bob, "buy", "0.01", "60000"))

    placed: list[object] = []
    world.order(world.alice, "sell", "1", "60000")
    world.exchange.on_account("bob", chase)
    world.order(world.bob, "buy", "0.01", "60000")
    assert len(placed) == 3
    assert len(world.exchange.trades(world.bob)) == 4
    assert world.money() == world.deposited


def test_bars_come_from_the_trades(world):
    traded_at(world, "60000")
    traded_at(world, "60100")
    world.now_ms += 60_000
    traded_at(world, "60050")
    minutes = world.exchange.bars(SPOT.id, 60)
    assert [(bar.open, bar.high, bar.close, bar.trades) for bar in minutes] == [
        (6_000_000, 6_010_000, 6_010_000, 2),
        (6_005_000, 6_005_000, 6_005_000, 1),
    ]
    assert [bar.closed for bar in minutes] == [True, False]
    (day,) = world.exchange.bars(SPOT.id, 86_400)
    assert (day.open, day.high, day.low, day.close, day.volume) == (6_000_000, 6_010_000, 6_000_000, 6_005_000, 3_000)


def test_history_is_bounded(world):
    small = world.exchange.open_account("small", history_max=3)
    world.exchange.deposit(small, "spot", "USDT", Decimal(1000))
    ids = [world.order(small, "buy", "0.01", "600").id for _ in range(5)]
    world.exchange.cancel_all(small)
    assert [order.id for order in world.exchange.orders(small)] == ids[2:]
    assert len(small.by_client_id) == 3


@pytest.mark.parametrize("bad", ["NaN", "-NaN", "sNaN", "Infinity", "-Infinity", "1E+400", "1E-400", "1E+19"])
def test_numbers_that_are_none_are_refused_and_change_nothing(world, bad):
    count = len(world.heard)
    for changes in ({"price": Decimal(bad)}, {"quantity": Decimal(bad)}):
        with pytest.raises(errors.FilterFailure):
            world.exchange.create(world.alice, request(**changes))
    with pytest.raises(errors.InvalidRequest):
        world.exchange.create(
            world.alice,
            request(type=OrderType.MARKET, price=None, quantity=Decimal(0), quote_quantity=Decimal(bad)),
        )
    with pytest.raises(errors.InvalidRequest):
        world.exchange.deposit(world.alice, "spot", "USDT", Decimal(bad))
    assert len(world.heard) == count
    assert world.money() == world.deposited


@pytest.mark.parametrize("amount", ["0", "-1", "0.0000000000000000001"])
def test_amounts_that_are_not_positive_or_too_fine_are_refused(world, amount):
    with pytest.raises(errors.InvalidRequest):
        world.exchange.withdraw(world.alice, "spot", "USDT", Decimal(amount))


def test_fills_of_an_order_are_found_and_forgotten_with_it(world):
    small = world.exchange.open_account("small", history_max=1)
    world.exchange.deposit(small, "spot", "USDT", Decimal(10_000))
    world.order(world.alice, "sell", "0.01", "60000")
    world.order(world.alice, "sell", "0.01", "60010")
    first = world.order(small, "buy", "0.02", "60010")
    assert [fill.price for fill in world.exchange.trades(small, order_id=first.id)] == [60_000, 60_010]
    assert world.exchange.trades(small, PERPETUAL.id, first.id) == []
    world.order(world.alice, "sell", "0.01", "60000")
    second = world.order(small, "buy", "0.01", "60000")
    assert world.exchange.trades(small, order_id=first.id) == []
    assert list(small.fills_of) == [second.id]


def test_every_error_has_a_code_of_its_own():
    kinds = errors.VenueError.__subclasses__()
    assert len({kind.code for kind in kinds}) == len(kinds)
