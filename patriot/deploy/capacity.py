"""How many cores, replicas and partitions a load needs. Rule: a figure is measured, or says that it is not.

python -m patriot.deploy        writes docs/capacity.md with the rest
"""

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

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
    Work("orders acknowledged", "order-commands", ORDERS, 805, "orders: acknowledgement burst, busy machine"),
    Work("orders to their end", "the order path", ORDERS, 50, "orders: sustained 100/s on two busy cores, all parts"),
    Work("durable events", "PostgreSQL", EVENTS, 6_500, "event_store: 13,072/s on two busy cores"),
    Work("client sockets", "stream", SOCKETS, 4_000, "an assumption: not measured"),
)
PARTITIONS = (("market.data.*", MARKET, 10_000), ("order.events, order.status", EVENTS, 500))
"""Topics, messages a second, and what one consumer of one partition should keep up with: an assumption."""


HEAD = f"""\
# Capacity

For {MARKET:,} market messages, {EVENTS:,} order events a second and {SOCKETS:,} client sockets. `make generate` writes
this page from the costs in [benchmarks.md](benchmarks.md), which come from a busy machine of two cores: a quiet one
needs less. A core is planned at {USE:.0%}.

| load | part | per second | one core does | cores | measured by |
| --- | --- | --- | --- | --- | --- |
"""
TAIL = """
A consumer has no more working replicas than its topic has partitions: the six of the order topics carry six replicas,
so raise them first. PostgreSQL writes on one primary; its cores above are the writers' and the server's together. The
order path is the first to need machines: its cost per order is the figure to bring down. What one partition carries
is not measured: one event is one request from the sidecar.
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
    yield "\n| topics | messages a second | partitions |\n| --- | --- | --- |\n"
    for topics, per_second, per_partition in PARTITIONS:
        yield f"| {topics} | {per_second:,} | {ceil(per_second / per_partition)} |\n"
    yield TAIL
