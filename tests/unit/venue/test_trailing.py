"""Trailing stops inside the venue: they follow, never loosen, fire once, and live through a restart."""

from decimal import Decimal
from itertools import count
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue import errors
from feeds.venue.events import Change, OrderUpdate
from feeds.venue.halls import Halls
from feeds.venue.orders import NewOrder, OrderStatus, OrderType, Side, Trigger
from patriot.domain.listing import instruments
from patriot.protocols.market import Quote, Trade
from tests.unit.venue.world import PERPETUAL, World

pytestmark = pytest.mark.requirement("P9")

ACCOUNT = UUID(int=77)
NUMBERS = count(1)


def move(exchange, price, time_ms=0):
    """Quotes a unit around the price, then a trade at it."""
    (listed,) = (one for one in exchange.instruments if one.id == PERPETUAL.id)
    units, number = listed.price_units(Decimal(price)), next(NUMBERS)
    exchange.external_quote(Quote(PERPETUAL.id, units - 1, 10**6, units + 1, 10**6, number, time_ms))
    exchange.external_trade(Trade(PERPETUAL.id, units, 1, True, str(number), time_ms))


@pytest.fixture
def world():
    made = World()
    move(made.exchange, "60000")
    return made


def trail(world, side="sell", rate="0.01", **more):
    return world.order(
        world.alice, side, "0.1", None, PERPETUAL,
        **{"type": OrderType.TRAILING_STOP, "callback_rate": Decimal(rate), **more},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("side", "prices", "waits", "fires"),
    [
        ("sell", ("61000", "60500", "62000", "61500"), "61380.1", "61380"),
        ("sell", (), "59400.1", "59400"),
        ("buy", ("59000", "59500", "58000"), "58579.9", "58580"),
        ("buy", ("59000", "58999.9"), "59589.8", "59589.9"),
    ],
)
def test_stop_follows_the_best_price_and_fires_behind_it(world, side, prices, waits, fires):
    order = trail(world, side)
    for price in (*prices, waits):
        move(world.exchange, price)
    assert order.status is OrderStatus.UNTRIGGERED
    move(world.exchange, fires)
    assert order.status is OrderStatus.FILLED
    changes = [one.change for one in world.heard_of(OrderUpdate) if one.order.id == order.id]
    assert changes == [Change.NEW, Change.TRIGGERED, Change.TRADE]


@pytest.mark.parametrize(
    ("side", "before", "there", "fires"),
    [
        ("sell", ("60999.9", "55000", "60999.9"), "61000", "60390"),
        ("buy", ("59000.1", "65000", "59000.1"), "58900", "59489"),
    ],
)
def test_stop_waits_for_its_activation(world, side, before, there, fires):
    order = trail(world, side, activation_price=Decimal(61_000 if side == "sell" else 59_000))
    for price in before:
        move(world.exchange, price)
    assert order.best_units == 0
    move(world.exchange, there)
    assert PERPETUAL.price_of(order.best_units) == Decimal(there)
    move(world.exchange, fires)
    assert order.status is OrderStatus.FILLED


def test_stop_may_follow_the_mark_price(world):
    world.mark("60000")
    order = trail(world, trigger_by=Trigger.MARK)
    move(world.exchange, "50000")
    assert order.status is OrderStatus.UNTRIGGERED
    world.mark("61000")
    world.mark("60390")
    assert order.status is OrderStatus.FILLED


def test_stop_before_any_price_begins_with_the_first():
    world = World()
    order = trail(world)
    move(world.exchange, "60000")
    move(world.exchange, "59400")
    assert order.status is OrderStatus.FILLED


def test_reduce_only_stop_closes_the_position_and_no_more(world):
    world.order(world.alice, "buy", "0.04", None, PERPETUAL)
    order = trail(world, reduce_only=True)
    move(world.exchange, "59400")
    assert (order.status, order.filled) == (OrderStatus.FILLED, Decimal("0.04"))
    assert world.exchange.position(world.alice, PERPETUAL.id).size == 0


def test_cancelled_stop_never_fires(world):
    order = trail(world)
    world.exchange.cancel(world.alice, PERPETUAL.id, order_id=order.id)
    move(world.exchange, "50000")
    assert (order.status, order.filled_units) == (OrderStatus.CANCELLED, 0)


def test_stop_can_be_made_smaller_and_its_trigger_is_its_own(world):
    order = trail(world)
    world.exchange.amend(world.alice, PERPETUAL.id, order_id=order.id, quantity=Decimal("0.05"))
    with pytest.raises(errors.InvalidRequest, match="trigger_price"):
        world.exchange.amend(world.alice, PERPETUAL.id, order_id=order.id, trigger_price=Decimal(59_000))
    move(world.exchange, "59400")
    assert order.filled == Decimal("0.05")


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"side": "sell", "activation_price": Decimal(60_000)}, errors.WouldTriggerImmediately),
        ({"side": "buy", "activation_price": Decimal(60_000)}, errors.WouldTriggerImmediately),
        ({"activation_price": Decimal("61000.05")}, errors.FilterFailure),
        ({"rate": "0"}, errors.InvalidRequest),
        ({"rate": "1"}, errors.InvalidRequest),
        ({"trigger_price": Decimal(59_000)}, errors.InvalidRequest),
        ({"close_position": True, "quantity": Decimal(0)}, errors.InvalidRequest),
        ({"type": OrderType.STOP_MARKET, "trigger_price": Decimal(59_000)}, errors.InvalidRequest),
        ({"type": OrderType.MARKET, "rate": "0", "activation_price": Decimal(61_000)}, errors.InvalidRequest),
    ],
)
def test_what_makes_no_sense_is_refused(world, changes, refusal):
    fields = dict(changes)
    quantity = fields.pop("quantity", Decimal("0.1"))
    request = NewOrder(
        instrument_id=PERPETUAL.id,
        side=Side(fields.pop("side", "sell")),
        quantity=quantity,
        **{"type": OrderType.TRAILING_STOP, "callback_rate": Decimal(fields.pop("rate", "0.01")), **fields},
    )
    with pytest.raises(refusal):
        world.exchange.create(world.alice, request)
    assert world.exchange.open_orders(world.alice) == []


PRICES = st.lists(st.integers(590_000, 610_000), min_size=1, max_size=40)


@given(PRICES, st.lists(st.tuples(st.sampled_from(["buy", "sell"]), st.integers(1, 100)), min_size=1, max_size=6))
def test_each_stop_fires_at_the_first_price_that_has_come_back_far_enough(prices, wishes):
    """Against the plainest reading of the rule, one stop at a time, in exact fractions."""
    world = World()
    move(world.exchange, "60000")
    orders = [trail(world, side, str(Decimal(rate) / 10_000)) for side, rate in wishes]
    bests = [600_000] * len(orders)
    for price in prices:
        move(world.exchange, PERPETUAL.price_of(price))
        for number, (side, rate) in enumerate(wishes):
            if orders[number].triggered_ms and bests[number] is None:
                continue
            bests[number] = (max if side == "sell" else min)(bests[number], price)
            gone = (bests[number] - price if side == "sell" else price - bests[number]) * 10_000
            due = gone >= bests[number] * rate
            assert bool(orders[number].triggered_ms) == due
            if due:
                bests[number] = None


def test_restart_keeps_where_the_stop_stands(tmp_path):
    clock = [1_700_000_000_000]
    made = _open(tmp_path, clock)
    exchange, account = made["BINANCE"], made["BINANCE"].account(str(ACCOUNT))
    made.deposit(ACCOUNT, "USDT", Decimal(10_000), "deposit-1")
    move(exchange, "60000")
    request = NewOrder(
        instrument_id=PERPETUAL.id, side=Side.SELL, type=OrderType.TRAILING_STOP, quantity=Decimal("0.01"),
        callback_rate=Decimal("0.01"), client_order_id="trails",
    )  # fmt: skip
    order = exchange.create(account, request)
    clock[0] += 1500
    move(exchange, "62000")
    made.close()
    again = _open(tmp_path, clock)
    exchange = again["BINANCE"]
    order = exchange.order(exchange.account(str(ACCOUNT)), PERPETUAL.id, client_order_id="trails")
    move(exchange, "61380.1")
    assert order.status is OrderStatus.UNTRIGGERED
    move(exchange, "61380")
    assert (order.status, order.filled) == (OrderStatus.FILLED, Decimal("0.01"))
    again.close()


def _open(folder, clock):
    made = Halls({"BINANCE": instruments("BINANCE")}, lambda: clock[0], folder)
    made.open("BINANCE", ACCOUNT, "key", "secret")
    made.listen()
    return made
