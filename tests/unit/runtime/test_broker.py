"""The embedded broker when things go wrong: failing consumers, a store that is down, messages that nobody can place."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import msgspec
import orjson
import pytest
from structlog.testing import capture_logs

from patriot.runtime import broker as module
from patriot.runtime.broker import Broker, BrokerLimits, Deliver
from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.delivery import Verdict
from patriot.store.api import PUBLIC_TENANT, Commit, Query, StoreUnavailable
from patriot.store.memory import MemoryStore
from schemas.reports import VenueReport
from schemas.topics import ORDER_STATUS
from tests.support.host import running_host


class Flaky(MemoryStore):
    """Refuses the next `failures` commits."""

    failures = 0

    async def commit(self, commit: Commit) -> Any:
        if self.failures:
            self.failures -= 1
            raise StoreUnavailable("down")
        return await super().commit(commit)


class Answers:
    """Delivers to nobody: gives the prepared answers, then SUCCESS. An exception is raised."""

    def __init__(self, *answers: Verdict | Exception) -> None:
        self.left = list(answers)
        self.calls = 0

    async def __call__(self, *_: object) -> Verdict:
        self.calls += 1
        answer = self.left.pop(0) if self.left else "SUCCESS"
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.0001)
    monkeypatch.setattr(module, "BACKOFF_SECONDS_MAX", 0.001)


@asynccontextmanager
async def running(deliver: Deliver, store: MemoryStore | None = None, attempts_max: int = 3) -> AsyncIterator[Broker]:
    made = Broker(
        deliver, store or MemoryStore(), SystemClock(), BrokerLimits(attempts_max=attempts_max, concurrency=1)
    )
    rule = {"match": 'event.type == "venue.report"', "path": "/events/order.status/venue.report"}
    made.subscribe("probe", [{"topic": ORDER_STATUS.name, "routes": {"rules": [rule]}}])
    made.start()
    try:
        yield made
    finally:
        await made.stop()


def message(number: int = 1, **changes: Any) -> CloudEvent:
    event = CloudEvent(
        id=f"m{number}",
        source="/test",
        type=VenueReport.TYPE,
        time=SystemClock().now(),
        data=msgspec.Raw(b"{}"),
        subject=str(number),
        tenantid=str(UUID(int=1)),
    )
    return msgspec.structs.replace(event, **changes)


async def dead(store: MemoryStore) -> list[dict[str, Any]]:
    return [dict(row) for row in await store.find(Query("dead_letters", None))]


@pytest.mark.requirement("A6", "B12")
@pytest.mark.parametrize("odd", [ConnectionError("gone"), "RETRY"])
async def test_failure_means_again_and_stops_no_worker(odd: Verdict | Exception):
    answers = Answers(odd)
    async with asyncio.timeout(5), running(answers) as broker:
        await broker.publish(ORDER_STATUS.name, message(1))
        await broker.publish(ORDER_STATUS.name, message(2))
        assert answers.calls == 3


@pytest.mark.requirement("A6")
async def test_dropped_message_is_dead_at_once():
    store, answers = MemoryStore(), Answers("DROP")
    async with asyncio.timeout(5), running(answers, store) as broker:
        await broker.publish(ORDER_STATUS.name, message())
    (row,) = await dead(store)
    assert (answers.calls, row["attempts"], row["id"]) == (1, 1, "probe:m1")
    assert orjson.loads(row["body"])["id"] == "m1"


async def test_message_on_a_route_that_its_part_does_not_have_is_dropped():
    async with running_host() as host:
        assert await host._deliver("order-routing", "/events/order.status/venue.report", message()) == "DROP"


@pytest.mark.requirement("A6")
async def test_dead_letter_that_cannot_be_written_stays_and_is_tried_again():
    store = Flaky()
    store.failures = 3
    answers = Answers(*(ConnectionError("gone") for _ in range(100)))
    async with asyncio.timeout(5), running(answers, store) as broker:
        await broker.publish(ORDER_STATUS.name, message())
    (row,) = await dead(store)
    assert row["attempts"] == 3 + 3, "three attempts, and one more for each refusal of the store"


async def test_outage_of_any_length_does_not_end_the_backoff():
    """2 ** attempts as a float ends at 1,024 attempts; the delivery must not."""
    store = Flaky()
    store.failures = 1_100
    answers = Answers(*(ConnectionError("gone") for _ in range(1_105)))
    with capture_logs():  # two thousand stack traces take longer than all the rest
        async with asyncio.timeout(30), running(answers, store) as broker:
            await broker.publish(ORDER_STATUS.name, message())
    assert len(await dead(store)) == 1


@pytest.mark.parametrize("tenant", ["", "nobody"])
async def test_dead_letter_of_no_tenant_lies_with_the_public_ones(tenant: str):
    store = MemoryStore()
    async with asyncio.timeout(5), running(Answers("DROP"), store) as broker:
        await broker.publish(ORDER_STATUS.name, message(tenantid=tenant))
        await broker.publish(ORDER_STATUS.name, message(2))
    assert {row["tenant_id"] for row in await dead(store)} == {PUBLIC_TENANT}


async def test_clients_go_first():
    """While many wait, stored events step back; they are delivered all the same."""
    answers = Answers()
    async with asyncio.timeout(5), running(answers) as broker:
        broker.waiting_clients = lambda: 1_000
        await broker.publish(ORDER_STATUS.name, *(message(number) for number in range(20)))
        assert answers.calls == 20
        assert broker.idle


async def test_stopped_broker_delivers_no_more():
    release: list[Callable[[], None]] = []

    async def hang(*_: object) -> Verdict:
        waiting: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        release.append(lambda: None)
        return await waiting

    async with running(hang) as broker:
        waiting = asyncio.create_task(broker.publish(ORDER_STATUS.name, message()))
        while not release:
            await asyncio.sleep(0)
    assert not waiting.done(), "nobody has handled it, so nobody may think so"
    waiting.cancel()
