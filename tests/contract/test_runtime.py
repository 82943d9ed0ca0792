"""The contract of the ports. Every runtime passes every test; what is asserted here is what parts may rely on.

A runtime joins by an entry in `RUNTIMES`: a function that opens a host with the given parts on the given store. Under
"daprd" every part is behind a real sidecar, over Redis.
"""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC
from decimal import Decimal
from itertools import pairwise
from typing import Any
from uuid import UUID, uuid4

import msgspec
import orjson
import pytest
import redis

from patriot.protocols.market import Trade
from patriot.runtime import asgi, discovery
from patriot.runtime.access import Access
from patriot.runtime.aggregates import USER
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.edge import system_context, user_context
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.function import Context, Feed, Function
from patriot.runtime.problem import ProblemError
from patriot.runtime.settings import Settings
from patriot.runtime.sharding import Shard
from patriot.security.keys import KeyRing
from patriot.store.api import Inbox, LeaseCheck, LeaseLost, Query, Store
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged, UserRegistered
from schemas.reports import PriceReport, VenueReport
from schemas.topics import MARKET_PRICES, ORDER_STATUS, USER_EVENTS
from tests.support.servers import redis_port
from tests.support.sidecars import Hosts, beside_sidecars

TENANT, USER_ID = UUID(int=1), UUID(int=2)
OpenHost = Callable[..., AbstractAsyncContextManager[Any]]
RUNTIMES: dict[str, OpenHost] = {}


@asynccontextmanager
async def embedded(store: Store, *parts: Function, relay: bool = False, **settings: Any) -> AsyncIterator[Host]:
    """Everything in this process. `relay`: with the feed that sweeps the outbox."""
    clock = SystemClock()
    feeds = [part for part in parts if isinstance(part, Feed)]
    if relay:
        feeds += [feed for feed in discovery.feeds() if feed.name == "relay"]
    hosted = Parts([part for part in parts if not isinstance(part, Feed)], feeds)
    access = Access(
        KeyRing.generate(), clock, issuer="patriot", audience="patriot-api", app_ids=[one.name for one in hosted.all]
    )
    host = Host(
        hosted,
        settings=Settings(**settings),
        store=store,
        access=access,
        clock=clock,
        ids=SystemIds(),
        random=random.Random(1),
        secrets={"exchange": "s3cret"},
    )
    await host.start()
    try:
        yield host
    finally:
        await host.stop()


def daprd(store: Store, *parts: Function, relay: bool = False, **settings: Any) -> AbstractAsyncContextManager[Hosts]:
    """Each part behind a sidecar of its own, on an empty Redis."""
    port = redis_port()
    redis.Redis(port=port).flushall()
    return beside_sidecars({"PATRIOT_REDIS": f"127.0.0.1:{port}"}, store, *parts, relay=relay, **settings)


RUNTIMES |= {"embedded": embedded, "daprd": daprd}


@pytest.fixture(params=["embedded", pytest.param("daprd", marks=pytest.mark.dapr)])
def open_host(request: pytest.FixtureRequest) -> OpenHost:
    return RUNTIMES[request.param]


without_disk = pytest.mark.parametrize("open_host", ["embedded"], indirect=True)
"""What only a broker within the process promises: brokers with a disk may reorder, and have the outbox's job."""


@dataclass
class Probe:
    """A subscriber that remembers what it got, and answers as `react` says."""

    name: str = "probe"
    react: Callable[[Any], Awaitable[None]] | None = None
    shows: bool = False
    newest: bool = False
    got: list[tuple[Any, RequestContext]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def part(self) -> Function:
        function = Function(self.name, shows=self.shows)
        function.on(USER_EVENTS, UserRegistered, UserProfileChanged, newest=self.newest)(self._take)
        function.on(ORDER_STATUS, VenueReport)(self._take)
        function.on(MARKET_PRICES, PriceReport)(self._take)
        return function

    async def _take(self, message: Any, context: Context) -> None:
        self.got.append((message, context))
        self.at.append(asyncio.get_running_loop().time())
        if self.react is not None:
            await self.react(message)

    @property
    def messages(self) -> list[Any]:
        return [message for message, _ in self.got]


async def change(host: Host, *numbers: int, user_id: UUID = USER_ID) -> None:
    """Append one event for each number to the user's stream, each in a commit of its own."""
    context = system_context(host.runtime, "probe", TENANT)
    for number in numbers:

        async def propose(number: int = number) -> Proposal[None]:
            loaded = await context.load(USER, user_id)
            event = UserProfileChanged(user_id=user_id, telegram_id=number)
            first = UserRegistered(user_id=user_id, username="ada", role="user")
            return Proposal([Change(loaded, [event if loaded.version else first])], None)

        await context.decide(propose)


def numbers(probe: Probe) -> list[int | None]:
    return [message.telegram_id for message in probe.messages]


async def until(condition: Callable[[], bool]) -> None:
    async def check() -> bool:
        return condition()

    await until_true(check)


async def until_true(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.005)


async def dead_letters(store: Store) -> list[dict[str, Any]]:
    return [dict(row) for row in await store.find(Query("dead_letters", None))]


async def until_dead(store: Store) -> list[dict[str, Any]]:
    async def check() -> bool:
        return bool(await dead_letters(store))

    await until_true(check)
    return await dead_letters(store)


async def until_outbox(store: Store, depth: int) -> None:
    async def check() -> bool:
        return await store.outbox_depth() == depth

    await until_true(check)


def failing(times: int, error: Exception) -> Callable[[Any], Awaitable[None]]:
    left = [times]

    async def react(_: Any) -> None:
        if left[0]:
            left[0] -= 1
            raise error

    return react


def report(order: int = 1) -> CloudEvent:
    data = VenueReport(account_id=UUID(int=3), outcome="accepted", source="command", order_id=UUID(int=order))
    return message(VenueReport.TYPE, data, str(data.order_id))


def price(number: int, instrument: str = "BINANCE:BTC/USDT") -> CloudEvent:
    one = Decimal(number)
    data = PriceReport(instrument=instrument, bid=one, ask=one, last=one, as_of=SystemClock().now())
    return message(PriceReport.TYPE, data, instrument)


def message(kind: str, data: Any, subject: str) -> CloudEvent:
    return CloudEvent(
        id=str(uuid4()),
        source="/test",
        type=kind,
        time=SystemClock().now(),
        data=msgspec.Raw(data.model_dump_json().encode()),
        subject=subject,
        tenantid=str(TENANT),
        correlationid="req_1_0123abcd",
    )


# Publish and subscribe


@pytest.mark.requirement("C3", "C5")
async def test_committed_event_reaches_its_subscriber_once_and_leaves_the_outbox(open_host: OpenHost, store: Store):
    probe = Probe()
    async with open_host(store, probe.part()) as host:
        await change(host, 0, 7)
        await until(lambda: len(probe.got) == 2)
        await until_outbox(store, 0)
        await asyncio.sleep(0.05)
        probe.got.sort(key=lambda got: got[1].event.streamversion if got[1].event else 0)  # brokers may reorder
        assert [type(one) for one in probe.messages] == [UserRegistered, UserProfileChanged]
        context = probe.got[1][1]
        assert context.event is not None
        assert context.event.streamversion == 2
        assert context.tenant_id == TENANT
        recorded = await store.load(context.event.stream)
        assert context.origin.correlation_id == recorded[1].origin.correlation_id
        assert context.origin.causation_id == recorded[1].id == context.event.id


async def test_event_without_subscribers_leaves_the_outbox(open_host: OpenHost, store: Store):
    async with open_host(store) as host:
        await change(host, 0)
        await until_outbox(store, 0)


@pytest.mark.requirement("A6")
async def test_failing_consumer_gets_the_message_again_with_growing_pauses(open_host: OpenHost, store: Store):
    probe = Probe(react=failing(3, ConnectionError("later")))
    async with open_host(store, probe.part()) as host:
        await change(host, 0)
        await until(lambda: len(probe.got) == 4)
        await until_outbox(store, 0)
        pauses = [after - before for before, after in pairwise(probe.at)]
        assert pauses[0] < pauses[1] < pauses[2] or (isinstance(host, Hosts) and min(pauses) > 0.1)  # Dapr's vary
        assert len({context.event.id for _, context in probe.got if context.event}) == 1
        assert not await dead_letters(store)


@pytest.mark.requirement("A6")
async def test_message_that_always_fails_ends_in_the_dead_letters(open_host: OpenHost, store: Store):
    probe = Probe(react=failing(100, ConnectionError("never")))
    async with open_host(store, probe.part(), delivery_attempts_max=3) as host:
        await change(host, 0)
        (row,) = await until_dead(store)
        assert (row["consumer"], row["topic"], row["attempts"]) == ("probe", USER_EVENTS.name, 3)
        assert orjson.loads(row["body"])["type"] == UserRegistered.TYPE
        assert len(probe.got) == 3
        await until_outbox(store, 0)


@pytest.mark.requirement("A6")
async def test_message_that_nobody_can_ever_handle_is_dead_at_once(open_host: OpenHost, store: Store):
    probe = Probe(react=failing(100, ValueError("poison")))
    async with open_host(store, probe.part()) as host:
        await change(host, 0)
        (row,) = await until_dead(store)
        assert row["attempts"] == len(probe.got) == 1


@pytest.mark.requirement("A6")
async def test_dead_message_does_not_hold_up_its_successor(open_host: OpenHost, store: Store):
    probe = Probe(react=failing(1, ValueError("poison")))
    async with open_host(store, probe.part()) as host:
        await change(host, 0, 1)
        await until(lambda: len(probe.got) == 2)
        assert {context.event.streamversion for _, context in probe.got if context.event} == {1, 2}


# Read models: a runtime may hand over many events at once


@pytest.mark.requirement("A6", "B10", "C3")
async def test_each_event_of_a_read_model_ends_for_itself(open_host: OpenHost):
    late, poison, hopeless = UUID(int=31), UUID(int=32), {UUID(int=number) for number in range(33, 38)}
    attempts = Counter[UUID]()

    async def react(event: UserRegistered) -> None:
        attempts[event.user_id] += 1
        if event.user_id in hopeless or (event.user_id == late and attempts[late] < 3):
            raise ConnectionError("later")
        if event.user_id == poison:
            raise ValueError("poison")

    probe, store = Probe(react=react, shows=True), MemoryStore()
    async with open_host(store, probe.part(), delivery_attempts_max=4) as host:
        await asyncio.gather(*(change(host, 0, user_id=UUID(int=number)) for number in range(10, 40)))
        await until_true(lambda: _are_dead(store, 6))
        await until(lambda: len(attempts) == 30)
        await until_outbox(store, 0)
        assert {row["attempts"] for row in await dead_letters(store)} == {1, 4}
        assert [attempts.pop(late), {attempts.pop(one) for one in hopeless}] == [3, {4}]
        assert set(attempts.values()) == {1}
        await change(host, 0, user_id=UUID(int=40))
        await until(lambda: attempts[UUID(int=40)] == 1)
        assert not isinstance(host, Hosts) or [sidecar.starts for sidecar in host.sidecars] == [1]


async def _are_dead(store: Store, number: int) -> bool:
    return len(await dead_letters(store)) == number


async def test_read_model_that_needs_the_newest_only_gets_the_newest_at_last(open_host: OpenHost):
    probe, store = Probe(shows=True, newest=True), MemoryStore()
    async with open_host(store, probe.part()) as host:
        users = [UUID(int=number) for number in range(10, 14)]
        await asyncio.gather(*(change(host, *range(8), user_id=user) for user in users))
        await until(lambda: {event.user_id for event in probe.messages if _is_last(event)} == set(users))
        await until_outbox(store, 0)
        assert not await dead_letters(store)


def _is_last(event: Any) -> bool:
    return getattr(event, "telegram_id", None) == 7


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"specversion":"1.0"}', b"\xff", b'{"specversion":"0.3"}'])
async def test_bytes_that_are_no_cloud_event_are_dropped(open_host: OpenHost, body: bytes):
    probe = Probe()
    async with open_host(MemoryStore(), probe.part()) as host:
        answer = await delivered(host, body)
        assert orjson.loads(answer) == {"status": "DROP"}
        assert not probe.got


async def delivered(host: Host, body: bytes) -> bytes:
    headers = host.runtime.access.service_headers("broker", "probe")
    path = f"/events/{USER_EVENTS.name}/{UserProfileChanged.TYPE}"
    answer = await asgi.request(host.edges["probe"], "POST", path, headers, body)
    assert answer.status == 200
    return answer.body


async def test_event_on_another_types_route_is_dropped(open_host: OpenHost):
    probe = Probe()
    async with open_host(MemoryStore(), probe.part()) as host:
        other = UserRegistered(user_id=USER_ID, username="ada", role="user")
        body = orjson.dumps(
            {
                "specversion": "1.0",
                "id": "1",
                "source": "/t",
                "type": other.TYPE,
                "time": "2024-01-01T00:00:00Z",
                "tenantid": str(TENANT),
                "data": orjson.loads(other.model_dump_json()),
            }
        )
        assert orjson.loads(await delivered(host, body)) == {"status": "DROP"}
        assert not probe.got


async def test_delivery_without_a_service_token_is_refused(open_host: OpenHost):
    probe = Probe()
    async with open_host(MemoryStore(), probe.part()) as host:
        path = f"/events/{USER_EVENTS.name}/{UserProfileChanged.TYPE}"
        answer = await asgi.request(host.edges["probe"], "POST", path, {}, b"{}")
        assert answer.status == 403


@without_disk
@pytest.mark.requirement("P2", "A6")
async def test_what_a_crash_interrupted_is_delivered_by_the_next_host(open_host: OpenHost, store: Store):
    async def hang(_: Any) -> None:
        await asyncio.Event().wait()

    interrupted, after = Probe(react=hang), Probe()
    async with open_host(store, interrupted.part()) as host:
        await change(host, 0, 1, 2)
        await until(lambda: len(interrupted.got) == 1)
    assert await store.outbox_depth() == 3
    async with open_host(store, after.part(), relay=True):
        await until(lambda: len(after.got) == 3)
        await until_outbox(store, 0)
    assert [context.event.streamversion for _, context in after.got if context.event] == [1, 2, 3]


async def test_event_of_another_process_is_seen_although_the_state_is_cached(open_host: OpenHost, store: Store):
    seen: list[int] = []

    async with open_host(store) as writer:
        await change(writer, 0, 1)
        reading = Function("reader")

        @reading.on(USER_EVENTS, UserProfileChanged)
        async def read(event: UserProfileChanged, context: Context) -> None:
            seen.append((await context.load(USER, event.user_id)).version)

        async with open_host(store, reading) as host:
            await system_context(host.runtime, "reader", TENANT).load(USER, USER_ID)
            await change(writer, 2)
            host.runtime.publisher.publish_recorded((await store.load(await stream_of(store)))[2:])
            await until(lambda: 3 in seen)
    assert seen[-1] == 3


async def stream_of(store: Store) -> Any:
    streams = [event.stream async for event in store.read()]
    return streams[0]


@without_disk
async def test_order_within_an_aggregate_survives_failures(open_host: OpenHost, store: Store):
    probe = Probe(react=failing(2, ConnectionError("later")))
    async with open_host(store, probe.part()) as host:
        await change(host, 0, 1, 2, 3)
        await until(lambda: len(probe.got) == 6)
        versions = [context.event.streamversion for _, context in probe.got if context.event]
        assert versions == [1, 1, 1, 2, 3, 4]


async def test_one_aggregate_does_not_wait_for_another(open_host: OpenHost, store: Store):
    stuck = asyncio.Event()

    async def react(event: Any) -> None:
        if event.user_id == USER_ID:
            await stuck.wait()

    probe = Probe(react=react)
    async with open_host(store, probe.part()) as host:
        await change(host, 0)
        await change(host, 0, 1, user_id=UUID(int=9))
        await until(lambda: len(probe.got) == 3)
        stuck.set()


async def test_each_consumer_succeeds_or_fails_for_itself(open_host: OpenHost, store: Store):
    good, bad = Probe("good"), Probe("bad", react=failing(100, ConnectionError("never")))
    async with open_host(store, good.part(), bad.part(), delivery_attempts_max=2) as host:
        await change(host, 0)
        (row,) = await until_dead(store)
        await until_outbox(store, 0)
        assert row["consumer"] == "bad"
        assert (len(good.got), len(bad.got)) == (1, 2)


@pytest.mark.requirement("A5")
async def test_event_that_the_inbox_knows_is_acknowledged(open_host: OpenHost, store: Store):
    function = Function("probe")
    calls: list[str] = []

    @function.on(USER_EVENTS, UserRegistered)
    async def handle(_: UserRegistered, context: Context) -> None:
        assert context.event is not None
        calls.append(context.event.id)
        await context.write([], Inbox("probe", context.event.id))

    async with open_host(store, function) as host:
        await change(host, 0)
        await until_outbox(store, 0)
        host.runtime.publisher.publish_recorded(await store.load(await stream_of(store)))
        await until(lambda: len(calls) == 2)
        await asyncio.sleep(0.2)
        assert len(calls) == 2
        assert not await dead_letters(store)


@without_disk
async def test_publishing_on_a_durable_topic_returns_when_it_is_handled(open_host: OpenHost):
    probe = Probe(react=failing(1, ConnectionError("later")))
    async with open_host(MemoryStore(), probe.part()) as host:
        await host.runtime.publisher.publish(ORDER_STATUS.name, report(1), report(2))
        assert len(probe.got) == 3


@without_disk
async def test_prices_are_conflated_and_the_newest_wins(open_host: OpenHost):
    release = asyncio.Event()

    async def react(_: Any) -> None:
        await release.wait()

    probe = Probe(react=react)
    async with open_host(MemoryStore(), probe.part()) as host:
        await host.runtime.publisher.publish(MARKET_PRICES.name, price(0))
        await until(lambda: len(probe.got) == 1)
        for number in range(1, 101):
            await host.runtime.publisher.publish(MARKET_PRICES.name, price(number))
        release.set()
        await until(lambda: probe.messages[-1].bid == 100)
        assert len(probe.got) <= 3


@without_disk
async def test_unsent_events_beyond_the_queue_wait_in_the_outbox(open_host: OpenHost, store: Store):
    release = asyncio.Event()

    async def react(_: Any) -> None:
        await release.wait()

    probe = Probe(react=react)
    async with open_host(store, probe.part(), broker_queue_max=3) as host:
        for user in range(10):
            await change(host, 0, user_id=UUID(int=100 + user))
        await until(lambda: len(probe.got) == 3)
        release.set()
        await until_outbox(store, 7)
    async with open_host(store, probe.part(), relay=True):
        await until_outbox(store, 0)
    assert len({context.event.id for _, context in probe.got if context.event}) == 10


async def test_consumer_waiting_for_its_own_publication_is_not_starved(open_host: OpenHost):
    """Every worker busy with a handler that publishes and waits: the published messages must still get through."""
    inner, outer = Probe("inner"), Function("outer")
    done: list[UserRegistered] = []

    @outer.on(USER_EVENTS, UserRegistered)
    async def handle(event: UserRegistered, context: Context) -> None:
        await context.runtime.publisher.publish(ORDER_STATUS.name, report(int(event.user_id)))
        done.append(event)

    async with open_host(MemoryStore(), outer, inner.part(), delivery_concurrency=2) as host:
        for user in range(8):
            await change(host, 0, user_id=UUID(int=100 + user))
        await until(lambda: len(done) == 8)


# Invoke


def invoked_part(seen: list[RequestContext], pause_seconds: float = 0) -> Function:
    function = Function("target")

    @function.invoked("/work/{number}")
    async def work(number: int, context: Context) -> dict[str, int]:
        seen.append(context)
        await asyncio.sleep(pause_seconds)
        if number < 0:
            raise ProblemError(422, "negative", "must not be negative", [("number", "must not be negative")])
        return {"number": number}

    return function


@pytest.mark.requirement("C5", "P14", "P15")
async def test_invocation_carries_caller_user_and_correlation_id(open_host: OpenHost):
    seen: list[RequestContext] = []
    async with open_host(MemoryStore(), invoked_part(seen), Function("source")) as host:
        context = user_context(host.runtime, "source", TENANT, USER_ID)
        answer = await context.invoke("target", "POST", "/work/7")
        assert (answer.status, orjson.loads(answer.body)) == (200, {"number": 7})
        assert seen[0].caller == "source"
        assert seen[0].user.user_id == USER_ID
        assert seen[0].tenant_id == TENANT
        assert seen[0].origin.correlation_id == context.origin.correlation_id


async def test_refusal_of_the_invoked_part_is_a_problem(open_host: OpenHost):
    async with open_host(MemoryStore(), invoked_part([]), Function("source")) as host:
        answer = await system_context(host.runtime, "source").invoke("target", "POST", "/work/-1")
        assert answer.status == 422
        assert orjson.loads(answer.body)["code"] == "negative"


@pytest.mark.requirement("P6", "P20")
async def test_book_of_another_shard_is_told_from_one_that_nobody_has(open_host: OpenHost):
    parts, ours, codes = (discovery.part("market-data"), Function("source")), Shard.of("0/2"), dict[bool, set[str]]()
    async with open_host(MemoryStore(), *parts, shard=str(ours), market="replay") as host:
        for number in range(4):
            name = f"BINANCE:COIN{number}/USDT:USDT"
            for path in (f"/api/v1/market/{name}/{of}" for of in ("book?depth=5", "bars", "status")):
                answer = await system_context(host.runtime, "source").invoke("market-data", "GET", path)
                codes.setdefault(ours.has(name), set()).add(f"{answer.status} {orjson.loads(answer.body)['code']}")
    assert codes == {True: {"404 not_found"}, False: {"421 another_shard"}}


@pytest.mark.requirement("B12")
async def test_invocation_that_takes_too_long_raises_timeout(open_host: OpenHost):
    async with open_host(MemoryStore(), invoked_part([], 5), Function("source"), call_timeout_seconds=0.05) as host:
        with pytest.raises(TimeoutError):
            await system_context(host.runtime, "source").invoke("target", "POST", "/work/7")


@pytest.mark.requirement("P14")
async def test_invoked_route_is_closed_to_everybody_else(open_host: OpenHost):
    async with open_host(MemoryStore(), invoked_part([]), Function("source")) as host:
        token, _ = host.runtime.access.issue(USER_ID, TENANT, "admin", "t")
        for_another = host.runtime.access.service_headers("source", "source")
        for headers, status in (({}, 403), ({"authorization": f"Bearer {token}"}, 403), (for_another, 401)):
            answer = await asgi.request(host.edges["target"], "POST", "/work/7", headers)
            assert answer.status == status
        good = host.runtime.access.service_headers("source", "target")
        assert (await asgi.request(host.edges["target"], "POST", "/work/7", good)).status == 200
        assert (await asgi.request(host.public, "POST", "/work/7", good)).status == 404
        assert (await asgi.request(host.public, "POST", "/api/v1/work/7", good)).status == 404


# Clock, ids, random, secrets


async def test_clock_tells_utc_and_never_goes_back(open_host: OpenHost):
    async with open_host(MemoryStore()) as host:
        clock = host.runtime.clock
        assert clock.now().tzinfo is UTC
        before = clock.monotonic()
        await clock.sleep(0.01)
        assert clock.monotonic() - before >= 0.009


async def test_ids_are_random_uuids_and_random_lies_in_its_interval(open_host: OpenHost):
    async with open_host(MemoryStore()) as host:
        made = [host.runtime.ids.uuid() for _ in range(1000)]
        assert len(set(made)) == 1000
        assert {one.version for one in made} == {4}
        assert all(0 <= host.runtime.random.random() < 1 for _ in range(1000))
        assert all(0 <= host.runtime.random.getrandbits(3) < 8 for _ in range(100))


async def test_secrets_are_told_by_name(open_host: OpenHost):
    async with open_host(MemoryStore()) as host:
        assert await host.runtime.secrets.get("exchange") == "s3cret"
        with pytest.raises(KeyError):
            await host.runtime.secrets.get("unknown")


# Schedule and lease


async def test_schedule_never_runs_twice_at_once_and_survives_failures(open_host: OpenHost):
    running, most, calls = 0, 0, 0

    async def action() -> None:
        nonlocal running, most, calls
        running, calls = running + 1, calls + 1
        most = max(most, running)
        await asyncio.sleep(0.02)
        running -= 1
        if calls % 2:
            raise ConnectionError("this once")

    async with open_host(MemoryStore()) as host:
        host.runtime.scheduler.every("probe", 0.005, action)
        await until(lambda: calls == 5)
    assert most == 1
    await asyncio.sleep(0.05)
    assert calls in {5, 6}, "a schedule ends with its host"


async def test_lease_has_one_holder_and_a_growing_epoch(open_host: OpenHost, store: Store):
    async with open_host(store) as first, open_host(store) as second:
        held = await first.runtime.leases.acquire("shard-0", 0.2)
        assert held is not None
        assert await second.runtime.leases.acquire("shard-0", 0.2) is None
        renewed = await first.runtime.leases.acquire("shard-0", 0.2)
        assert renewed is not None
        assert renewed.epoch == held.epoch
        await asyncio.sleep(0.25)
        taken = await second.runtime.leases.acquire("shard-0", 5)
        assert taken is not None
        assert taken.epoch > held.epoch
        assert await first.runtime.leases.acquire("shard-0") is None


async def test_holder_of_a_lost_lease_writes_nothing(open_host: OpenHost, store: Store):
    async with open_host(store) as first, open_host(store) as second:
        held = await first.runtime.leases.acquire("shard-0", 0.05)
        assert held is not None
        await asyncio.sleep(0.08)
        assert await second.runtime.leases.acquire("shard-0", 5) is not None
        context = system_context(first.runtime, "probe", TENANT)

        async def propose() -> Proposal[None]:
            loaded = await context.load(USER, USER_ID)
            event = UserRegistered(user_id=USER_ID, username="ada", role="user")
            return Proposal([Change(loaded, [event])], None, lease=LeaseCheck("shard-0", held.epoch))

        with pytest.raises(LeaseLost):
            await context.decide(propose)
        assert (await context.load(USER, USER_ID)).version == 0


async def test_released_lease_is_free_at_once(open_host: OpenHost, store: Store):
    async with open_host(store) as first, open_host(store) as second:
        held = await first.runtime.leases.acquire("shard-0")
        assert held is not None
        await first.runtime.leases.release(held)
        assert await second.runtime.leases.acquire("shard-0") is not None


# Ticks and feeds


def tick(instrument: str, number: int) -> Trade:
    return Trade(instrument, number, number, buyer_is_maker=False, trade_id=str(number), time_ms=number)


async def test_ticks_arrive_in_order_by_instrument_until_unsubscribed(open_host: OpenHost):
    async with open_host(MemoryStore()) as host:
        one: list[Any] = []
        every: list[Any] = []
        stop = host.runtime.ticks.subscribe(one.append, ["A"])
        host.runtime.ticks.subscribe(every.append)
        for number, instrument in enumerate("ABA"):
            host.runtime.ticks.publish(tick(instrument, number))
        stop()
        host.runtime.ticks.publish(tick("A", 3))
        assert [message.time_ms for message in one] == [0, 2]
        assert [message.time_ms for message in every] == [0, 1, 2, 3]


@pytest.mark.requirement("B12")
async def test_failed_feed_task_is_started_again_while_others_go_on(open_host: OpenHost):
    feed = Feed("feed")
    starts: list[str] = []

    @feed.task
    async def broken(context: RequestContext) -> None:
        starts.append(context.service)
        if len(starts) < 3:
            raise ConnectionError("socket closed")

    @feed.task
    async def steady(context: RequestContext) -> None:
        while True:
            await context.runtime.clock.sleep(0.01)
            context.runtime.local["beats"] = int(str(context.runtime.local.get("beats", 0))) + 1

    async with open_host(MemoryStore(), feed) as host:
        await until(lambda: len(starts) == 3)
        assert starts == ["feed"] * 3
        assert int(str(host.runtime.local["beats"])) > 10
