"""How many cores, replicas and partitions a load needs. Rule: a figure is measured, or says that it is not.

python -m patriot.deploy        writes docs/capacity.md with the rest
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

from patriot.deploy.queues import SESSION_SECONDS, USE_MAX, WAIT_SECONDS_MAX, Load, size

USE = 0.5
"""Share of a core that is planned for: the rest is for bursts, collections and the loss of one replica."""


class Work(NamedTuple):
    """One kind of message: how many come, and how many one core handles."""

    what: str
    part: str
    per_second: int
    per_core: int
    source: str


MARKET, EVENTS, SOCKETS = 100_000, 10_000, 10_000
EVENTS_PER_ORDER = 7  # created, routed, submit_started, accepted, filled, position, balance
ORDERS = EVENTS // EVENTS_PER_ORDER
WORK = (
    Work("depth messages, 40 %", "market host", MARKET * 4 // 10, 46_000, "market_data: decode and book, 36 levels"),
    Work("quotes, 30 %", "market host", MARKET * 3 // 10, 949_000, "market_data: quotes"),
    Work("trades, 30 %", "market host", MARKET * 3 // 10, 796_000, "market_data: trades"),
    Work("orders to their end", "the order path", ORDERS, 33, "sidecars: 30 ms an order in all functions and feeds"),
    Work("their deliveries", "sidecars of the order path", ORDERS, 54, "sidecars: 18.5 ms an order in all sidecars"),
    Work("durable events", "PostgreSQL", EVENTS, 6_500, "event_store: 13,072/s on two busy cores"),
    Work("client sockets", "stream", SOCKETS, 4_000, "an assumption: not measured"),
)
FACTORS = (1, 3, 10, 100)
BASE_EVENTS, BASE_MARKET, BASE_USERS = EVENTS // 10, MARKET // 10, 1_000
EVENT_SECONDS = 0.002
"""One delivery to a consumer and its commit: 1,000 deliveries a second of one partition, and a lone writer's commit."""
MARKET_PER_PARTITION = 10_000
"""An assumption: not measured."""


HEAD = f"""\
# Capacity

For {MARKET:,} market messages, {EVENTS:,} order events a second and {SOCKETS:,} client sockets. `make generate` writes
this page from the costs in [benchmarks.md](benchmarks.md), which come from a busy machine of two cores: a quiet one
needs less. A core is planned at {USE:.0%}.

| load | part | per second | one core does | cores | measured by |
| --- | --- | --- | --- | --- | --- |
"""
WAIT_MS_MAX = WAIT_SECONDS_MAX * 1000
COLUMNS = (
    "load",
    "order events/s",
    "partitions",
    "busiest in use",
    "p99 wait, ms",
    "killed: in time after, s",
    "cores of the order path",
    "market messages/s",
    "market partitions",
    "market shards",
)
GROWTH = f"""
## Growth, by simulation

Each partition of the order topics is a queue with one server (`patriot/deploy/queues.py`) that needs
{EVENT_SECONDS * 1000:g} ms for an event: about 1 ms of delivery (of one partition 1,000 to 1,400 a second were
measured, to a handler that does nothing) and a commit. Users come at random, are as unlike as a power law makes them,
and obey the gateway's limit on orders. Partitions: the fewest of which the busiest is in use for at most
{USE_MAX:.0%} and one event in a hundred waits longer than {WAIT_MS_MAX:.0f} ms. A killed consumer keeps its
partitions for {SESSION_SECONDS:.0f} s; one that stops in order, for none.

| {" | ".join(COLUMNS)} |
|{" --- |" * len(COLUMNS)}
"""
TAIL = """
The order path's cores are those of its parts and their sidecars, measured on one machine of two cores where seventy
processes take turns: an upper bound, and the first cost to bring down. A consumer has no more working replicas than its
topic has partitions, so raise them first: `patriot topics` makes the six of the table, more are yours. PostgreSQL
writes on one primary; its cores above are the writers' and the server's together, and 100× is beyond it (see
[operations.md](operations.md#scale)).
"""


def document() -> str:
    return "".join(_lines())


def cores(work: Work) -> float:
    return work.per_second / work.per_core / USE


def _lines() -> Iterator[str]:
    yield HEAD
    for work in WORK:
        numbers = f"{work.per_second:,} | {work.per_core:,} | {cores(work):.1f}"
        yield f"| {work.what} | {work.part} | {numbers} | {work.source} |\n"
    market = sum(cores(work) for work in WORK if work.part == "market host")
    path = sum(cores(work) for work in WORK if work.part == "the order path")
    yield "\n| part | replicas |\n| --- | --- |\n"
    yield f"| market host | {ceil(market)} shards of symbols, one core each |\n"
    yield f"| order path, all parts | {ceil(path)} cores; a replica uses one |\n"
    yield f"| stream | {ceil(cores(WORK[-1]))} |\n"
    yield GROWTH
    yield from map(_growth, FACTORS)
    yield TAIL


def _growth(factor: int) -> str:
    """One row, from a simulation of the order topics' partitions."""
    events = BASE_EVENTS * factor
    found = size(Load(events, BASE_USERS * factor, EVENTS_PER_ORDER, EVENT_SECONDS))
    path = sum(cores(work) for work in WORK if "order" in work.part) * events / EVENTS
    market = sum(cores(work) for work in WORK if work.part == "market host") * events / EVENTS
    cells = [f"{factor}×", f"{events:,}", str(found.partitions), f"{found.use:.0%}", f"{found.wait_seconds * 1000:.0f}"]
    cells += [f"{found.recovery_seconds:.0f}", f"{path:.0f}", f"{BASE_MARKET * factor:,}"]
    cells += [str(ceil(BASE_MARKET * factor / MARKET_PER_PARTITION)), str(ceil(market))]
    return "| " + " | ".join(cells) + " |\n"
