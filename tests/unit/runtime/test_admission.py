"""New orders take turns and step back for what lessens risk; those who would wait in vain are turned away at once."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import orjson
import pytest

from patriot.runtime import discovery
from patriot.runtime.admission import (
    BACKLOG_SECONDS_MAX,
    PATIENCE_SECONDS,
    STEP_BACK_SECONDS,
    WAITING_PER_TURN,
    Admission,
    Pace,
)
from patriot.runtime.clock import SystemClock
from patriot.runtime.problem import ProblemError
from patriot.runtime.secured import SecuredRoute
from tests.support.host import Client, running_host

AT_ONCE = 3


class Clock(SystemClock):
    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return self.seconds


class Crowd:
    """Orders and cancels that begin when they are let, and end when told."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.admission = Admission(AT_ONCE, self.clock)
        self.begun: list[str] = []
        self.end = asyncio.Event()
        self.tasks: list[asyncio.Task[None]] = []

    async def order(self, name: str = "order") -> None:
        async with self.admission.turn():
            self.begun.append(name)
            await self.end.wait()

    async def cancel(self) -> None:
        with self.admission.first():
            self.begun.append("cancel")
            await self.end.wait()

    async def orders(self, count: int) -> None:
        self.tasks += [asyncio.create_task(self.order()) for _ in range(count)]
        await settle()

    async def refused(self) -> str:
        with pytest.raises(ProblemError) as refused:
            await self.order()
        assert refused.value.status == 503
        return refused.value.code


@asynccontextmanager
async def crowd() -> AsyncIterator[Crowd]:
    made = Crowd()
    yield made
    made.end.set()
    await asyncio.gather(*made.tasks, return_exceptions=True)
    assert not made.admission.waiting
    assert not made.admission._working, "every turn was given back"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.requirement("B13")
async def test_only_so_many_orders_are_worked_on_and_cancels_pass_them():
    async with crowd() as made:
        await made.orders(AT_ONCE + 5)
        assert (len(made.begun), made.admission.waiting) == (AT_ONCE, 5)
        made.tasks.append(asyncio.create_task(made.cancel()))
        await settle()
        assert made.begun[AT_ONCE:] == ["cancel"]
        made.end.set()
        await asyncio.gather(*made.tasks)
        assert len(made.begun) == AT_ONCE + 6


async def test_orders_begin_in_the_order_in_which_they_came():
    async with crowd() as made:
        await made.orders(AT_ONCE)
        made.tasks += [asyncio.create_task(made.order(str(number))) for number in range(5)]
        await settle()
        made.end.set()
        await asyncio.gather(*made.tasks)
        assert made.begun[AT_ONCE:] == ["0", "1", "2", "3", "4"]


@pytest.mark.requirement("B13")
async def test_order_steps_back_for_a_cancel_but_not_for_ever():
    async with crowd() as made:
        made.tasks.append(asyncio.create_task(made.cancel()))
        await settle()
        await made.orders(1)
        assert made.begun == ["cancel"]
        await asyncio.sleep(STEP_BACK_SECONDS * 3)
        assert made.begun == ["cancel", "order"]


@pytest.mark.requirement("B13")
async def test_queue_that_is_full_turns_orders_away_and_lets_cancels_pass():
    async with crowd() as made:
        await made.orders(AT_ONCE * (1 + WAITING_PER_TURN))
        assert await made.refused() == "overloaded"
        assert made.admission.waiting == AT_ONCE * WAITING_PER_TURN
        made.tasks.append(asyncio.create_task(made.cancel()))
        await settle()
        assert made.begun[-1] == "cancel"


@pytest.mark.requirement("B13")
async def test_order_is_turned_away_where_the_first_has_waited_long():
    async with crowd() as made:
        await made.orders(AT_ONCE + 1)
        made.clock.seconds += PATIENCE_SECONDS
        await made.orders(1)
        assert made.admission.waiting == 2
        made.clock.seconds += 0.001
        assert await made.refused() == "overloaded"


@pytest.mark.requirement("B13")
async def test_turn_that_comes_too_late_is_not_given():
    async with crowd() as made:
        await made.orders(AT_ONCE + 2)
        made.clock.seconds += PATIENCE_SECONDS / 2
        await made.orders(1)
        made.clock.seconds += PATIENCE_SECONDS / 2 + 0.001
        made.tasks[0].cancel()
        late = await asyncio.gather(*made.tasks[AT_ONCE : AT_ONCE + 2], return_exceptions=True)
        assert [one.code for one in late if isinstance(one, ProblemError)] == ["overloaded"] * 2
        await settle()
        assert len(made.begun) == AT_ONCE + 1, "who came later has the turn"


@pytest.mark.requirement("B13")
async def test_order_is_turned_away_where_those_before_are_not_moved_on():
    async with crowd() as made:
        made.admission.backlog_seconds = lambda: BACKLOG_SECONDS_MAX + 0.001
        assert await made.refused() == "overloaded"
        made.admission.backlog_seconds = lambda: BACKLOG_SECONDS_MAX
        await made.orders(1)
        assert made.begun == ["order"]


@pytest.mark.parametrize("turn_has_come", [False, True])
async def test_client_that_leaves_takes_no_turn_along(*, turn_has_come: bool):
    async with crowd() as made:
        await made.orders(AT_ONCE)
        leaves = asyncio.create_task(made.order("gone"))
        await settle()
        await made.orders(1)
        if turn_has_come:
            made.tasks[0].cancel()
            await asyncio.sleep(0)
            assert made.admission.waiting == 1, "the turn is on its way to who leaves"
        leaves.cancel()
        await asyncio.gather(leaves, return_exceptions=True)
        made.end.set()
        await asyncio.gather(*made.tasks, return_exceptions=True)
        assert made.begun == ["order"] * (AT_ONCE + 1)


def steady(seconds_per_order: Callable[[float], float], at_once_max: int = 32) -> float:
    pace = Pace(at_once_max, at_once_max)
    for _ in range(5_000):
        pace.learn(seconds_per_order(pace.at_once))
    return pace.at_once


@pytest.mark.requirement("B13")
async def test_client_that_leaves_while_it_steps_back_takes_no_turn_along():
    async with crowd() as busy:
        busy.tasks.append(asyncio.create_task(busy.cancel()))
        await settle()
        await busy.orders(1)
        busy.tasks[-1].cancel()
        await settle()
        assert busy.begun == ["cancel"]


async def test_client_that_leaves_in_the_moment_of_its_turn_leaves_it_to_the_next():
    async with crowd() as busy:
        await busy.orders(AT_ONCE + 2)
        busy.tasks[AT_ONCE].cancel()  # it has not run since: it still stands in the queue
        busy.admission.end()
        await settle()
        assert len(busy.begun) == AT_ONCE + 1
        busy.admission._working += 1  # the turn that was ended above was not its own


def test_pace_follows_what_the_machine_can_do():
    assert steady(lambda at_once: at_once / 2_000) == 32, "a fast machine works on all it may"
    assert 14 < steady(lambda at_once: at_once / 150) < 17, "a slow one on what it answers in 100 ms"
    assert steady(lambda _: 5.0) == Pace.AT_ONCE_MIN, "never on none"


@pytest.mark.requirement("B13", "C3")
async def test_refused_order_is_told_when_to_come_again_and_leaves_nothing():
    async with running_host(feeds=()) as host:
        user = await Client(host).register("ada")
        Admission.of(host.runtime).backlog_seconds = lambda: 60.0
        before = [event async for event in host.runtime.store.read()]
        answer = await user.call("POST", "/orders", {"account_id": "x"})
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert orjson.loads(answer.body)["code"] == "overloaded"
        assert (await user.call("POST", "/orders/cancel", {"account_id": "x"})).status == 422, "cancels pass"
        assert [event async for event in host.runtime.store.read()] == before


@pytest.mark.requirement("B13")
def test_routes_that_lessen_risk_go_first():
    routes = [
        route for part in discovery.functions() for route in part.router.routes if isinstance(route, SecuredRoute)
    ]
    assert {(*sorted(route.methods), route.path) for route in routes if route.first} == {
        ("DELETE", "/orders/{order_id}"),
        ("DELETE", "/order-lists/{list_id}"),
        ("POST", "/orders/cancel"),
        ("POST", "/positions/close"),
        ("POST", "/risk/halts/{scope}"),
        ("POST", "/risk/tenant-halts/{scope}"),
        ("POST", "/risk/platform-halt"),
    }
