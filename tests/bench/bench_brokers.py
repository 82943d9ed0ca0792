"""Brokers behind Dapr, market data into Kafka, and what a sidecar costs.

    python -m tests.bench.bench_brokers            the table

Method: real brokers and sidecars of this machine, loopback, events of about 1 KB. Latency: one message at a time, from
publish to the handler. Bulk: publishing and handling 100 a call. The rounds of what is compared are interleaved; the
median round counts, the worst is shown. Market data: CloudEvents encoded and sent, until Kafka has acknowledged all;
per second of the clock, in which the broker works on the same cores, and per second of the sender's own CPU time.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import aiohttp
import msgspec

from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent, encode
from patriot.runtime.dapr.backing import write_components
from patriot.runtime.dapr.brokers import BROKERS
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.kafka import DirectKafka
from patriot.runtime.dapr.processes import Fleet, ToolMissing
from patriot.runtime.dapr.sidecar import Entry
from patriot.runtime.dapr.topics import prepare
from patriot.runtime.edge import system_context
from patriot.runtime.function import Context, Function
from patriot.runtime.serving import free_ports, listen, serving
from patriot.store.memory import MemoryStore
from schemas.events import UserProfileChanged
from schemas.topics import MARKET_TRADES, USER_EVENTS
from tests.support.sidecars import beside_sidecars

ROUNDS = 3
SINGLE, BULK, MARKET, CALLS = 100, 1_000, 200_000, 200
USER = UUID(int=7)
PADDING = "x" * 700

Rows = list[dict[str, Any]]


def message(number: int) -> CloudEvent:
    data = UserProfileChanged(user_id=USER, telegram_id=number).model_dump_json()
    return CloudEvent(
        id=f"bench:{time.monotonic_ns()}:{number}",
        source="/bench/" + PADDING,
        type=UserProfileChanged.TYPE,
        time=SystemClock().now(),
        data=msgspec.Raw(data.encode()),
        subject=str(USER),
        tenantid=str(UUID(int=1)),
        correlationid="req_1_0123abcd",
        aggregatetype="user",
        streamversion=1,
        partitionkey=str(number % 64),
    )


class Sink:
    """A subscriber that counts; `part` answers calls, too."""

    def __init__(self) -> None:
        self.part, self.count, self.arrived = Function("bench-sink"), 0, asyncio.Event()
        self.part.on(USER_EVENTS, UserProfileChanged)(self._take)

        @self.part.invoked("/echo")
        async def echo(context: Context) -> dict[str, str]:
            return {"id": context.origin.correlation_id}

    async def _take(self, _: UserProfileChanged, __: Context) -> None:
        self.count += 1
        self.arrived.set()

    async def until(self, count: int) -> None:
        while self.count < count:
            self.arrived.clear()
            await asyncio.wait_for(self.arrived.wait(), 60)


async def latency(publish: Callable[..., Awaitable[None]], sink: Sink) -> list[float]:
    """Milliseconds from publish to handler, one at a time."""
    found = []
    for number in range(SINGLE):
        wanted, started = sink.count + 1, time.perf_counter()
        await publish(USER_EVENTS.name, message(number))
        await sink.until(wanted)
        found.append((time.perf_counter() - started) * 1000)
    return found


async def bulk(publish: Callable[..., Awaitable[None]], sink: Sink) -> tuple[float, float]:
    """Messages per second: until published, until handled."""
    messages, wanted, started = [message(number) for number in range(BULK)], sink.count + BULK, time.perf_counter()
    for first in range(0, BULK, 100):
        await publish(USER_EVENTS.name, *messages[first : first + 100])
    published = time.perf_counter() - started
    await sink.until(wanted)
    return BULK / published, BULK / (time.perf_counter() - started)


async def of_broker(name: str, folder: Path, environment: Mapping[str, str]) -> Rows:
    resources = ROOT / "local"
    if name != "redis":
        resources = folder / "components"
        write_components(name, resources)
        await prepare(resources, environment)
    sink, singles, publishing, handling = Sink(), list[float](), list[float](), list[float]()
    async with beside_sidecars(environment, MemoryStore(), sink.part, resources=[resources]) as host:
        publish = host.runtime.publisher.publish
        await publish(USER_EVENTS.name, message(0))
        await sink.until(1)
        for _ in range(ROUNDS):
            singles += await latency(publish, sink)
            out, through = await bulk(publish, sink)
            publishing.append(out)
            handling.append(through)
        rows = await sidecar_cost(host, sink.part) if name == "redis" else []
    at = statistics.quantiles(singles, n=100)
    return [
        _row(f"{name}: publish → handler, p50", at[49], at[98], "ms (worst: p99)"),
        _row(f"{name}: bulk publish", statistics.median(publishing), min(publishing), "messages/s"),
        _row(f"{name}: published and handled", statistics.median(handling), min(handling), "messages/s"),
        *rows,
    ]


async def sidecar_cost(host: Any, part: Function) -> Rows:
    """A call between parts: through the sidecars, and directly by HTTP."""
    context = system_context(host.runtime, part.name)
    headers = {**host.runtime.access.service_headers(part.name, part.name), "content-type": "application/json"}
    listener = listen("127.0.0.1", 0)
    through, directly = list[float](), list[float]()
    async with serving(host.edges[part.name], listener) as url, aiohttp.ClientSession() as client:
        for number in range(ROUNDS * CALLS):
            started = time.perf_counter()
            if number % 2:
                await context.invoke(part.name, "POST", "/echo")
                through.append((time.perf_counter() - started) * 1000)
            else:
                async with client.post(url + "/echo", headers=headers) as answer:
                    await answer.read()
                directly.append((time.perf_counter() - started) * 1000)
    called, direct = (statistics.quantiles(values, n=100) for values in (through, directly))
    row = _row("a call through the sidecar, p50", called[49], called[98], "ms (worst: p99)")
    return [{**row, "ratio": called[49] / direct[49], "peer": f"direct HTTP, {direct[49]:.2f} ms"}]


async def market_data(environment: Mapping[str, str], folder: Path) -> Rows:
    """Encoded and acknowledged per second: the direct producer and Dapr's bulk path, interleaved."""
    direct, bulked, busy = list[float](), list[float](), list[float]()
    resources = folder / "components"
    async with beside_sidecars(environment, MemoryStore(), resources=[resources]) as host:
        send = host.hosts[0].publisher._send
        for _ in range(ROUNDS):
            kafka = DirectKafka(environment["PATRIOT_KAFKA"])
            started, worked = time.perf_counter(), time.process_time()
            await _market(kafka.send, MARKET)
            await kafka.close()
            direct.append(MARKET / (time.perf_counter() - started))
            busy.append(MARKET / (time.process_time() - worked))
            assert not kafka.lost
            started = time.perf_counter()
            await _market(send, MARKET // 20)
            bulked.append(MARKET / 20 / (time.perf_counter() - started))
    rate, dapr = statistics.median(direct), statistics.median(bulked)
    row = _row("market data into Kafka, direct producer", rate, min(direct), "messages/s")
    cost = _row("the same, per second of the feed's CPU", statistics.median(busy), min(busy), "messages/CPU s")
    return [
        cost,
        {**row, "ratio": rate / dapr, "peer": f"Dapr's bulk publish, {dapr:,.0f}/s", "target": 100_000},
    ]


async def _market(send: Callable[..., Awaitable[Any]], count: int) -> None:
    price = message(0)
    for first in range(0, count, 500):
        entries = [
            Entry(str(number), encode(msgspec.structs.replace(price, id=str(number), source="/m")), str(number % 64))
            for number in range(first, first + 500)
        ]
        await send("market", MARKET_TRADES.name, entries)


def _row(name: str, value: float, worst: float, unit: str) -> dict[str, Any]:
    return {"name": name, "value": value, "worst": worst, "unit": unit}


async def measure() -> Rows:
    rows: Rows = []
    with tempfile.TemporaryDirectory(prefix="patriot-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        async with Fleet(folder) as fleet:
            (folder / "redis").mkdir()
            redis = BROKERS["redis"](folder / "redis", free_ports(3))
            await fleet.start(redis.programs)
            for broker in BROKERS:
                place = folder / broker
                place.mkdir(exist_ok=True)
                try:
                    made = redis if broker == "redis" else BROKERS[broker](place, free_ports(3))
                except ToolMissing as missing:
                    print(f"NOT MEASURED: {missing}", file=sys.stderr)
                    continue
                for program in made.programs if made is not redis else ():
                    await fleet.start([program])
                environment = {**redis.environment, **made.environment}
                rows += await of_broker(broker, place, environment)
                if broker == "kafka":
                    rows += await market_data(environment, place)
    return rows


def run() -> Rows:
    return asyncio.run(measure())


if __name__ == "__main__":
    for row in run():
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
