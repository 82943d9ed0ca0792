"""The adapter before the built-in venue: every kind of order, placed, changed, cancelled, and asked for after each."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected, VenueOrder
from schemas.types import Trailing
from tests.integration.venues.world import ACCOUNTS, LINEAR, MARKETS, SPOT, World, order, world

QUANTITY = Decimal("0.002")
TAKER_FEES = {
    ("BINANCE", SPOT): (Decimal("0.000002"), "BTC"),
    ("BYBIT", SPOT): (Decimal("0.000002"), "BTC"),
    ("BINANCE", LINEAR): (Decimal("0.060001"), "USDT"),
    ("BYBIT", LINEAR): (Decimal("0.0660011"), "USDT"),
}
"""Of 0.002 at 60,001: 0.1 % of what is bought on spot, 0.05 % and 0.055 % of the money on futures."""

CONDITIONAL: dict[str, dict[str, Any]] = {
    "stop": {"price": None, "stop_price": Decimal(61_000)},
    "stop_limit": {"price": Decimal(61_100), "stop_price": Decimal(61_000)},
    "take_profit": {"price": None, "stop_price": Decimal(59_000)},
    "take_profit_limit": {"price": Decimal(59_100), "stop_price": Decimal(59_000)},
}
NUMBERS = count(1)

pytestmark = [pytest.mark.requirement("P7"), pytest.mark.asyncio(loop_scope="module")]
in_every_market = pytest.mark.parametrize(("venue", "symbol"), MARKETS)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[World]:
    async with world() as found:
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def fresh() -> AsyncIterator[World]:
    """For tests that move the market."""
    async with world() as found:
        yield found


@pytest.fixture
def living(shared: World) -> World:
    shared.requests.clear()
    return shared


def new_order(venue: str, symbol: str, **changes: object) -> tuple[VenueOrder, OrderRef]:
    made = order(venue, symbol, f"order-{next(NUMBERS)}", **changes)
    return made, OrderRef(made.account_id, made.instrument, made.client_order_id)


async def placed(living: World, made: VenueOrder) -> OrderState:
    """The state with which a new order comes back; the venue tells the same when it is asked."""
    outcome = await living.adapter.create(made)
    assert isinstance(outcome, Accepted), outcome
    assert outcome.state is not None
    asked = await living.adapter.query(OrderRef(made.account_id, made.instrument, made.client_order_id))
    assert isinstance(asked, OrderState)
    assert replace(asked, time=None) == replace(outcome.state, time=None)
    assert asked.ref.venue_order_id == outcome.venue_order_id
    assert living.creations == 1
    return asked


@in_every_market
async def test_limit_order_rests_until_it_is_cancelled(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol)
    state = await placed(living, made)
    assert (state.status, state.quantity, state.filled_quantity) == ("open", QUANTITY, 0)
    assert (state.price, state.side, state.executions) == (Decimal(59_000), "buy", ())
    cancelled = await living.adapter.cancel(ref)
    assert isinstance(cancelled, Accepted)
    assert cancelled.state is not None
    assert cancelled.state.status == "cancelled"
    assert replace(cancelled.state, time=None) == replace(await living.adapter.query(ref), time=None)
    assert isinstance(await living.adapter.cancel(ref), Rejected), "what is over cannot be cancelled"


@in_every_market
@pytest.mark.parametrize(
    "kind",
    [
        {"order_type": "market", "price": None},
        {"price": Decimal(60_001), "time_in_force": "IOC"},
        {"price": Decimal(60_001), "time_in_force": "FOK"},
        {"price": Decimal(60_001)},
    ],
    ids=["market", "IOC", "FOK", "GTC"],
)
async def test_order_that_trades_at_once_comes_back_with_its_executions(
    living: World, venue: str, symbol: str, kind: dict[str, Any]
):
    state = await placed(living, new_order(venue, symbol, **kind)[0])
    assert (state.status, state.filled_quantity) == ("filled", QUANTITY)
    (execution,) = state.executions
    assert (execution.price, execution.quantity, execution.liquidity) == (Decimal(60_001), QUANTITY, "taker")
    assert (execution.fee, execution.fee_asset) == TAKER_FEES[venue, symbol]
    exchange = living.exchange(venue)
    (trade,) = exchange.trades(exchange.account(str(ACCOUNTS[venue])), state.ref.instrument)[-1:]
    assert trade.price == execution.price
    assert execution.trade_id


@in_every_market
async def test_ioc_order_takes_what_is_there_and_no_more(fresh: World, venue: str, symbol: str):
    made, _ = new_order(venue, symbol, price=Decimal(60_001), quantity=Decimal("1.2"), time_in_force="IOC")
    state = await placed(fresh, made)
    assert state.status in {"cancelled", "expired"}
    assert 0 < state.filled_quantity == sum(one.quantity for one in state.executions) <= 1


@in_every_market
async def test_ioc_order_that_meets_nothing_is_over(living: World, venue: str, symbol: str):
    state = await placed(living, new_order(venue, symbol, time_in_force="IOC")[0])
    assert state.status in {"cancelled", "expired"}
    assert state.filled_quantity == 0


@in_every_market
async def test_fok_order_that_cannot_be_filled_whole_does_nothing(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol, price=Decimal(60_001), quantity=Decimal("1.2"), time_in_force="FOK")
    outcome = await living.adapter.create(made)
    asked = await living.adapter.query(ref)
    if isinstance(outcome, Rejected):
        assert asked == NotFound()
    else:
        assert isinstance(asked, OrderState)
        assert asked.status in {"cancelled", "expired"}
        assert asked.filled_quantity == 0


@in_every_market
async def test_gtd_order_rests_where_the_venue_knows_it_and_is_never_sent_elsewhere(
    living: World, venue: str, symbol: str
):
    made, ref = new_order(venue, symbol, time_in_force="GTD", expire_at=datetime.now(UTC) + timedelta(minutes=20))
    outcome = await living.adapter.create(made)
    if (venue, symbol) == ("BINANCE", LINEAR):
        assert isinstance(outcome, Accepted)
        asked = await living.adapter.query(ref)
        assert isinstance(asked, OrderState)
        assert asked.status == "open"
    else:
        assert isinstance(outcome, Rejected)
        assert (outcome.code, living.creations) == ("not_supported", 0)


@in_every_market
async def test_post_only_order_rests_and_never_takes(living: World, venue: str, symbol: str):
    assert (await placed(living, new_order(venue, symbol, post_only=True)[0])).status == "open"
    made, ref = new_order(venue, symbol, post_only=True, price=Decimal(60_010))
    outcome, asked = await living.adapter.create(made), await living.adapter.query(ref)
    if isinstance(outcome, Rejected):
        assert asked == NotFound()
    else:
        assert isinstance(asked, OrderState)
        assert (asked.status, asked.executions) == ("cancelled", ())


@in_every_market
@pytest.mark.parametrize("order_type", CONDITIONAL)
async def test_conditional_order_waits_and_can_be_cancelled(living: World, venue: str, symbol: str, order_type: str):
    made, ref = new_order(venue, symbol, order_type=order_type, **CONDITIONAL[order_type])
    state = await placed(living, made)
    assert (state.status, state.filled_quantity) == ("open", 0)
    listed = await living.adapter.open_orders(made.account_id)
    assert isinstance(listed, list)
    assert [one.ref for one in listed if one.ref.client_order_id == ref.client_order_id] == [state.ref]
    cancelled = await living.adapter.cancel(ref)
    assert isinstance(cancelled, Accepted)
    assert cancelled.state is not None
    assert (cancelled.state.status, cancelled.state.filled_quantity) == ("cancelled", 0)


@pytest.mark.requirement("P9")
@in_every_market
@pytest.mark.parametrize(("side", "order_type"), [("buy", "stop"), ("sell", "take_profit")])
async def test_conditional_order_fires_when_the_price_gets_there(
    fresh: World, venue: str, symbol: str, side: str, order_type: str
):
    made, ref = new_order(
        venue, symbol, side=side, order_type=order_type, price=None, stop_price=Decimal(60_003), reduce_only=False
    )
    if side == "sell" and symbol == LINEAR:  # something to sell
        held = new_order(venue, symbol, order_type="market", price=None)[0]
        assert isinstance(await fresh.adapter.create(held), Accepted)
    assert isinstance(await fresh.adapter.create(made), Accepted)
    fresh.take(made.instrument, "buy", "2.5")
    state = await fresh.adapter.query(ref)
    assert isinstance(state, OrderState)
    assert (state.status, state.side, state.filled_quantity) == ("filled", side, QUANTITY)
    assert [one.quantity for one in state.executions] == [QUANTITY]


@pytest.mark.requirement("P9")
async def test_trailing_stop_rests_at_binance_fires_there_and_comes_back_with_its_executions(fresh: World):
    changes = {"order_type": "trailing_stop", "price": None, "side": "sell"}
    held = new_order("BINANCE", LINEAR, order_type="market", price=None)[0]
    assert isinstance(await fresh.adapter.create(held), Accepted)
    fresh.requests.clear()
    trailing = Trailing(distance=Decimal("0.1"))
    made, ref = new_order("BINANCE", LINEAR, **changes, trailing=trailing, reduce_only=True)
    state = await placed(fresh, made)
    assert (state.status, state.price, state.stop_price) == ("open", None, None)
    fresh.take(made.instrument, "buy", "2.5")
    asked = await fresh.adapter.query(ref)
    assert isinstance(asked, OrderState)
    assert replace(asked, time=None) == replace(state, time=None), "that it follows is nobody's news"
    fresh.fall(made.instrument, 59_942)  # 0.1 % below 60,003, which was the highest
    done = await fresh.adapter.query(ref)
    assert isinstance(done, OrderState)
    assert (done.status, done.filled_quantity) == ("filled", QUANTITY)
    assert sum(one.quantity for one in done.executions) == QUANTITY


@pytest.mark.requirement("P9")
async def test_iceberg_at_binance_shows_a_part_fills_whole_and_can_be_made_smaller(fresh: World):
    terms = {"quantity": Decimal("0.006"), "display_quantity": QUANTITY, "price": Decimal(60_000)}
    made, ref = new_order("BINANCE", SPOT, **terms)
    state = await placed(fresh, made)
    assert (state.status, state.quantity) == ("open", Decimal("0.006"))
    ((price, shown), *_) = fresh.exchange("BINANCE").book(made.instrument).bids
    (listed,) = (one for one in fresh.exchange("BINANCE").instruments if one.id == made.instrument)
    assert (listed.price_of(price), listed.quantity_of(shown)) == (Decimal(60_000), QUANTITY)
    assert isinstance(await fresh.adapter.modify(ref, Decimal("0.005"), Decimal(60_000), "buy"), Accepted)
    fresh.take(made.instrument, "sell", "0.003")
    asked = await fresh.adapter.query(ref)
    assert isinstance(asked, OrderState)
    assert (asked.status, asked.filled_quantity, len(asked.executions)) == ("open", Decimal("0.003"), 2)
    fresh.take(made.instrument, "sell", "1")
    asked = await fresh.adapter.query(ref)
    assert isinstance(asked, OrderState)
    assert (asked.status, asked.filled_quantity) == ("filled", Decimal("0.005"))


@pytest.mark.requirement("P9")
async def test_iceberg_of_too_many_parts_is_rejected_with_the_venues_filter(living: World):
    made, ref = new_order("BINANCE", SPOT, quantity=Decimal("0.011"), display_quantity=Decimal("0.001"))
    outcome = await living.adapter.create(made)
    assert isinstance(outcome, Rejected)
    assert (outcome.code, "ICEBERG_PARTS" in outcome.reason) == ("-1013", True)
    assert await living.adapter.query(ref) == NotFound()


@pytest.mark.parametrize(("venue", "symbol"), [one for one in MARKETS if one != ("BINANCE", SPOT)])
async def test_iceberg_is_never_sent_where_there_is_none(living: World, venue: str, symbol: str):
    outcome = await living.adapter.create(new_order(venue, symbol, display_quantity=Decimal("0.001"))[0])
    assert isinstance(outcome, Rejected)
    assert (outcome.code, living.creations) == ("not_supported", 0)


@pytest.mark.requirement("P9")
async def test_trailing_stop_at_binance_is_cancelled_and_never_changed(living: World):
    trailing = Trailing(distance=Decimal("1.5"), activation_price=Decimal(70_000))
    made, ref = new_order("BINANCE", LINEAR, order_type="trailing_stop", price=None, side="sell", trailing=trailing)
    state = await placed(living, made)
    listed = await living.adapter.open_orders(made.account_id)
    assert isinstance(listed, list)
    assert [one.ref for one in listed if one.ref.client_order_id == ref.client_order_id] == [state.ref]
    assert isinstance(await living.adapter.modify(ref, Decimal("0.001"), None, "sell"), Rejected)
    cancelled = await living.adapter.cancel(ref)
    assert isinstance(cancelled, Accepted)
    assert cancelled.state is not None
    assert (cancelled.state.status, cancelled.state.filled_quantity) == ("cancelled", 0)


@pytest.mark.requirement("P9")
@pytest.mark.parametrize(
    ("trailing", "code"),
    [
        ({"distance": Decimal("0.05")}, "-2007"),
        ({"distance": Decimal("10.5")}, "-2007"),
        ({"distance": Decimal(1), "activation_price": Decimal(50_000)}, "-2021"),
    ],
    ids=str,
)
async def test_trailing_stop_that_binance_does_not_take_is_rejected_with_its_code(
    living: World, trailing: dict[str, Decimal], code: str
):
    changes = {"order_type": "trailing_stop", "price": None, "side": "sell", "trailing": Trailing(**trailing)}
    made, ref = new_order("BINANCE", LINEAR, **changes)
    outcome = await living.adapter.create(made)
    assert isinstance(outcome, Rejected)
    assert outcome.code == code
    assert await living.adapter.query(ref) == NotFound()


@pytest.mark.parametrize(("venue", "symbol"), [one for one in MARKETS if one != ("BINANCE", LINEAR)])
async def test_trailing_stop_is_never_sent_where_there_is_none(living: World, venue: str, symbol: str):
    changes = {"order_type": "trailing_stop", "price": None, "trailing": Trailing(distance=Decimal(1))}
    outcome = await living.adapter.create(new_order(venue, symbol, **changes)[0])
    assert isinstance(outcome, Rejected)
    assert (outcome.code, living.creations) == ("not_supported", 0)


@in_every_market
async def test_change_keeps_the_order_and_its_id(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol, quantity=Decimal("0.004"))
    before = await placed(living, made)
    changed = await living.adapter.modify(ref, Decimal("0.003"), Decimal(59_000), "buy")
    assert isinstance(changed, Accepted)
    assert changed.venue_order_id == before.ref.venue_order_id
    by_venue_id = await living.adapter.modify(before.ref, QUANTITY, Decimal(59_000), "buy")
    assert isinstance(by_venue_id, Accepted)
    asked = await living.adapter.query(ref)
    assert isinstance(asked, OrderState)
    assert (asked.ref, asked.quantity, asked.price) == (before.ref, QUANTITY, Decimal(59_000))
    assert living.named(ref.instrument, ref.client_order_id) == 1


@in_every_market
async def test_change_of_the_price_is_made_or_refused_whole(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol)
    await placed(living, made)
    outcome = await living.adapter.modify(ref, Decimal("0.003"), Decimal("58000.1"), "buy")
    asked = await living.adapter.query(ref)
    assert isinstance(asked, OrderState)
    assert asked.status == "open"
    if (venue, symbol) == ("BINANCE", SPOT):  # an order there can only shrink
        assert isinstance(outcome, Rejected)
        assert (asked.quantity, asked.price) == (QUANTITY, Decimal(59_000))
    else:
        assert isinstance(outcome, Accepted)
        assert (asked.quantity, asked.price) == (Decimal("0.003"), Decimal("58000.1"))
    assert living.named(ref.instrument, ref.client_order_id) == 1


@in_every_market
async def test_change_of_a_resting_stop_is_made_or_refused_whole(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol, side="sell", order_type="stop", price=None, stop_price=Decimal(50_000))
    assert isinstance(await living.adapter.create(made), Accepted)
    outcome = await living.adapter.modify(ref, QUANTITY, None, "sell", Decimal(49_000))
    asked = await living.adapter.query(ref)
    assert isinstance(asked, OrderState)
    moves = venue == "BYBIT"  # Binance has no such request
    assert isinstance(outcome, Accepted if moves else Rejected)
    assert (asked.status, asked.stop_price) == ("open", Decimal(49_000 if moves else 50_000))


@in_every_market
async def test_commands_about_an_order_that_nobody_knows_are_rejected(living: World, venue: str, symbol: str):
    _, ref = new_order(venue, symbol)
    assert isinstance(await living.adapter.modify(ref, QUANTITY, Decimal(59_000), "buy"), Rejected)
    assert isinstance(await living.adapter.cancel(ref), Rejected)
    assert await living.adapter.query(ref) == NotFound()


@in_every_market
async def test_order_of_the_same_name_is_the_same_order(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol)
    first = await living.adapter.create(made)
    second = await living.adapter.create(made)
    assert isinstance(first, Accepted)
    assert isinstance(second, Accepted)
    assert first.venue_order_id == second.venue_order_id
    assert living.named(ref.instrument, ref.client_order_id) == 1


@in_every_market
async def test_order_without_money_is_rejected_with_the_venues_code(living: World, venue: str, symbol: str):
    made, ref = new_order(venue, symbol, quantity=Decimal(500))
    outcome = await living.adapter.create(made)
    assert isinstance(outcome, Rejected)
    assert outcome.code
    assert await living.adapter.query(ref) == NotFound()


@in_every_market
@pytest.mark.parametrize("figures", [{"quantity": Decimal("0.0020001")}, {"price": Decimal("59000.001")}], ids=str)
async def test_order_off_the_steps_is_never_sent(living: World, venue: str, symbol: str, figures: dict[str, Decimal]):
    """Ccxt would cut the figures and send another order than was asked for."""
    outcome = await living.adapter.create(new_order(venue, symbol, **figures)[0])
    assert isinstance(outcome, Rejected)
    assert (outcome.code, living.requests) == ("not_supported", [])


@pytest.mark.parametrize("venue", ACCOUNTS)
async def test_open_orders_are_those_of_all_markets_with_their_executions(fresh: World, venue: str):
    resting = {}
    for symbol in (SPOT, LINEAR):
        made, ref = new_order(venue, symbol, price=Decimal(60_000), quantity=Decimal("0.01"))
        assert isinstance(await fresh.adapter.create(made), Accepted)
        fresh.take(made.instrument, "sell", "0.004")
        resting[ref.client_order_id] = made
    listed = await fresh.adapter.open_orders(ACCOUNTS[venue])
    assert isinstance(listed, list)
    assert {one.ref.client_order_id: one.ref.instrument for one in listed} == {
        name: made.instrument for name, made in resting.items()
    }
    for one in listed:
        assert (one.status, one.filled_quantity) == ("open", Decimal("0.004"))
        assert [(trade.quantity, trade.liquidity) for trade in one.executions] == [(Decimal("0.004"), "maker")]


@pytest.mark.parametrize("venue", ACCOUNTS)
async def test_unified_wallet_is_counted_once(fresh: World, venue: str):
    for symbol in (SPOT, LINEAR):
        assert isinstance(await fresh.adapter.create(new_order(venue, symbol)[0]), Accepted)
        held = new_order(venue, symbol, order_type="market", price=None)[0]
        assert isinstance(await fresh.adapter.create(held), Accepted)
    told = await fresh.adapter.balances(ACCOUNTS[venue])
    exchange = fresh.exchange(venue)
    known = exchange.balances(exchange.account(str(ACCOUNTS[venue])), "linear")
    assert isinstance(told, list)
    assert {one.asset: (one.total, one.available) for one in told} == {
        one.asset: (one.total, one.free) for one in known
    }
    assert {one.asset for one in told} == {"BTC", "USDT"}
