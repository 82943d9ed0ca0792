from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

import msgspec
import orjson
import pytest

from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import decode
from patriot.runtime.dapr import publisher as module
from patriot.runtime.dapr.publisher import DaprPublisher, NotPublished
from patriot.runtime.dapr.sidecar import Entry, SidecarUnavailable
from patriot.store.api import Append, Commit, NewEvent, Origin, RecordedEvent, StreamId
from patriot.store.memory import MemoryStore
from schemas.topics import MARKET_PRICES, ORDER_STATUS
from tests.contract.test_runtime import price, report, until

TENANT, USER = UUID(int=1), UUID(int=2)


class Broker:
    """Takes what it is sent, unless `refuses` says how often it does not."""

    def __init__(self, refuses: int = 0) -> None:
        self.refuses = refuses
        self.sent: list[tuple[str, str, Sequence[Entry]]] = []

    async def send(self, pubsub: str, topic: str, entries: Sequence[Entry]) -> Sequence[str]:
        if self.refuses:
            self.refuses -= 1
            raise SidecarUnavailable("not now")
        self.sent.append((pubsub, topic, entries))
        return ()

    @property
    def ids(self) -> list[str]:
        return [entry.id for _, _, entries in self.sent for entry in entries]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BACKOFF_SECONDS", 0.001)


async def recorded(store: MemoryStore, count: int) -> Sequence[RecordedEvent]:
    stream = StreamId(TENANT, "user", USER)
    body = b'{"user_id":"%s","telegram_id":1}' % str(USER).encode()
    events = [NewEvent("user.profile_changed", 1, body)] * count
    origin = Origin(TENANT, "user:1", "req_1_0123abcd")
    return await store.commit(Commit(origin, datetime.now(UTC), [Append(stream, 0, events)]))


async def started(broker: Broker, store: MemoryStore, queue_max: int = 100) -> DaprPublisher:
    publisher = DaprPublisher(broker.send, store, SystemClock(), queue_max)
    publisher.start()
    return publisher


@pytest.mark.requirement("C3", "A6")
async def test_stored_events_leave_the_outbox_once_the_broker_has_them():
    broker, store = Broker(refuses=2), MemoryStore()
    publisher = await started(broker, store)
    events = await recorded(store, 5)
    publisher.publish_recorded(events)
    publisher.publish_recorded(events)  # the relay comes along
    await publisher.stop()
    assert broker.ids == [event.id for event in events]
    assert await store.outbox_depth() == 0
    assert {entry.key for _, _, entries in broker.sent for entry in entries} == {str(USER)}


@pytest.mark.requirement("A6")
async def test_what_the_broker_never_takes_stays_in_the_outbox_for_the_relay():
    broker, store = Broker(refuses=10_000), MemoryStore()
    publisher = await started(broker, store)
    events = await recorded(store, 3)
    publisher.publish_recorded(events)
    await publisher.stop()
    assert await store.outbox_depth() == 3
    broker.refuses = 0
    relay = await started(broker, store)
    relay.publish_recorded(events)
    await relay.stop()
    assert await store.outbox_depth() == 0


async def test_events_beyond_the_queue_wait_in_the_outbox():
    broker, store = Broker(), MemoryStore()
    publisher = await started(broker, store, queue_max=2)
    publisher.publish_recorded(await recorded(store, 5))
    await publisher.stop()
    assert len(broker.ids) == 2
    assert await store.outbox_depth() == 3


async def test_durable_message_that_the_broker_does_not_take_is_told():
    publisher = await started(Broker(refuses=10_000), MemoryStore())
    with pytest.raises(NotPublished):
        await publisher.publish(ORDER_STATUS.name, report(1))
    await publisher.stop()


async def test_entries_that_were_refused_one_by_one_are_sent_again():
    sent: list[list[str]] = []

    async def send(_pubsub: str, _topic: str, entries: Sequence[Entry]) -> Sequence[str]:
        sent.append([entry.id for entry in entries])
        return [entries[-1].id] if len(sent) == 1 else []

    publisher = DaprPublisher(send, MemoryStore(), SystemClock())
    one, two = report(1), report(2)
    await publisher.publish(ORDER_STATUS.name, one, two)
    assert sent == [[one.id, two.id], [two.id]]


async def test_market_data_does_not_wait_for_the_broker_and_goes_its_own_way():
    events, market = Broker(), Broker()
    publisher = DaprPublisher(events.send, MemoryStore(), SystemClock(), send_market=market.send)
    publisher.start()
    await publisher.publish(MARKET_PRICES.name, *(price(number) for number in range(1, 501)))
    await until(lambda: len(market.ids) == 500)
    await publisher.stop()
    assert not events.sent
    assert {pubsub for pubsub, _, _ in market.sent} == {"market"}


@pytest.mark.requirement("P16")
async def test_sidecar_is_told_the_trace_in_the_name_that_it_does_not_overwrite():
    broker = Broker()
    publisher = await started(broker, MemoryStore())
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    await publisher.publish(ORDER_STATUS.name, msgspec.structs.replace(report(1), traceparent=parent), report(2))
    await publisher.stop()
    [(_, _, (traced, untraced))] = broker.sent
    assert orjson.loads(traced.body)["traceid"] == orjson.loads(traced.body)["traceparent"] == parent == traced.trace
    assert decode(traced.body).traceparent == parent
    assert "traceid" not in orjson.loads(untraced.body)
