"""Every broker, started for real, behind real sidecars: the order journey, and cases 11 to 14.

PATRIOT_MESSAGES makes the cases larger than here.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from typer.testing import CliRunner

from patriot.cli.main import app
from patriot.runtime import discovery
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.dapr import topics
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.function import Context, Function
from patriot.store.api import Inbox, Query
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged
from schemas.topics import USER_EVENTS
from tests.integration.dapr.venue import FillingVenue
from tests.support.host import PERPETUAL, Client, define, set_price
from tests.support.messages import changed
from tests.support.servers import broker, components
from tests.support.sidecars import beside_sidecars

MESSAGES = int(os.environ.get("PATRIOT_MESSAGES", "500"))
SEED = 20261121

pytestmark = [pytest.mark.dapr, pytest.mark.timeout(300)]


@pytest.fixture(params=["redis", "nats", "kafka", "rabbitmq", "all"])
def backing(request: pytest.FixtureRequest) -> tuple[Path, dict[str, str]]:
    folder, environment = components(request.param)
    return folder, dict(environment)


@pytest.fixture(params=["redis", "nats", "kafka", "rabbitmq"])
def single(request: pytest.FixtureRequest) -> tuple[Path, dict[str, str]]:
    folder, environment = components(request.param)
    return folder, dict(environment)


async def until(condition: Any, seconds: float = 90) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.02)


async def publish_all(host: Any, messages: Sequence[CloudEvent]) -> None:
    for first in range(0, len(messages), 100):
        await host.runtime.publisher.publish(USER_EVENTS.name, *messages[first : first + 100])


@pytest.mark.requirement("C3", "C5", "A1")
async def test_order_travels_from_http_to_the_portfolio(backing):
    folder, environment = backing
    store, venue = MemoryStore(), FillingVenue()
    parts = discovery.functions()
    async with beside_sidecars(environment, store, *parts, resources=[folder], relay=True) as hosts:
        for host in hosts.hosts:
            host.runtime.venues["paper"] = venue
        await define(store, PERPETUAL)
        await set_price(hosts, PERPETUAL.id, "60000", "60000.1")
        user = await Client(hosts).register("ada")
        account = await user.paper_account(USDT="10000")
        order = {"account_id": account, "instrument": PERPETUAL.id, "side": "buy", "order_type": "limit"}
        order |= {"quantity": "0.01", "price": "60000"}
        receipts = [await user.json("POST", "/orders", order, 201) for _ in range(5)]

        async def statuses() -> set[str]:
            return {(await user.json("GET", f"/orders/{one['order_id']}"))["status"] for one in receipts}

        async with asyncio.timeout(60):
            while await statuses() != {"filled"}:
                await asyncio.sleep(0.1)
        events = await user.json("GET", f"/events/{receipts[0]['order_id']}")
        types = [event["type"] for event in events["events"]]
        assert types[:3] == ["order.created", "order.routed", "order.submit_started"]
        assert types[-1] == "order.filled"
        assert len(venue.created) == len({one.client_order_id for one in venue.created}) == 5
        async with asyncio.timeout(20):
            while await store.outbox_depth():
                await asyncio.sleep(0.05)
        assert not await store.find(Query("dead_letters", None))


@pytest.mark.requirement("A5", "A6")
async def test_messages_that_come_several_times_have_their_effect_once(single):
    """Case 12: each event 1 to 5 times, shuffled, concurrently."""
    folder, environment = single
    dice, store, effects = random.Random(SEED), MemoryStore(), Counter[str]()
    part = Function("inbox-probe")

    @part.on(USER_EVENTS, UserProfileChanged)
    async def take(_: UserProfileChanged, context: Context) -> None:
        assert context.event is not None
        await context.write([], Inbox("inbox-probe", context.event.id))
        effects[context.event.id] += 1

    events = [changed(number) for number in range(1, MESSAGES // 3 + 1)]
    sent = [event for event in events for _ in range(dice.randint(1, 5))]
    dice.shuffle(sent)
    async with beside_sidecars(environment, store, part, resources=[folder]) as host:
        await asyncio.gather(*(publish_all(host, sent[lane::4]) for lane in range(4)))
        await until(lambda: effects.keys() >= {event.id for event in events})
        await asyncio.sleep(0.5)
    assert set(effects.values()) == {1}


@pytest.mark.requirement("A6", "B10")
async def test_poison_goes_to_the_dead_letters_and_delays_nobody(single, capsys):
    """Case 13: one message in a hundred is bad. Bad ones are dead at once, replayable, and on the broker, too."""
    folder, environment = single
    store, took, part = MemoryStore(), dict[str, float](), Function("poison-probe")

    @part.on(USER_EVENTS, UserProfileChanged)
    async def take(_: UserProfileChanged, context: Context) -> None:
        assert context.event is not None
        if context.event.id in sent:
            took[context.event.id] = (context.now() - context.event.time).total_seconds()

    sent: set[str] = set()  # a new consumer gets what earlier tests published, too
    bad = {number for number in range(1, MESSAGES + 1) if number % 100 == 0}
    async with beside_sidecars(environment, store, part, resources=[folder]) as host:
        started = time.monotonic()
        for first in range(1, MESSAGES + 1, 50):
            numbers = range(first, min(first + 50, MESSAGES + 1))
            batch = [changed(number, data=b'{"user_id":"nobody"}' if number in bad else b"") for number in numbers]
            sent |= {event.id for event in batch}
            await host.runtime.publisher.publish(USER_EVENTS.name, *batch)
            await asyncio.sleep(0.05)  # a flow, not a heap: delays shall tell of poison, not of a queue
        await until(lambda: len(took) == MESSAGES - len(bad))
        seconds = time.monotonic() - started
        async with asyncio.timeout(30):
            while len(dead := await dead_of(store, sent)) < len(bad):
                await asyncio.sleep(0.05)
    delays = sorted(took.values())
    with capsys.disabled():
        figures = (
            f"{MESSAGES} messages, {len(dead)} dead, {seconds:.1f} s, delay p99 {delays[-len(delays) // 100]:.3f} s"
        )
        print(f"\npoison: {figures}")
    assert {row["attempts"] for row in dead} == {1}
    assert {row["consumer"] for row in dead} == {"poison-probe"}
    assert all(orjson.loads(row["body"])["type"] == UserProfileChanged.TYPE for row in dead)
    assert delays[len(delays) // 2] < 5.0  # a tail may be the machine's; poison that blocks its queue stops them all


async def dead_of(store: MemoryStore, sent: set[str]) -> list[Any]:
    found = await store.find(Query("dead_letters", None, limit=100_000))
    return [row for row in found if row["id"].partition(":")[2] in sent]


@pytest.mark.requirement("B14")
async def test_rolling_deployment_drops_nothing(single):
    """Case 14: the consumer is replaced, again and again, while messages flow."""
    folder, environment = single
    store, seen = MemoryStore(), set[str]()
    part = Function("rolling-probe")

    @part.on(USER_EVENTS, UserProfileChanged)
    async def take(_: UserProfileChanged, context: Context) -> None:
        assert context.event is not None
        await asyncio.sleep(0.002)
        seen.add(context.event.id)

    sent: list[CloudEvent] = []
    async with beside_sidecars(environment, store, resources=[folder]) as publisher:
        async with beside_sidecars(environment, store, part, resources=[folder]):
            pass  # its queue exists from here on

        async def flow() -> None:
            for number in range(1, MESSAGES // 10 + 1):
                batch = [changed(number * 10 + one) for one in range(10)]
                await publisher.runtime.publisher.publish(USER_EVENTS.name, *batch)
                sent.extend(batch)
                await asyncio.sleep(0.03)

        flowing = asyncio.create_task(flow())
        while not flowing.done():
            async with beside_sidecars(environment, store, part, resources=[folder]):
                await asyncio.sleep(0.7)
        await flowing
        async with beside_sidecars(environment, store, part, resources=[folder]):
            await until(lambda: seen >= {one.id for one in sent}, 100)


@pytest.mark.requirement("P4")
async def test_topics_are_as_the_table_says_and_a_wrong_one_is_told(single):
    folder, environment = single
    assert await topics.check(folder, environment) == []
    await topics.prepare(folder, environment)


@pytest.mark.requirement("P4")
def test_topics_of_production_are_made_by_the_command_that_its_chart_runs(monkeypatch, logs_as_they_are):
    for name in ("kafka", "nats", "rabbitmq"):
        for variable, place in broker(name).items():
            monkeypatch.setenv(variable, place)
    made = CliRunner().invoke(app, ["topics", str(ROOT / "production"), "--make"])
    assert (made.exit_code, made.output) == (0, "✓ every topic is as it should be\n")


@pytest.mark.requirement("P4", "P19")
async def test_topic_may_have_more_partitions_than_the_table_says():
    """That is how it grows: see the runbook."""
    folder, environment = components("kafka")
    topic = "compliance.events"
    client = AdminClient({"bootstrap.servers": environment["PATRIOT_KAFKA"]})
    there = len(client.list_topics(topic, timeout=10).topics[topic].partitions)
    client.create_partitions([NewPartitions(topic, there + 1)])[topic].result(10)
    assert not [line for line in await topics.check(folder, environment) if "partitions" in line]
