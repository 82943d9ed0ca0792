"""Case 13 of the reliability cases on the embedded runtime: one message in a hundred is bad.

PATRIOT_MESSAGES makes it larger (100,000 at release). Over every real broker: tests/integration/dapr/test_brokers.py.
"""

import asyncio
import os
from uuid import UUID

import pytest
from structlog.testing import capture_logs

from patriot.runtime.cloudevent import CloudEvent, decode
from patriot.runtime.function import Context, Function
from patriot.store.api import Query
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged
from schemas.topics import USER_EVENTS
from tests.support.host import running_host, until_idle
from tests.support.messages import changed

MESSAGES = int(os.environ.get("PATRIOT_MESSAGES", "10000"))
BAD = frozenset(range(50, MESSAGES + 1, 100))
BATCH, AGGREGATES = 100, 10
DELAY_SECONDS_MAX = 1.0


def message(number: int) -> CloudEvent:
    return changed(number, UUID(int=number % AGGREGATES))  # good ones wait behind the bad


class Consumer:
    """Cannot handle the bad ones until it is mended."""

    mended = False

    def __init__(self) -> None:
        self.delays_seconds: dict[int, float] = {}
        self.part = Function("poison-probe")
        self.part.on(USER_EVENTS, UserProfileChanged)(self._take)

    async def _take(self, change: UserProfileChanged, context: Context) -> None:
        number = change.telegram_id
        assert number is not None
        assert context.event is not None
        if number in BAD and not self.mended:
            raise ValueError("poison")
        assert number not in self.delays_seconds, "each good message is taken once"
        self.delays_seconds[number] = (context.now() - context.event.time).total_seconds()


@pytest.mark.alone
@pytest.mark.requirement("A6", "B10")
async def test_poison_is_dead_at_once_delays_nobody_and_can_be_replayed():
    consumer, store = Consumer(), MemoryStore()
    with capture_logs():  # a line for each bad one
        async with running_host(store, parts=[consumer.part]) as host:
            for first in range(1, MESSAGES + 1, BATCH):
                numbers = range(first, min(first + BATCH, MESSAGES + 1))
                await host.runtime.publisher.publish(USER_EVENTS.name, *map(message, numbers))
                await asyncio.sleep(0)  # a flow, not a heap: delays shall tell of poison, not of a queue
            await until_idle(host, 60)
            dead = await store.find(Query("dead_letters", None, limit=MESSAGES))
            delays = sorted(consumer.delays_seconds.values())
            consumer.mended = True
            await host.runtime.publisher.publish(USER_EVENTS.name, *(decode(row["body"]) for row in dead))
            await until_idle(host, 60)
    p99_seconds = delays[-len(delays) // 100]
    figures = f"{len(dead)} dead and replayed, delay p99 {p99_seconds:.3f} s, worst {delays[-1]:.3f} s"
    print(f"\npoison: {MESSAGES:,} messages, {figures}")
    assert (len(dead), len(delays)) == (len(BAD), MESSAGES - len(BAD))
    assert {(row["consumer"], row["attempts"]) for row in dead} == {("poison-probe", 1)}
    assert consumer.delays_seconds.keys() == set(range(1, MESSAGES + 1)), "replayed, the bad ones are handled"
    assert p99_seconds <= DELAY_SECONDS_MAX, "the last may be the machine's; poison that is retried stops a tenth"
