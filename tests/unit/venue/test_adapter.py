"""The exchange through the platform's adapter contract."""

from datetime import UTC, datetime
from decimal import Decimal
from uuid import UUID

import pytest

from feeds.venue.adapter import InProcessVenue
from feeds.venue.faults import Fault, FaultPlan, Rule
from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected, Unknown, VenueAdapter, VenueOrder
from tests.unit.venue.world import SPOT, START_MS, World

ALICE = UUID(int=1)


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def faults() -> FaultPlan:
    return FaultPlan()


@pytest.fixture
def venue(world, faults) -> VenueAdapter:
    return InProcessVenue(world.exchange, {ALICE: world.alice}.__getitem__, faults)


def order(**changes: object) -> VenueOrder:
    fields: dict[str, object] = {
        "account_id": ALICE, "instrument": SPOT.id, "client_order_id": "c1", "side": "buy", "order_type": "limit",
        "quantity": Decimal("0.1"), "price": Decimal(60_000),
    }  # fmt: skip
    return VenueOrder(**{**fields, **changes})


REF = OrderRef(ALICE, SPOT.id, "c1")


async def test_create_query_modify_cancel(venue):
    accepted = await venue.create(order())
    assert isinstance(accepted, Accepted)
    assert accepted.state.status == "open"
    modified = await venue.modify(REF, Decimal("0.2"), Decimal(59_000), "buy")
    assert isinstance(modified, Accepted)
    state = await venue.query(OrderRef(ALICE, SPOT.id, "", accepted.venue_order_id))
    assert (state.quantity, state.price, state.ref.client_order_id) == (Decimal("0.2"), 59_000, "c1")
    assert len(await venue.open_orders(ALICE)) == 1
    assert isinstance(await venue.cancel(REF), Accepted)
    assert (await venue.query(REF)).status == "cancelled"
    assert await venue.open_orders(ALICE) == []
    await venue.close()


async def test_fills_come_with_their_executions(world, venue):
    world.order(world.bob, "sell", "0.04", "59990")
    world.order(world.bob, "sell", "0.02", "60000")
    state = (await venue.create(order())).state
    assert (state.status, state.filled_quantity) == ("open", Decimal("0.06"))
    first, second = state.executions
    assert (first.trade_id, first.price, first.quantity, first.liquidity) == ("1", 59_990, Decimal("0.04"), "taker")
    assert (first.fee, first.fee_asset) == (Decimal("0.00004"), "BTC")
    assert second.trade_id == "2"
    assert first.time == datetime.fromtimestamp(START_MS / 1000, UTC)


async def test_refusals_are_proof(venue):
    rejected = await venue.create(order(price=Decimal("60000.001")))
    assert rejected == Rejected("FILTER_FAILURE", rejected.reason)
    assert (await venue.create(order(quantity=Decimal(100)))).code == "INSUFFICIENT_BALANCE"
    assert (await venue.cancel(REF)).code == "UNKNOWN_ORDER"
    assert (await venue.modify(REF, Decimal(1), None, "buy")).code == "UNKNOWN_ORDER"
    assert await venue.query(REF) == NotFound()
    assert (await venue.create(order(instrument="BINANCE:NO/NO"))).code == "UNKNOWN_INSTRUMENT"


@pytest.mark.parametrize(
    ("fault", "took_effect"),
    [
        (Fault.TIMEOUT_BEFORE, False),
        (Fault.TIMEOUT_AFTER, True),
        (Fault.ERROR_BEFORE, False),
        (Fault.ERROR_AFTER, True),
        (Fault.DISCONNECT, False),
        (Fault.DISCONNECT_AFTER, True),
    ],
)
async def test_a_lost_answer_is_unknown_until_asked(venue, faults, fault, took_effect):
    faults.add(Rule(fault, operation="create"))
    assert isinstance(await venue.create(order()), Unknown)
    found = await venue.query(REF)
    assert (found != NotFound()) == took_effect


async def test_rate_limits_are_proof_that_nothing_was_done(venue, faults):
    faults.add(Rule(Fault.RATE_LIMITED, operation="create"))
    assert (await venue.create(order())).code == "429"
    assert await venue.query(REF) == NotFound()


async def test_queries_can_fail_too(venue, faults):
    faults.add(Rule(Fault.TIMEOUT_BEFORE, operation="query", count=3))
    assert isinstance(await venue.query(REF), Unknown)
    assert isinstance(await venue.open_orders(ALICE), Unknown)
    assert isinstance(await venue.balances(ALICE), Unknown)


async def test_balances_sum_the_wallets(venue):
    await venue.create(order())
    found = {balance.asset: balance for balance in await venue.balances(ALICE)}
    assert (found["USDT"].total, found["USDT"].available) == (110_000, 104_000)
    assert found["BTC"].total == 2


async def test_order_types_and_expiry_are_passed_on(world, venue):
    later = datetime.fromtimestamp((START_MS + 1000) / 1000, UTC)
    accepted = await venue.create(order(time_in_force="GTD", expire_at=later, post_only=True))
    kept = world.exchange.order(world.alice, SPOT.id, order_id=int(accepted.venue_order_id))
    assert (kept.expire_ms, kept.post_only) == (START_MS + 1000, True)
    stop = await venue.create(order(client_order_id="c2", order_type="stop_limit", stop_price=Decimal(70_000)))
    assert stop.state.status == "open"
    world.now_ms += 1000
    world.exchange.advance()
    assert (await venue.query(REF)).status == "expired"


# the private stream

PLATFORM = UUID(int=7)


@pytest.fixture
def told(world, faults):
    """A platform account's venue and what its stream has told; bob sells what it buys."""
    world.customer(str(PLATFORM))
    venue = InProcessVenue(world.exchange, lambda account_id: world.exchange.account(str(account_id)), faults)
    heard: list[OrderState] = []
    venue.listen(heard.append)
    return venue, heard


async def test_stream_does_not_repeat_what_the_answer_tells(world, told):
    venue, heard = told
    world.order(world.bob, "sell", "0.04", "60000")
    accepted = await venue.create(order(account_id=PLATFORM))
    assert accepted.state.filled_quantity == Decimal("0.04")
    assert not heard
    world.order(world.bob, "sell", "0.06", "60000")
    (state,) = heard
    assert (state.status, len(state.executions)) == ("filled", 2)


async def test_stream_tells_what_the_lost_answer_would_have_told(world, told, faults):
    venue, heard = told
    world.order(world.bob, "sell", "0.1", "60000")
    faults.add(Rule(Fault.TIMEOUT_AFTER, operation="create"))
    assert isinstance(await venue.create(order(account_id=PLATFORM)), Unknown)
    assert [state.status for state in heard] == ["open", "filled"]


async def test_stream_tells_other_orders_that_a_command_fills(world, told):
    venue, heard = told
    world.customer(str(ALICE))
    await venue.create(order(account_id=PLATFORM))
    await venue.create(order(account_id=ALICE, client_order_id="c2", side="sell"))
    assert [(state.ref.account_id, state.status) for state in heard] == [(PLATFORM, "filled")]
