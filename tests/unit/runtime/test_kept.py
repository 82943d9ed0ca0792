"""Answers that are kept: for their time, and only until an event says otherwise."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from msgspec import Struct
from msgspec.structs import replace

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import MemoryState
from patriot.runtime.kept import forget, kept
from schemas.types import Message

ADA, EVE, TENANT = UUID(int=1), UUID(int=2), UUID(int=9)


class Figure(Message):
    value: int


@dataclass
class Source:
    """Counts how often it was asked."""

    value: int = 1
    asked: int = 0

    async def __call__(self, context):
        assert context.report is None
        self.asked += 1
        return Figure(value=self.value)


class Kitchen(Struct):
    runtime: SimpleNamespace
    tenant_id: UUID = TENANT
    event: SimpleNamespace | None = None
    report: object = "a report"


@pytest.fixture
def clock():
    return VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.fixture
def context(clock):
    return Kitchen(SimpleNamespace(state=MemoryState(clock)))


async def ask(context, source, user=ADA, seconds=30.0, name="portfolio"):
    return (await kept(context, name, user, Figure, make=source, seconds=lambda _: seconds)).value


@pytest.mark.requirement("P13")
@pytest.mark.parametrize("seconds", [30.0, 300.0])
async def test_answer_is_kept_for_its_time(context, clock, seconds):
    source = Source()
    assert await ask(context, source, seconds=seconds) == 1
    source.value = 2
    clock.advance_to(clock.now() + timedelta(seconds=seconds - 0.1))
    assert await ask(context, source, seconds=seconds) == 1
    clock.advance_to(clock.now() + timedelta(seconds=0.2))
    assert await ask(context, source, seconds=seconds) == 2
    assert source.asked == 2


@pytest.mark.requirement("P13")
async def test_event_makes_it_forgotten_for_its_user_only(context):
    source = Source()
    assert [await ask(context, source, user) for user in (ADA, EVE)] == [1, 1]
    source.value = 2
    await forget(replace(context, event=SimpleNamespace(id="e:1")), ADA)
    assert [await ask(context, source, user) for user in (ADA, EVE)] == [2, 1]


async def test_answer_that_was_made_before_the_event_is_not_kept_over_it(context):
    async def slow(_context):
        made = Figure(value=1)
        await forget(replace(context, event=SimpleNamespace(id="e:1")), ADA)  # while it was being made
        return made

    assert await ask(context, slow) == 1
    assert await ask(context, Source(2)) == 2


async def test_names_and_tenants_do_not_meet(context):
    assert await ask(context, Source(1), name="a") == 1
    assert await ask(context, Source(2), name="b") == 2
    assert await ask(replace(context, tenant_id=UUID(int=8)), Source(3), name="a") == 3
