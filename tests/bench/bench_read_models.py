"""Read models behind a sidecar that have fallen behind: what catching up costs, in bulk and one event a delivery.

    python -m tests.bench.bench_read_models        the table

Method: the events of orders (six each, of four orders at a time) wait on the broker; then the real projection starts,
on real PostgreSQL, and works until every order's row is that of its last event. Counted is the processor time of the
projection and of its sidecar, the start of both included. Rounds of both ways are interleaved; medians.
"""

import asyncio
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

from functions.portfolio_projection.app import function
from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent, from_recorded
from patriot.runtime.dapr.backing import write_components
from patriot.runtime.dapr.brokers import BROKERS
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.processes import Fleet, ToolMissing
from patriot.runtime.dapr.topics import prepare
from patriot.runtime.decision import new_event
from patriot.runtime.serving import free_ports
from patriot.store.api import Append, Commit, Origin, Query, RecordedEvent, Store, StreamId
from patriot.store.open import open_store
from schemas.events import (
    OrderAccepted,
    OrderCancelled,
    OrderCancelRequested,
    OrderCreated,
    OrderEvent,
    OrderRouted,
    OrderSubmitStarted,
)
from schemas.topics import ORDER_EVENTS
from tests.support.sidecars import beside_sidecars

ROUNDS, ORDERS, AT_ONCE, USERS = 3, 300, 4, 16
TENANT = UUID(int=1)
TICKS = 100  # of the kernel's clock, a second

Rows = list[dict[str, Any]]


def life(order_id: UUID) -> Sequence[OrderEvent]:
    ids: dict[str, Any] = {"order_id": order_id, "user_id": user_of(order_id), "account_id": UUID(int=8)}
    asked = {"instrument": "BINANCE:BTC/USDT", "side": "buy", "order_type": "limit", "time_in_force": "GTC"}
    return [
        OrderCreated(**ids, **asked, client_order_id=order_id.hex, quantity="0.25", price="60000"),
        OrderRouted(**ids, route="paper"),
        OrderSubmitStarted(**ids, attempt=1, client_order_id=order_id.hex),
        OrderAccepted(**ids, venue_order_id="1"),
        OrderCancelRequested(**ids),
        OrderCancelled(**ids),
    ]


def user_of(order_id: UUID) -> UUID:
    return UUID(int=order_id.int % USERS)


async def written(store: Store) -> list[CloudEvent]:
    """New orders' events, stored, in the order in which a busy hour would have made them."""
    lives = await asyncio.gather(*(_stored(store, uuid4()) for _ in range(ORDERS)))
    some = (lives[first : first + AT_ONCE] for first in range(0, ORDERS, AT_ONCE))
    return [from_recorded(event, str(user_of(event.stream.id))) for several in some for event in _in_turns(several)]


async def _stored(store: Store, order_id: UUID) -> Sequence[RecordedEvent]:
    appended = Append(StreamId(TENANT, "order", order_id), 0, [new_event(event) for event in life(order_id)])
    origin = Origin(TENANT, "service:bench", "req_1_0123abcd")
    return await store.commit(Commit(origin, SystemClock().now(), [appended], publish=False))


def _in_turns(lives: Sequence[Sequence[RecordedEvent]]) -> Iterator[RecordedEvent]:
    for step in zip(*lives, strict=True):
        yield from step


def worked(pid: int | None) -> float:
    """Processor seconds of a process."""
    spent = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(spent[11]) + int(spent[12])) / TICKS


async def catch_up(store: Store, environment: dict[str, str], resources: Path, *, bulk: bool) -> float:
    """Events per processor second."""
    async with beside_sidecars(environment, store, resources=[resources]) as publisher:
        events = await written(store)
        for first in range(0, len(events), 100):
            await publisher.runtime.publisher.publish(ORDER_EVENTS.name, *events[first : first + 100])
    last = [UUID(event.subject) for event in events if event.type == OrderCancelled.TYPE]
    function.shows, before = bulk, time.process_time()
    async with beside_sidecars(environment, store, function, resources=[resources]) as host:
        async with asyncio.timeout(60):
            while await _behind(store, last):
                await asyncio.sleep(0.1)
        return len(events) / (time.process_time() - before + worked(host.sidecars[0].pid))


async def _behind(store: Store, orders: Sequence[UUID]) -> int:
    done = {"id": orders, "status": "cancelled"}
    return ORDERS - len(await store.find(Query("orders", TENANT, done, limit=ORDERS)))


async def of_broker(name: str, store: Store, environment: dict[str, str], folder: Path) -> Rows:
    resources = ROOT / "local"
    if name != "redis":
        resources = folder / "components"
        write_components(name, resources)
        await prepare(resources, environment)
    found: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(ROUNDS):
        for bulk in (False, True):
            found[bulk].append(await catch_up(store, environment, resources, bulk=bulk))
    single, many = (statistics.median(found[bulk]) for bulk in (False, True))
    row = {"name": f"{name}: read models, events per CPU second, in bulk", "value": many, "worst": min(found[True])}
    return [{**row, "unit": "events/CPU s", "ratio": many / single, "peer": f"one a delivery, {single:,.0f}"}]


async def measure() -> Rows:
    rows: Rows = []
    with tempfile.TemporaryDirectory(prefix="patriot-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)  # noqa: ASYNC240 - once, for the server's own user
        async with open_store(folder / "postgres") as store, Fleet(folder) as fleet:
            environment: dict[str, str] = {}
            for broker in ("redis", "kafka"):
                (folder / broker).mkdir()
                try:
                    made = BROKERS[broker](folder / broker, free_ports(3))
                except ToolMissing as missing:
                    print(f"NOT MEASURED: {missing}", file=sys.stderr)
                    continue
                for program in made.programs:
                    await fleet.start([program])
                environment |= made.environment
                rows += await of_broker(broker, store, environment, folder / broker)
    return rows


def run() -> Rows:
    return asyncio.run(measure())


if __name__ == "__main__":
    for row in run():
        print({key: round(value, 3) if isinstance(value, float) else value for key, value in row.items()})
