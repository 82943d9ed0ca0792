"""Decisions that take turns: each on top of the one before; a failure takes down what is on top of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import pytest

from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Aggregate, Change, Proposal
from patriot.runtime.edge import system_context
from patriot.store.api import Commit, StoreUnavailable
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged
from tests.support.host import TENANT, running_host

STREAM = UUID(int=7)


def count_up(count: int | None, event: Any, version: int, when: datetime) -> int:
    return (count or 0) + 1


COUNTED: Aggregate[int] = Aggregate("counter", count_up)


class Slow(MemoryStore):
    """Takes commits only when let, all that wait at once; `failures` of the first ones are raised instead."""

    def __init__(self) -> None:
        super().__init__()
        self.let = asyncio.Event()
        self.waiting = 0
        self.failures: list[Exception] = []

    async def commit(self, commit: Commit) -> Any:
        self.waiting += 1
        await self.let.wait()
        if self.failures:
            raise self.failures.pop(0)
        return await super().commit(commit)


def counting(context: RequestContext) -> Callable[[], Awaitable[Proposal[int]]]:
    async def propose() -> Proposal[int]:
        loaded = await context.load(COUNTED, STREAM, in_turn=True)
        event = UserProfileChanged(user_id=STREAM, telegram_id=loaded.version)
        return Proposal([Change(loaded, [event])], loaded.version + 1)

    return propose


async def decided(context: RequestContext, count: int) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(context.decide(counting(context), turn="counter")) for _ in range(count)]
    for _ in range(20 * count):
        await asyncio.sleep(0)
    return tasks


async def test_turns_do_not_wait_for_the_disk():
    store = Slow()
    async with running_host(store, feeds=()) as host:
        context = system_context(host.runtime, "auth", TENANT)
        tasks = await decided(context, 5)
        assert store.waiting == 5
        assert not any(task.done() for task in tasks)
        assert (await context.load(COUNTED, STREAM)).version == 0  # others see only what is durable
        store.let.set()
        assert [await task for task in tasks] == [1, 2, 3, 4, 5]
        assert store.waiting == 5  # nobody had to decide again
        assert (await context.load(COUNTED, STREAM)).state == 5


async def test_failed_commit_takes_down_what_is_on_top_of_it_and_they_decide_again():
    store = Slow()
    store.failures.append(StoreUnavailable("the disk is full"))
    async with running_host(store, feeds=()) as host:
        context = system_context(host.runtime, "auth", TENANT)
        tasks = await decided(context, 4)
        store.let.set()
        with pytest.raises(StoreUnavailable):
            await tasks[0]
        assert sorted([await task for task in tasks[1:]]) == [1, 2, 3]
        host.runtime.states.drop((await context.load(COUNTED, STREAM)).stream)
        assert (await context.load(COUNTED, STREAM)).version == 3


async def test_next_turn_after_a_failure_starts_from_what_is_durable():
    store = Slow()
    store.let.set()
    async with running_host(store, feeds=()) as host:
        context = system_context(host.runtime, "auth", TENANT)
        assert await context.decide(counting(context), turn="counter") == 1
        store.failures.append(StoreUnavailable("gone"))
        with pytest.raises(StoreUnavailable):
            await context.decide(counting(context), turn="counter")
        assert await context.decide(counting(context), turn="counter") == 2
        assert store.waiting == 3  # it did not even try on top of what had failed


async def test_refused_proposal_leaves_the_turn_to_the_next():
    store = Slow()
    store.let.set()
    async with running_host(store, feeds=()) as host:
        context = system_context(host.runtime, "auth", TENANT)

        async def refuse() -> Proposal[int]:
            raise ValueError("no")

        with pytest.raises(ValueError, match="no"):
            await context.decide(refuse, turn="counter")
        assert await context.decide(counting(context), turn="counter") == 1
