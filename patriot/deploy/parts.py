"""How each part runs in a cluster, read off its declaration. Rule: only what a person waits for may sleep.

Dapr pulls messages from inside the pod and its invocations pass Knative's activator by, so nothing would wake a
subscriber that was scaled to zero. Three classes follow, and values.yaml tunes each as a whole:

    order-path   appends to an order's stream: never sleeps, and never waits for the activator
    subscriber   receives events or invocations: never sleeps
    request      reached through the gateway only: may go to zero
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

from patriot.runtime.dapr.door import merged
from patriot.runtime.function import Feed, Function
from patriot.runtime.settings import Settings

Class = Literal["order-path", "subscriber", "request"]
Document = dict[str, Any]


class Range(NamedTuple):
    """Replicas in production: at least, at most."""

    least: int
    most: int


OMS, ROUTER, CLIENT_API, ADMIN = Range(5, 10), Range(3, 5), Range(3, 10), Range(2, 5)
RANGES = {
    "order-commands": OMS,
    "order-execution": OMS,
    "order-lifecycle": OMS,
    "risk-checks": OMS,
    "order-lists": OMS,
    "order-routing": ROUTER,
    "account-commands": ADMIN,
    "broker-admin": ADMIN,
    "compliance-reports": ADMIN,
    "dashboard": ADMIN,
    "strategy-commands": ADMIN,
    "user-commands": ADMIN,
    "fix": Range(2, 4),
    "liquidity": Range(3, 5),
    "b-book": Range(3, 8),
    "stream": Range(5, 15),
}
"""The ranges that the broker asks for by role; every other function is a part of the client API."""


class Host(NamedTuple):
    """Feeds that share a process. `shard`: what is dealt out over its shards; without, every replica does the same.

    `journal`: it keeps a file that only one process may write, on a volume of its own.
    `beside`: a feed of another host that this one runs for itself alone.
    """

    name: str
    feeds: tuple[str, ...]
    shard: str | None
    journal: bool = False
    beside: tuple[str, ...] = ()


MARKET = "market"
HOSTS = (Host("accounts", ("account-data",), "account"), Host("sessions", ("fix",), "session"))
"""Beside the market host, where every feed is that meets on the ticks port: ticks cross no process."""
VENUE = Host("venue", ("venue",), None, journal=True, beside=("market-data",))
"""The built-in exchange: one for all shards, reached over the wire, in a market of its own eyes."""


def class_of(function: Function) -> Class:
    if any(event.TYPE.startswith("order.") for event in function.publishes):
        return "order-path"
    if function.subscriptions or function.internal.routes:
        return "subscriber"
    return "request"


def documents(functions: Sequence[Function], feeds: Sequence[Feed]) -> Document:
    """What the chart iterates over: {functions: [...], hosts: [...]}, and the settings that there are."""
    return {
        "functions": [_function(function) for function in functions],
        "hosts": [_host(host, feeds) for host in hosts_of(feeds)],
        "settings": sorted(Settings.model_fields),
    }


def hosts_of(feeds: Sequence[Feed]) -> Iterator[Host]:
    """The market host, the named hosts of those feeds that exist, then the feeds that live alone."""
    on_ticks = tuple(feed.name for feed in feeds if feed.on_ticks and feed.name not in VENUE.feeds)
    others = [feed.name for feed in feeds if feed.name not in on_ticks]
    if on_ticks:
        yield Host(MARKET, on_ticks, "symbol")
    named = {name: host for host in (*HOSTS, VENUE) for name in host.feeds}
    for name in others:
        yield named.get(name, Host(name, (name,), None))


def subscriptions_of(parts: Sequence[Function]) -> list[Document]:
    """What the sidecar of one process subscribes to, and the paths that take these events one by one."""
    taken = [one for part in parts for one in part.subscriptions]
    return [
        {**entry, "paths": list(dict.fromkeys(one.path for one in taken if one.topic.name == entry["topic"]))}
        for entry in merged(parts)
    ]


def _function(function: Function) -> Document:
    scale = RANGES.get(function.name, CLIENT_API)
    return {
        "name": function.name,
        "folder": f"functions/{function.name.replace('-', '_')}",
        "class": class_of(function),
        "reports": any(getattr(route, "report", False) for route in function.router.routes),
        "replicas": {"least": scale.least, "most": scale.most},
        "subscriptions": subscriptions_of([function]),
    }


def _host(host: Host, feeds: Sequence[Feed]) -> Document:
    inside = [feed for feed in feeds if feed.name in host.feeds]
    return {
        "name": host.name,
        "feeds": [feed.name for feed in inside],
        "folders": [f"feeds/{feed.name.replace('-', '_')}" for feed in inside],
        "beside": [feed.name for feed in feeds if feed.name in host.beside],
        "shard": host.shard or "",
        "journal": host.journal,
        "subscriptions": subscriptions_of(inside),
    }
