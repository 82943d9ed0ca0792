"""Icebergs inside the venue: the public sees a part, the next one stands behind all others, and nothing is lost."""

from decimal import Decimal
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from feeds.venue import errors
from feeds.venue.events import Change, OrderUpdate
from feeds.venue.halls import Halls
from feeds.venue.orders import NewOrder, OrderStatus, OrderType, Side, TimeInForce
from feeds.venue.wire.binance_scale import Scale
from feeds.venue.wire.binance_spot_shapes import execution_report
from patriot.domain.listing import instruments
from patriot.protocols.market import BookDelta, Trade
from tests.unit.venue.world import PERPETUAL, SPOT, World

pytestmark = pytest.mark.requirement("P9")

ACCOUNT = UUID(int=77)
LOT = Decimal("0.001")


@pytest.fixture
def world():
    return World()


def iceberg(world, quantity="0.7", shown="0.3", side="sell", account=None, **more):
    owner = account or world.alice
    return world.order(owner, side, quantity, "60000", display_quantity=Decimal(shown), **more)


def level(world, side="asks"):
    """The public quantity at the best price."""
    levels = getattr(world.exchange.book(SPOT.id), side)
    return SPOT.quantity_of(levels[0][1]) if levels else 0


def test_public_sees_one_part_after_the_other(world):
    order = iceberg(world)
    assert world.free(world.alice, "BTC") == Decimal("1.3"), "held whole"
    for taken, shown in (("0.1", "0.2"), ("0.2", "0.3"), ("0.3", "0.1"), ("0.1", "0")):
        world.order(world.bob, "buy", taken, "60000")
        assert level(world) == Decimal(shown)
    assert order.status is OrderStatus.FILLED
    assert world.free(world.alice, "BTC") == Decimal("1.3")
    (first, *_) = world.heard_of(OrderUpdate)
    assert execution_report(first, Scale(SPOT))["F"] == "0.30000000"
    told = [quantity for delta in world.heard_of(BookDelta) for _, quantity in delta.asks]
    assert max(told) == SPOT.quantity_units(Decimal("0.3"))


def test_next_part_stands_behind_all_others_at_its_price(world):
    order = iceberg(world)
    other = world.order(world.carol, "sell", "0.2", "60000")
    world.order(world.bob, "buy", "0.2", "60000")
    assert (order.filled, other.filled) == (Decimal("0.2"), 0), "it keeps its place while its part lasts"
    world.order(world.bob, "buy", "0.2", "60000")
    assert (order.filled, other.filled) == (Decimal("0.3"), Decimal("0.1"))
    world.order(world.bob, "buy", "0.2", "60000")
    assert (order.filled, other.filled) == (Decimal("0.4"), Decimal("0.2"))


def test_one_taker_meets_all_parts_before_any_worse_price(world):
    order = iceberg(world)
    worse = world.order(world.carol, "sell", "1", "60001")
    taker = world.order(world.bob, "buy", "0.8", "60001")
    assert (order.filled, worse.filled, taker.filled) == (Decimal("0.7"), Decimal("0.1"), Decimal("0.8"))
    trades = [SPOT.quantity_of(one.quantity) for one in world.heard_of(Trade)]
    assert trades == [Decimal(one) for one in ("0.3", "0.3", "0.1", "0.1")]


def test_who_must_be_filled_whole_counts_on_what_is_hidden(world):
    iceberg(world)
    taker = world.order(world.bob, "buy", "0.7", "60000", time_in_force=TimeInForce.FOK)
    assert taker.status is OrderStatus.FILLED


def test_market_order_by_money_buys_what_is_hidden_too(world):
    iceberg(world)
    taker = world.order(world.bob, "buy", "0", quote_quantity=Decimal(36_000))
    assert taker.filled == Decimal("0.6")


def test_iceberg_that_crosses_takes_whole_and_rests_with_a_part(world):
    world.order(world.bob, "sell", "0.5", "60000")
    order = iceberg(world, "0.9", "0.1", "buy")
    assert order.filled == Decimal("0.5")
    assert level(world, "bids") == Decimal("0.1")


def test_flow_from_outside_meets_part_after_part(world):
    order = iceberg(world)
    units = SPOT.quantity_units
    world.exchange.external_trade(Trade(SPOT.id, 6_000_000, units(Decimal("0.5")), False, "1", world.now_ms))
    assert (order.filled, level(world)) == (Decimal("0.5"), Decimal("0.1"))


def test_smaller_iceberg_loses_what_is_hidden_first_and_keeps_its_place(world):
    order = iceberg(world)
    other = world.order(world.carol, "sell", "0.2", "60000")
    for quantity, shown in (("0.4", "0.5"), ("0.3", "0.5"), ("0.2", "0.4")):
        world.exchange.amend(world.alice, SPOT.id, order_id=order.id, quantity=Decimal(quantity))
        assert level(world) == Decimal(shown)
    world.order(world.bob, "buy", "0.2", "60000")
    assert (order.status, other.filled) == (OrderStatus.FILLED, 0)


def test_cancelled_iceberg_leaves_nothing_and_gives_all_back(world):
    order = iceberg(world)
    world.order(world.bob, "buy", "0.4", "60000")
    world.exchange.cancel(world.alice, SPOT.id, order_id=order.id)
    assert (level(world), world.free(world.alice, "BTC")) == (0, Decimal("1.6"))
    assert world.order(world.bob, "buy", "0.1", "60000").filled == 0


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({"display_quantity": Decimal("0.7")}, errors.InvalidRequest),
        ({"display_quantity": Decimal("0.069")}, errors.FilterFailure),
        ({"display_quantity": Decimal("0.300001")}, errors.FilterFailure),
        ({"display_quantity": Decimal(0)}, errors.FilterFailure),
        ({"time_in_force": TimeInForce.IOC}, errors.InvalidRequest),
        ({"instrument_id": PERPETUAL.id}, errors.InvalidRequest),
        ({"type": OrderType.STOP_LIMIT, "trigger_price": Decimal(70_000)}, errors.InvalidRequest),
    ],
)
def test_what_makes_no_sense_is_refused(world, changes, refusal):
    fields = {"instrument_id": SPOT.id, "type": OrderType.LIMIT, "display_quantity": Decimal("0.3")} | changes
    request = NewOrder(side=Side.SELL, quantity=Decimal("0.7"), price=Decimal(60_000), **fields)
    with pytest.raises(refusal):
        world.exchange.create(world.alice, request)


ORDERS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=6)


@given(ORDERS, st.lists(st.integers(1, 60), min_size=1, max_size=8))
def test_fills_come_in_the_order_of_the_plainest_model(orders, takers):
    """A queue of [owner, what it shows, what it hides, most that it shows]."""
    world, queue = World(), []
    for quantity, shown in orders:
        is_iceberg = shown < quantity <= shown * 10
        more = {"display_quantity": shown * LOT} if is_iceberg else {}
        made = world.order(world.alice, "sell", str(quantity * LOT), "60000", **more)
        part = shown if is_iceberg else quantity
        queue.append([made.id, part, quantity - part, part])
    expected = []
    for taker in takers:
        world.order(world.bob, "buy", str(taker * LOT), "60000", time_in_force=TimeInForce.IOC)
        while taker and queue:
            owner, shown, hidden, most = queue[0]
            taken = min(taker, shown)
            expected.append((owner, taken))
            taker -= taken  # noqa: PLW2901
            queue[0][1] -= taken
            if not queue[0][1]:
                queue.pop(0)
                if hidden:
                    queue.append([owner, min(most, hidden), hidden - min(most, hidden), most])
        assert level(world) == sum(one[1] for one in queue) * LOT
    updates = [one for one in world.heard_of(OrderUpdate) if one.change is Change.TRADE and one.fill.is_maker]
    assert [(one.order.id, one.fill.quantity / LOT) for one in updates] == expected


def test_restart_hides_what_was_hidden(tmp_path):
    for _ in range(2):  # the second is the restart
        made = Halls({"BINANCE": instruments("BINANCE")}, lambda: 1_700_000_000_000, tmp_path)
        made.open("BINANCE", ACCOUNT, "key", "secret")
        made.listen()
        exchange, account = made["BINANCE"], made["BINANCE"].account(str(ACCOUNT))
        if not exchange.open_orders(account):
            made.deposit(ACCOUNT, "USDT", Decimal(100_000), "deposit-1")
            request = NewOrder(
                instrument_id=SPOT.id, side=Side.BUY, type=OrderType.LIMIT, quantity=Decimal("0.7"),
                price=Decimal(60_000), display_quantity=Decimal("0.3"),
            )  # fmt: skip
            exchange.create(account, request)
        (order,) = exchange.open_orders(account)
        assert order.display_quantity == Decimal("0.3")
        ((_, quantity),) = exchange.book(SPOT.id).bids
        assert order.instrument.quantity_of(quantity) == Decimal("0.3")
        made.close()
