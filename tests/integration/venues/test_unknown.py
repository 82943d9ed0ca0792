"""Cases 5 and 6: an order whose answer is lost is resolved by asking, and nothing is ever sent twice."""

from collections.abc import AsyncIterator
from decimal import Decimal
from itertools import count
from typing import Any

import pytest
import pytest_asyncio
from msgspec.structs import replace

from feeds.venue.faults import Fault, Rule
from patriot.domain.venue import Accepted, NotFound, OrderRef, OrderState, Rejected, Unknown, VenueOrder
from schemas.types import Trailing
from tests.integration.venues.world import ACCOUNTS, LINEAR, MARKETS, SHORT_SECONDS, SPOT, World, order, world

LOST = {
    Fault.TIMEOUT_BEFORE: False,
    Fault.TIMEOUT_AFTER: True,
    Fault.ERROR_BEFORE: False,
    Fault.ERROR_AFTER: True,
    Fault.DISCONNECT: False,
    Fault.DISCONNECT_AFTER: True,
}
"""Faults without an answer -> whether the venue carried the command out."""

REFUSED = (Fault.RATE_LIMITED, Fault.BANNED)
AT_THE_VENUE: dict[str, dict[str, Any]] = {
    "rejected": {"price": Decimal(60_010), "post_only": True},
    "open": {},
    "filled": {"price": Decimal(60_005), "time_in_force": "IOC"},
}
TRAILING: dict[str, Any] = {
    "order_type": "trailing_stop", "price": None, "side": "sell", "trailing": Trailing(distance=Decimal("0.1")),
}  # fmt: skip
SILENCE_SECONDS = 2.0
BREAKER_SECONDS = 60.0
TIMED_OUT_RUNS = 20
NUMBERS = count(1)

pytestmark = [pytest.mark.requirement("P7", "A5"), pytest.mark.asyncio(loop_scope="module")]
in_every_market = pytest.mark.parametrize(("venue", "symbol"), MARKETS)
in_every_state = pytest.mark.parametrize("state", AT_THE_VENUE)
lost_each_way = pytest.mark.parametrize(("fault", "runs"), LOST.items())


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared() -> AsyncIterator[World]:
    async with world(SHORT_SECONDS) as found:
        yield found


@pytest.fixture
def living(shared: World) -> World:
    """The one venue of this file, without faults, silence or requests of the test before."""
    shared.plan.clear()
    shared.clock.skip(BREAKER_SECONDS)
    shared.requests.clear()
    return shared


def new_order(venue: str, symbol: str, **changes: object) -> tuple[VenueOrder, OrderRef]:
    made = order(venue, symbol, f"lost-{next(NUMBERS)}", **changes)
    return made, OrderRef(made.account_id, made.instrument, made.client_order_id)


async def ask_both(living: World, ref: OrderRef) -> OrderState | NotFound | Unknown:
    """The adapter that sent the order, and one that has never heard of it."""
    answer = await living.adapter.query(ref)
    assert await living.restarted().query(ref) == answer
    return answer


def check(answer: OrderState | NotFound | Unknown, state: str) -> None:
    """That the venue's answer is what became of the order there."""
    if state == "rejected":
        ended = isinstance(answer, OrderState) and answer.status in {"cancelled", "rejected"} and not answer.executions
        assert ended or isinstance(answer, NotFound)
        return
    assert isinstance(answer, OrderState)
    assert answer.status == state
    assert sum(one.quantity for one in answer.executions) == (Decimal("0.002") if state == "filled" else 0)


@in_every_market
@in_every_state
@lost_each_way
async def test_order_without_an_answer_is_unknown_until_the_venue_is_asked(
    living: World, venue: str, symbol: str, state: str, fault: Fault, *, runs: bool
):
    sent, ref = new_order(venue, symbol, **AT_THE_VENUE[state])
    living.plan.add(Rule(fault, "create"))
    assert isinstance(await living.adapter.create(sent), Unknown)
    answer = await ask_both(living, ref)
    if runs:
        check(answer, state)
    else:
        assert answer == NotFound()
    assert living.creations == 1
    assert living.named(ref.instrument, ref.client_order_id) == (0 if answer == NotFound() else 1)


@pytest.mark.requirement("P9")
@lost_each_way
async def test_trailing_stop_without_an_answer_is_found_where_it_waits(living: World, fault: Fault, *, runs: bool):
    sent, ref = new_order("BINANCE", LINEAR, **TRAILING)
    living.plan.add(Rule(fault, "create"))
    assert isinstance(await living.adapter.create(sent), Unknown)
    answer = await ask_both(living, ref)
    if runs:
        check(answer, "open")
    else:
        assert answer == NotFound()
    assert (living.creations, living.named(ref.instrument, ref.client_order_id)) == (1, int(runs))


@pytest.mark.requirement("P9")
@lost_each_way
async def test_iceberg_without_an_answer_is_found_whole(living: World, fault: Fault, *, runs: bool):
    sent, ref = new_order("BINANCE", SPOT, quantity=Decimal("0.006"), display_quantity=Decimal("0.002"))
    living.plan.add(Rule(fault, "create"))
    assert isinstance(await living.adapter.create(sent), Unknown)
    answer = await ask_both(living, ref)
    if runs:
        check(answer, "open")
        assert isinstance(answer, OrderState)
        assert answer.quantity == Decimal("0.006"), "not what is shown of it"
    else:
        assert answer == NotFound()
    assert (living.creations, living.named(ref.instrument, ref.client_order_id)) == (1, int(runs))


@pytest.mark.requirement("P9")
async def test_trailing_stop_without_an_answer_that_has_fired_meanwhile_comes_back_with_its_executions():
    async with world(SHORT_SECONDS) as living:
        sent, ref = new_order("BINANCE", LINEAR, **TRAILING)
        living.plan.add(Rule(Fault.DISCONNECT_AFTER, "create"))
        assert isinstance(await living.adapter.create(sent), Unknown)
        living.fall(sent.instrument, 59_900)
        check(await ask_both(living, ref), "filled")
        assert (living.creations, living.named(ref.instrument, ref.client_order_id)) == (1, 1)


@in_every_market
@in_every_state
@pytest.mark.parametrize("fault", REFUSED)
async def test_order_turned_away_at_the_door_is_rejected_and_silence_kept(
    living: World, venue: str, symbol: str, state: str, fault: Fault
):
    sent, ref = new_order(venue, symbol, **AT_THE_VENUE[state])
    living.plan.add(Rule(fault, "create"))
    assert isinstance(await living.adapter.create(sent), Rejected)
    asked = len(living.requests)
    silent = await living.adapter.create(replace(sent, client_order_id=f"{sent.client_order_id}-again"))
    assert isinstance(silent, Rejected)
    assert silent.code == "silenced"
    assert isinstance(await living.adapter.query(ref), Unknown)
    assert len(living.requests) == asked, "nothing may be sent while the venue wants silence"
    living.clock.skip(SILENCE_SECONDS)
    assert await ask_both(living, ref) == NotFound()
    assert (living.creations, living.named(ref.instrument, ref.client_order_id)) == (1, 0)


@pytest.mark.parametrize("symbol", [SPOT, LINEAR])
async def test_filled_order_whose_answer_times_out_is_never_sent_again(living: World, symbol: str):
    asked = {SPOT: ["openOrders", "order", "myTrades"], LINEAR: ["openOrders", "openAlgoOrders", "order", "userTrades"]}
    living.plan.add(Rule(Fault.TIMEOUT_AFTER, "create", count=0))
    for _ in range(TIMED_OUT_RUNS // 2):
        sent, ref = new_order("BINANCE", symbol, order_type="market", price=None)
        assert isinstance(await living.adapter.create(sent), Unknown)
        before = len(living.requests)
        answer = await living.adapter.query(ref)
        assert [request.rpartition("/")[2] for request in living.requests[before:]] == asked[symbol]
        check(answer, "filled")
        assert living.named(ref.instrument, ref.client_order_id) == 1
    assert living.creations == TIMED_OUT_RUNS // 2


@in_every_market
@lost_each_way
async def test_cancel_without_an_answer_is_unknown_until_the_venue_is_asked(
    living: World, venue: str, symbol: str, fault: Fault, *, runs: bool
):
    sent, ref = new_order(venue, symbol)
    assert isinstance(await living.adapter.create(sent), Accepted)
    living.plan.add(Rule(fault, "cancel"))
    before = len(living.requests)
    assert isinstance(await living.adapter.cancel(ref), Unknown)
    assert len(living.requests) == before + 1
    answer = await ask_both(living, ref)
    assert isinstance(answer, OrderState)
    assert answer.status == ("cancelled" if runs else "open")


@in_every_market
@lost_each_way
async def test_change_without_an_answer_is_unknown_until_the_venue_is_asked(
    living: World, venue: str, symbol: str, fault: Fault, *, runs: bool
):
    sent, ref = new_order(venue, symbol, quantity=Decimal("0.004"))
    assert isinstance(await living.adapter.create(sent), Accepted)
    living.plan.add(Rule(fault, "amend"))
    before = len(living.requests)
    assert isinstance(await living.adapter.modify(ref, Decimal("0.002"), sent.price, "buy"), Unknown)
    assert sum(not request.startswith("GET") for request in living.requests[before:]) == 1
    answer = await ask_both(living, ref)
    assert isinstance(answer, OrderState)
    assert (answer.status, answer.quantity) == ("open", Decimal("0.002" if runs else "0.004"))


async def test_venue_that_never_answers_gets_no_new_orders_but_questions_and_cancels(living: World):
    kept, ref = new_order("BINANCE", SPOT)
    assert isinstance(await living.adapter.create(kept), Accepted)
    living.plan.add(Rule(Fault.ERROR_BEFORE, "create", count=0))
    outcomes = [await living.adapter.create(new_order("BINANCE", SPOT)[0]) for _ in range(7)]
    assert [type(outcome) for outcome in outcomes] == [Unknown] * 5 + [Rejected] * 2
    assert outcomes[-1].code == "venue_unavailable"
    assert living.creations == 1 + 5
    assert isinstance(await living.adapter.create(new_order("BINANCE", LINEAR)[0]), Unknown), (
        "another market, another door"
    )
    living.plan.clear()
    assert isinstance(await living.adapter.create(new_order("BYBIT", SPOT)[0]), Accepted), "another venue"
    assert isinstance(await living.adapter.cancel(ref), Accepted)
    assert not isinstance(await living.adapter.open_orders(ACCOUNTS["BINANCE"]), Unknown)
    assert isinstance(await living.adapter.create(new_order("BINANCE", SPOT)[0]), Accepted), (
        "an answer closes the breaker"
    )
