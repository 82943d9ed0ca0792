"""Who is delivered first: those who move orders before read models, clients before both, and nobody waits for ever."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest
from msgspec import Raw

from patriot.runtime.broker import Broker, BrokerLimits
from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.delivery import Verdict
from patriot.runtime.lanes import SHOWING_EVERY, Delivery, Lane, LaneKey, Route, Tracker, Turns, Urgency
from patriot.store.api import Origin, RecordedEvent, StreamId
from patriot.store.memory import MemoryStore
from schemas.events import OrderCancelRequested, OrderRouted
from schemas.topics import ORDER_EVENTS

PATH = "/events/x"
RULES = [{"match": f'event.type == "{kind}"', "path": PATH} for kind in (OrderRouted.TYPE, OrderCancelRequested.TYPE)]
TENANT = UUID(int=1)
NOW = datetime(2026, 3, 1, tzinfo=UTC)


def lane(name: str, urgency: Urgency) -> LaneKey:
    return LaneKey("probe", name, urgency)


async def test_acting_lanes_go_first_but_do_not_starve_the_showing_ones():
    turns = Turns()
    numbers = range(SHOWING_EVERY * 2)
    for number in numbers:
        turns.put(lane(f"s{number}", Urgency.SHOWING), 0)
        turns.put(lane(f"a{number}", Urgency.ACTING), 0)
    taken = [(await turns.take()).subject for _ in range(SHOWING_EVERY * 4)]
    early = taken[: SHOWING_EVERY * 2]
    assert [name for name in early if name.startswith("s")] == ["s0", "s1"]
    assert early[SHOWING_EVERY - 1] == "s0"
    assert [name for name in taken if name.startswith("a")] == [f"a{number}" for number in numbers]
    assert sorted(taken) == sorted([f"a{n}" for n in numbers] + [f"s{n}" for n in numbers])


async def test_waiting_worker_gets_the_next_lane():
    turns = Turns()
    waiting = asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    turns.put(lane("a", Urgency.SHOWING), 0)
    assert (await waiting).subject == "a"


@pytest.mark.requirement("B13")
async def test_lanes_that_lessen_risk_go_before_all_others():
    turns = Turns()
    for number in range(4):
        turns.put(lane(f"a{number}", Urgency.ACTING), number)
    turns.put(lane("now", Urgency.ACTING), 5, first=True)
    turns.prefer(lane("a2", Urgency.ACTING))
    turns.prefer(lane("not here", Urgency.ACTING))
    assert turns.waited(6) == 6
    assert [(await turns.take()).subject for _ in range(5)] == ["now", "a2", "a0", "a1", "a3"]
    assert turns.waited(6) == 0


class Consumer:
    """Records what it gets; the first delivery waits for `gate`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.at_once = self.at_once_max = 0
        self.gate = asyncio.Event()

    async def __call__(self, consumer: str, path: str, event: CloudEvent) -> Verdict:
        self.got.append((consumer, event.correlationid))
        self.at_once += 1
        self.at_once_max = max(self.at_once_max, self.at_once)
        await self.gate.wait()
        self.at_once -= 1
        return "SUCCESS"


@asynccontextmanager
async def running(consumer: Consumer, newest: Sequence[str] = (), **limits: Any) -> AsyncIterator[Broker]:
    broker = Broker(consumer, MemoryStore(), SystemClock(), BrokerLimits(**limits))
    subscription = {"topic": ORDER_EVENTS.name, "routes": {"rules": RULES}}
    broker.subscribe("shows", [subscription], shows=True, newest=newest)
    broker.subscribe("acts", [subscription])
    broker.start()
    try:
        yield broker
    finally:
        await broker.stop()


def recorded(
    correlation_id: str, order_id: UUID | None = None, version: int = 1, kind: str = OrderRouted.TYPE
) -> RecordedEvent:
    stream = StreamId(TENANT, "order", order_id or uuid4())
    origin = Origin(TENANT, "user:1", correlation_id)
    return RecordedEvent(stream, version, kind, 1, b"{}", datetime.now(UTC), origin)


async def until_idle(broker: Broker) -> None:
    async with asyncio.timeout(5):
        while not broker.idle:
            await asyncio.sleep(0.001)


async def test_orders_move_before_read_models_follow():
    consumer = Consumer()
    consumer.gate.set()
    async with running(consumer, concurrency=1) as broker:
        broker.publish_recorded([recorded(str(number)) for number in range(8)])
        await until_idle(broker)
    assert [number for name, number in consumer.got if name == "acts"] == [str(number) for number in range(8)]
    first = [name for name, _ in consumer.got[:8]]
    assert first.count("shows") == 8 // SHOWING_EVERY


async def test_one_order_moves_in_order_while_its_read_models_need_none():
    consumer, order_id = Consumer(), uuid4()
    async with running(consumer) as broker:
        broker.publish_recorded([recorded(str(version), order_id, version) for version in (1, 2, 3)])
        await asyncio.sleep(0.01)
        assert [entry for entry in consumer.got if entry[0] == "acts"] == [("acts", "1")]
        assert sorted(entry for entry in consumer.got if entry[0] == "shows") == [("shows", text) for text in "123"]
        consumer.gate.set()
        await until_idle(broker)
    assert [number for name, number in consumer.got if name == "acts"] == ["1", "2", "3"]


async def test_of_events_that_wait_the_newest_will_do():
    consumer, order_id = Consumer(), uuid4()
    async with running(consumer, newest=[PATH], concurrency=1) as broker:
        broker.publish_recorded([recorded("other")])
        await asyncio.sleep(0.01)  # the only worker is busy with it
        broker.publish_recorded([recorded(str(version), order_id, version) for version in (1, 2, 4, 3)])
        consumer.gate.set()
        await until_idle(broker)
    shown = [number for name, number in consumer.got if name == "shows"]
    assert shown == ["other", "4", "3"], "the late one comes too: it is not for the broker to know that it is old"
    assert [number for name, number in consumer.got if name == "acts"] == ["other", "1", "2", "4", "3"]


async def test_event_that_is_being_handled_is_not_replaced():
    consumer, order_id = Consumer(), uuid4()
    async with running(consumer, newest=[PATH]) as broker:
        broker.publish_recorded([recorded("1", order_id, 1)])
        await asyncio.sleep(0.01)
        broker.publish_recorded([recorded("2", order_id, 2), recorded("3", order_id, 3)])
        consumer.gate.set()
        await until_idle(broker)
    assert [number for name, number in consumer.got if name == "shows"] == ["1", "3"]


async def test_lasting_crowd_of_clients_does_not_keep_orders_from_moving():
    consumer = Consumer()
    consumer.gate.set()
    async with running(consumer, step_back_seconds_max=0.05) as broker:
        broker.waiting_clients = lambda: 100
        broker.publish_recorded([recorded(str(number)) for number in range(500)])
        started = asyncio.get_running_loop().time()
        await until_idle(broker)
        seconds = asyncio.get_running_loop().time() - started
    assert seconds < 1.5  # stepping back for each of the 1,000 deliveries would take five seconds


async def test_burst_of_clients_goes_first():
    consumer = Consumer()
    consumer.gate.set()
    async with running(consumer, step_back_seconds_max=60) as broker:
        broker.waiting_clients = lambda: 100
        broker.publish_recorded([recorded(str(number)) for number in range(500)])
        await asyncio.sleep(0.1)
        assert len(consumer.got) < 60  # one at a time, each after a pause
        broker.waiting_clients = lambda: 0
        await until_idle(broker)


@pytest.mark.requirement("B13")
async def test_cancel_goes_before_orders_that_wait_and_steps_back_for_nobody():
    """A thousand orders wait, as many clients; the order that is cancelled has a message before its cancel."""
    consumer, order_id = Consumer(), uuid4()
    async with running(consumer, concurrency=1, step_back_seconds_max=60) as broker:
        broker.publish_recorded([recorded("busy")])
        await asyncio.sleep(0.01)
        broker.publish_recorded([recorded(str(number)) for number in range(1_000)])
        broker.publish_recorded([recorded("routed", order_id)])
        broker.publish_recorded([recorded("cancel", order_id, 2, OrderCancelRequested.TYPE)])
        broker.waiting_clients = lambda: 100
        consumer.gate.set()
        async with asyncio.timeout(5):
            while ("acts", "cancel") not in consumer.got:
                await asyncio.sleep(0.001)
        broker.waiting_clients = lambda: 0
        assert [number for name, number in consumer.got if name == "acts"][:3] == ["busy", "routed", "cancel"]


@pytest.mark.requirement("B13")
async def test_deliveries_give_way_to_what_lessens_risk():
    consumer, ways = Consumer(), asyncio.Event()
    consumer.gate.set()
    async with running(consumer) as broker:

        async def give_way() -> None:
            await ways.wait()

        broker.give_way = give_way
        broker.publish_recorded([recorded("order")])
        broker.publish_recorded([recorded("cancel", kind=OrderCancelRequested.TYPE)])
        await asyncio.sleep(0.02)
        assert [entry for entry in consumer.got if entry[0] == "acts"] == [("acts", "cancel")]
        ways.set()
        await until_idle(broker)
    assert len(consumer.got) == 4


async def test_backlog_is_what_waits_for_a_worker():
    consumer = Consumer()
    async with running(consumer, concurrency=1) as broker:
        assert broker.backlog_seconds() == 0
        broker.publish_recorded([recorded("1")])
        await asyncio.sleep(0.02)
        broker.publish_recorded([recorded("2")])
        await asyncio.sleep(0.05)
        assert 0.03 < broker.backlog_seconds() < 5
        consumer.gate.set()
        await until_idle(broker)
        assert broker.backlog_seconds() == 0


def test_lane_knows_whether_something_in_it_lessens_risk():
    def delivery(kind: str, version: int) -> Delivery:
        event = CloudEvent(id=f"{version}", source="/x", type=kind, time=NOW, data=Raw(b"{}"), streamversion=version)
        return Delivery(Route("probe", PATH, shows=True, newest=True), ORDER_EVENTS, event, Tracker(1, list), 0)

    lane = Lane()
    assert not lane.first
    lane.add(delivery(OrderCancelRequested.TYPE, 1))
    assert lane.first
    lane.busy = True
    lane.add(delivery(OrderCancelRequested.TYPE, 2))
    assert lane.add(delivery(OrderRouted.TYPE, 3)) is not None, "the newest tells all"
    assert lane.first, "a worker has it still"
    lane.end_first()
    assert [waiting.event.id for waiting in lane.waiting] == ["3"]
    assert not lane.first
