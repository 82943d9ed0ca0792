"""The linear perpetual: margin, reduce-only, funding, liquidation."""

from decimal import Decimal

import pytest

from feeds.venue import errors
from feeds.venue.accounts import Account, Position
from feeds.venue.events import AccountUpdate
from feeds.venue.orders import OrderStatus, OrderType, Reason, SelfTrade, Side, Trigger
from tests.unit.venue.world import PERPETUAL, World

ID = PERPETUAL.id


@pytest.fixture
def world() -> World:
    return World()


def trade(world: World, buyer: Account, seller: Account, quantity: str, price: str) -> None:
    world.order(seller, "sell", quantity, price, PERPETUAL)
    world.order(buyer, "buy", quantity, price, PERPETUAL)


def size(world: World, account: Account) -> Decimal:
    return world.exchange.position(account, ID).size


def test_position_opens_averages_and_closes_with_its_profit(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    trade(world, world.alice, world.bob, "0.1", "61000")
    position = world.exchange.position(world.alice, ID)
    assert (position.size, position.entry_price) == (Decimal("0.2"), 60_500)
    trade(world, world.bob, world.alice, "0.2", "62000")
    fill = world.exchange.trades(world.alice)[-1]
    assert fill.realised == 300
    assert world.exchange.trades(world.bob)[-1].realised == -300
    assert world.exchange.positions(world.alice) == []
    fees = sum(fill.fee for fill in world.exchange.trades(world.alice))
    assert world.total(world.alice, "USDT", "linear") == 10_300 - fees


def test_position_flips_through_zero(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    trade(world, world.bob, world.alice, "0.3", "61000")
    position = world.exchange.position(world.alice, ID)
    assert (position.size, position.entry_price, position.realised) == (Decimal("-0.2"), 61_000, 100)


def test_unrealised_profit_follows_the_mark(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    world.mark("61000")
    margin = world.exchange.margin(world.alice, "USDT")
    assert margin.unrealised == 100
    assert margin.margin_balance == margin.wallet_balance + 100
    assert margin.initial_margin == 305
    assert margin.maintenance_margin == Decimal("24.4")
    assert world.exchange.margin(world.bob, "USDT").unrealised == -100


def test_orders_use_initial_margin_at_the_leverage(world):
    world.mark("60000")
    world.exchange.set_leverage(world.alice, ID, 10)
    world.order(world.alice, "buy", "1", "60000", PERPETUAL)
    assert world.exchange.margin(world.alice, "USDT").available == 4_000
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.alice, "buy", "1", "60000", PERPETUAL)
    world.order(world.alice, "sell", "0.9", "60001", PERPETUAL)  # the other side needs no more than the larger one
    world.exchange.cancel_all(world.alice)
    assert world.exchange.margin(world.alice, "USDT").available == 10_000


def test_leverage_has_bounds_and_must_be_affordable(world):
    world.mark("60000")
    for leverage in (0, 126):
        with pytest.raises(errors.LeverageRejected):
            world.exchange.set_leverage(world.alice, ID, leverage)
    world.exchange.set_leverage(world.alice, ID, 20)
    world.order(world.alice, "buy", "2", "60000", PERPETUAL)
    with pytest.raises(errors.LeverageRejected):
        world.exchange.set_leverage(world.alice, ID, 2)
    assert world.exchange.leverage(world.alice, ID) == 20


def test_opening_at_a_loss_needs_that_loss_too(world):
    world.mark("60000")
    world.exchange.set_leverage(world.alice, ID, 125)
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.alice, "buy", "1", "75000", PERPETUAL)


def test_wallets_are_separate_and_money_moves_by_transfer(world):
    world.exchange.transfer(world.alice, "USDT", Decimal(1000), "spot", "linear")
    assert world.total(world.alice, "USDT", "linear") == 11_000
    assert world.total(world.alice, "USDT") == 99_000
    trade(world, world.alice, world.bob, "1", "60000")
    free = world.free(world.alice, "USDT", "linear")
    with pytest.raises(errors.InsufficientBalance):
        world.exchange.transfer(world.alice, "USDT", free + 1, "linear", "spot")


def test_unified_account_shares_one_wallet():
    world = World(unified=True)
    trade(world, world.alice, world.bob, "1", "60000")
    assert world.free(world.alice, "USDT") == world.free(world.alice, "USDT", "linear")
    assert world.free(world.alice, "USDT") < 110_000 - 2_900
    with pytest.raises(errors.InsufficientBalance):
        world.order(world.alice, "buy", "1.8", "60000")
    assert world.money() == world.deposited


# reduce-only


def test_reduce_only_needs_a_position_to_reduce(world):
    with pytest.raises(errors.ReduceOnlyRejected):
        world.order(world.alice, "sell", "0.1", "60000", PERPETUAL, reduce_only=True)
    trade(world, world.alice, world.bob, "0.1", "60000")
    with pytest.raises(errors.ReduceOnlyRejected):
        world.order(world.alice, "buy", "0.1", "60000", PERPETUAL, reduce_only=True)


def test_reduce_only_is_cut_to_the_position(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    order = world.order(world.alice, "sell", "0.5", "60000", PERPETUAL, reduce_only=True)
    assert order.quantity == Decimal("0.1")
    world.order(world.bob, "buy", "0.5", "60000", PERPETUAL)
    assert order.status is OrderStatus.FILLED
    assert size(world, world.alice) == 0


def test_reduce_only_orders_shrink_and_go_with_the_position(world):
    trade(world, world.alice, world.bob, "0.3", "60000")
    resting = world.order(world.alice, "sell", "0.3", "65000", PERPETUAL, reduce_only=True)
    trade(world, world.bob, world.alice, "0.2", "60000")
    assert resting.left == Decimal("0.1")
    trade(world, world.bob, world.alice, "0.1", "60000")
    assert (resting.status, resting.reason) == (OrderStatus.EXPIRED, Reason.REDUCE_ONLY)


def test_one_sweep_through_two_reduce_only_orders_never_flips_their_owner(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    first = world.order(world.alice, "sell", "0.1", "60100", PERPETUAL, reduce_only=True)
    second = world.order(world.alice, "sell", "0.1", "60200", PERPETUAL, reduce_only=True)
    world.order(world.carol, "sell", "0.1", "60300", PERPETUAL)
    taker = world.order(world.bob, "buy", "0.2", "60300", PERPETUAL)
    assert (first.status, second.status) == (OrderStatus.FILLED, OrderStatus.EXPIRED)
    assert taker.average_price == 60_200  # one from alice at 60100, one from carol at 60300
    assert size(world, world.alice) == 0


def test_a_plain_sale_ahead_of_a_reduce_only_order_takes_its_position_away(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    world.order(world.alice, "sell", "0.1", "60100", PERPETUAL)
    second = world.order(world.alice, "sell", "0.1", "60200", PERPETUAL, reduce_only=True)
    world.order(world.bob, "buy", "0.2", "60200", PERPETUAL)
    assert second.status is OrderStatus.EXPIRED
    assert size(world, world.alice) == 0


def test_amending_a_reduce_only_order_beyond_its_position_is_refused(world):
    trade(world, world.alice, world.bob, "0.1", "60000")
    order = world.order(world.alice, "sell", "0.1", "65000", PERPETUAL, reduce_only=True)
    with pytest.raises(errors.ReduceOnlyRejected):
        world.exchange.amend(world.alice, ID, order_id=order.id, quantity=Decimal("0.2"))
    assert order.quantity == Decimal("0.1")


def test_close_position_stop_closes_whatever_is_there(world):
    trade(world, world.alice, world.bob, "0.3", "60000")
    world.mark("60000")
    stop = world.order(
        world.alice, "sell", "0", None, PERPETUAL, type=OrderType.STOP_MARKET, trigger_price=Decimal(59_000),
        trigger_by=Trigger.MARK, close_position=True,
    )  # fmt: skip
    trade(world, world.alice, world.bob, "0.1", "60000")
    world.order(world.bob, "buy", "1", "58900", PERPETUAL)
    world.mark("59000")
    assert (stop.status, stop.filled) == (OrderStatus.FILLED, Decimal("0.4"))
    assert size(world, world.alice) == 0


def test_mark_triggers_ignore_the_last_price(world):
    world.mark("60000")
    trade(world, world.carol, world.bob, "0.01", "60000")
    world.order(world.carol, "sell", "0.1", "61000", PERPETUAL)
    by_mark = world.order(
        world.alice, "buy", "0.05", None, PERPETUAL, type=OrderType.STOP_MARKET, trigger_price=Decimal(60_500),
        trigger_by=Trigger.MARK,
    )  # fmt: skip
    trade(world, world.bob, world.carol, "0.01", "60600")
    assert by_mark.status is OrderStatus.UNTRIGGERED
    world.mark("60500")
    assert by_mark.status is OrderStatus.FILLED


def test_a_stop_without_margin_expires_when_it_fires(world):
    world.mark("60000")
    world.order(world.carol, "sell", "2", "61000", PERPETUAL)
    stop = world.order(
        world.alice, "buy", "2", None, PERPETUAL, type=OrderType.STOP_MARKET, trigger_price=Decimal(60_500),
        trigger_by=Trigger.MARK,
    )  # fmt: skip
    world.exchange.withdraw(world.alice, "linear", "USDT", Decimal(9_999))
    world.mark("60500")
    assert (stop.status, stop.reason) == (OrderStatus.EXPIRED, Reason.INSUFFICIENT_BALANCE)


# funding


def test_funding_moves_from_longs_to_shorts_when_due(world):
    trade(world, world.alice, world.bob, "1", "60000")
    before = world.total(world.alice, "USDT", "linear"), world.total(world.bob, "USDT", "linear")
    world.mark("60000", funding_rate="0.0001", next_funding_ms=world.now_ms + 1000)
    world.now_ms += 1000
    world.exchange.advance()
    after = world.total(world.alice, "USDT", "linear"), world.total(world.bob, "USDT", "linear")
    assert (after[0] - before[0], after[1] - before[1]) == (-6, 6)
    assert world.exchange.mark_price(ID).next_funding_ms == world.now_ms + 8 * 3_600_000
    updates = [update for update in world.heard_of(AccountUpdate) if update.reason == "funding"]
    told = {update.account: update.difference for update in updates}
    assert told == {"alice": -6 * 10**18, "bob": 6 * 10**18, "insurance": 0}
    assert world.money() == world.deposited


def test_negative_funding_moves_from_shorts_to_longs_and_missed_payments_are_made_up(world):
    trade(world, world.alice, world.bob, "1", "60000")
    before = world.total(world.alice, "USDT", "linear")
    world.mark("60000", funding_rate="-0.0001", next_funding_ms=world.now_ms + 1000)
    world.now_ms += 1000 + 8 * 3_600_000
    world.exchange.advance()
    assert world.total(world.alice, "USDT", "linear") - before == 12


# liquidation


def liquidate(world: World, bid: str, mark: str) -> None:
    trade(world, world.alice, world.bob, "3", "60000")
    world.order(world.carol, "buy", "2", bid, PERPETUAL)
    world.mark(mark)


def test_liquidation_closes_at_the_market_and_leaves_the_rest_of_the_money(world):
    world.exchange.set_leverage(world.alice, ID, 100)
    trade(world, world.alice, world.bob, "1", "60000")
    world.order(world.carol, "buy", "1", "50100", PERPETUAL)
    resting = world.order(world.alice, "buy", "0.01", "30000", PERPETUAL)
    threshold = world.exchange.position(world.alice, ID).liquidation_price
    world.mark(str(threshold + PERPETUAL.tick_size))
    assert size(world, world.alice) == 1
    world.mark(str(threshold - PERPETUAL.tick_size))
    assert size(world, world.alice) == 0
    assert (resting.status, resting.reason) == (OrderStatus.CANCELLED, Reason.LIQUIDATION)
    closing = world.exchange.orders(world.alice)[-1]
    assert closing.is_liquidation
    assert closing.average_price == 50_100
    assert 0 < world.total(world.alice, "USDT", "linear") < 100
    assert world.money() == world.deposited


def test_bankruptcy_is_covered_by_the_insurance(world):
    liquidate(world, bid="56000", mark="56500")
    assert size(world, world.alice) == 0
    assert world.total(world.alice, "USDT", "linear") == 0
    insurance = world.exchange.account("insurance")
    assert size(world, insurance) == 1, "what the book could not take"
    assert world.exchange.balance(insurance, "linear", "USDT").total < 0
    assert world.money() == world.deposited


def test_liquidation_into_an_empty_book_hands_over_at_the_mark(world):
    trade(world, world.alice, world.bob, "3", "60000")
    world.mark("56500")
    closing = world.exchange.orders(world.alice)[-1]
    assert (closing.status, closing.average_price) == (OrderStatus.FILLED, 56_500)
    assert size(world, world.exchange.account("insurance")) == 3


def test_short_positions_are_liquidated_when_the_mark_rises(world):
    trade(world, world.alice, world.bob, "3", "60000")
    world.mark("63200")
    assert size(world, world.bob) == 0
    assert size(world, world.alice) == 3
    assert world.money() == world.deposited


def test_a_unified_account_loses_its_spot_orders_too():
    world = World(unified=True)
    world.exchange.withdraw(world.alice, "spot", "USDT", Decimal(98_000))
    trade(world, world.alice, world.bob, "3", "60000")
    spot = world.order(world.alice, "buy", "0.01", "50000")
    world.mark("55000")
    assert (spot.status, spot.reason) == (OrderStatus.CANCELLED, Reason.LIQUIDATION)
    assert world.exchange.balance(world.alice, "spot", "USDT").locked == 0


def test_unlimited_accounts_are_never_liquidated(world):
    maker = world.exchange.open_account("maker", unlimited=True, history_max=0)
    trade(world, maker, world.bob, "3", "60000")
    world.mark("30000")
    assert size(world, maker) == 3
    assert world.exchange.trades(maker) == []


def test_own_orders_do_not_stand_in_the_way_of_a_reduction(world):
    trade(world, world.alice, world.bob, "0.2", "60000")
    world.order(world.alice, "buy", "0.1", "60000", PERPETUAL)
    order = world.order(
        world.alice, "sell", "0.2", "60000", PERPETUAL, reduce_only=True, self_trade=SelfTrade.EXPIRE_MAKER
    )
    assert order.is_open
    assert order.filled == 0


def test_position_arithmetic_is_exact_where_thirds_are_not():
    position = Position(PERPETUAL)
    position.apply(3, 10)
    profits = [position.apply(-1, 4), position.apply(-1, 4), position.apply(-1, 4)]
    assert sum(profits) == 2
    assert (position.size, position.cost) == (0, 0)


def test_side_names_are_plain():
    assert (Side.BUY, Side.SELL) == ("buy", "sell")
