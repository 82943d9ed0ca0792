"""Cases 5 and 6: the answer to a create is lost in eight ways, whatever the venue made of it, and at a restart.

The order stays without an end until the venue has proved one; it is resolved within 30 s of virtual time, asked for and
never sent again.
"""

import asyncio
from itertools import product
from typing import Any, NamedTuple

import pytest

from feeds.venue.faults import Fault, Rule
from patriot.domain.order_states import ENDED
from patriot.domain.venue import NotFound, Unknown
from patriot.runtime.clock import Clock
from tests.chaos.books import check_against_venue, check_books, check_once, check_order
from tests.chaos.world import World, limit_order, receipt, world

SEED = 20260105
RESOLVED_SECONDS_MAX = 30.0


class Failure(NamedTuple):
    """Rules of the venue's fault plan, or `delay_seconds`: the answer is lost and the order arrives that much later."""

    rules: tuple[Rule, ...] = ()
    delay_seconds: float = 0.0
    arrives: bool = True


FAILURES = {
    "no answer": Failure((Rule(Fault.TIMEOUT_AFTER, "create"),)),
    "dropped before the answer": Failure((Rule(Fault.DISCONNECT_AFTER, "create"),)),
    "500": Failure((Rule(Fault.ERROR_AFTER, "create", status=500),)),
    "503, and queries fail for a while": Failure(
        (Rule(Fault.ERROR_AFTER, "create", status=503), Rule(Fault.ERROR_BEFORE, "query", count=5))
    ),
    "no answer, then none to queries": Failure(
        (Rule(Fault.TIMEOUT_AFTER, "create"), Rule(Fault.TIMEOUT_BEFORE, "query", count=3))
    ),
    "no answer, late arrival": Failure(delay_seconds=4.0),
    "dropped before it left": Failure((Rule(Fault.DISCONNECT, "create"),), arrives=False),
    "502 of a proxy before the venue": Failure((Rule(Fault.ERROR_BEFORE, "create", status=502),), arrives=False),
}
TRUTHS = {"rejected": ("60000.1", True), "open": ("59000.0", False), "filled": ("60000.1", False)}
EXPECTED = {"rejected": "rejected", "open": "accepted", "filled": "filled"}


class LateVenue:
    """Loses the answer of each create; the order itself arrives `seconds` later."""

    def __init__(self, venue: Any, clock: Clock, seconds: float) -> None:
        self._venue, self._clock, self._seconds = venue, clock, seconds
        self._tasks: list[asyncio.Task[None]] = []

    async def create(self, order: Any) -> Unknown:
        async def arrive() -> None:
            await self._clock.sleep(self._seconds)
            await self._venue.create(order)

        self._tasks.append(asyncio.create_task(arrive()))
        return Unknown("timeout")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)


class Watch:
    """Remembers whether any query has been answered with the order's state."""

    def __init__(self, here: World) -> None:
        self._venue = here.venue
        self.proved = False

    async def query(self, ref: Any) -> Any:
        answer = await self._venue.query(ref)
        self.proved |= not isinstance(answer, (Unknown, NotFound))
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._venue, name)


@pytest.mark.requirement("P9")
@pytest.mark.parametrize(
    ("kind", "truth", "restart"),
    list(product(FAILURES, TRUTHS, (False, True))),
    ids=lambda value: str(value).replace(" ", "-"),
)
async def test_unknown_order_is_resolved_by_proof_alone(kind, truth, restart):
    failure, (price, post_only) = FAILURES[kind], TRUTHS[truth]
    async with world(SEED) as here:
        for rule in failure.rules:
            here.faults.add(rule)
        if failure.delay_seconds:
            here.venue = LateVenue(here.venue, here.clock, failure.delay_seconds)
        here.venue = watch = Watch(here)
        await here.restart()
        sent_at = here.clock.monotonic()
        body = limit_order(here.account_id, price, post_only=post_only)
        order_id = receipt(await here.insist("POST", "/orders", body, "one"))["order_id"]
        assert await here.until(lambda: bool(here.sent("create")))
        if restart:
            await here.restart()
        await resolved(here, order_id, watch)
        assert here.clock.monotonic() - sent_at <= RESOLVED_SECONDS_MAX
        assert await here.settle()
        order = await here.order(order_id)
        assert order.status == (EXPECTED[truth] if failure.arrives else "rejected")
        await check_all(here, order_id)


async def resolved(here: World, order_id: str, watch: Watch) -> None:
    """Let time pass until the order has a known state; never an end before there was proof of it."""
    while (order := await here.order(order_id)).status in {"pending", "submitted", "unknown"}:
        assert await here.step(), "nobody asks any more"
    if order.status in ENDED and not watch.proved:
        waited = order.updated_at - order.created_at
        assert (order.status, waited.total_seconds() > 6) == ("rejected", True), order


async def check_all(here: World, order_id: str) -> None:
    check_order(await here.order(order_id), here.exchange)
    await check_books(here.store)
    await check_against_venue(here.store, here.exchange, here.account_id)
    await check_once(here.store, 1)
    assert here.sent("create") == 1


@pytest.mark.requirement("P9")
async def test_filled_order_without_an_answer_is_never_sent_again():
    """Case 6: a hundred times, one after the other and in one world."""
    runs = 100
    async with world(SEED) as here:
        here.faults.add(Rule(Fault.TIMEOUT_AFTER, "create", count=0))
        ids = []
        for number in range(runs):
            body = limit_order(here.account_id, quantity="0.002")
            ids.append(receipt(await here.insist("POST", "/orders", body, f"order {number}"))["order_id"])
        assert await here.settle()
        for order_id in ids:
            order = await here.order(order_id)
            assert order.status == "filled"
            check_order(order, here.exchange)
        asked = {name for command, name in here.received if command == "query"}
        created = [name for command, name in here.received if command == "create"]
        assert len(created) == len(set(created)) == runs
        assert asked == set(created)
        await check_books(here.store)
        await check_against_venue(here.store, here.exchange, here.account_id)
    print(f"seed {SEED}: {runs} filled orders without an answer, 0 sent again, {runs} resolved by asking")
