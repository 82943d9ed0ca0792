"""How parts run in a cluster: what may sleep, what must not, and how many there are."""

import re
from pathlib import Path

import pytest

from patriot.deploy.parts import CLIENT_API, RANGES, class_of, documents, hosts_of
from patriot.runtime import discovery
from patriot.runtime.function import Context, Feed, Function
from schemas.events import OrderRouted, UserRegistered
from schemas.topics import ORDER_EVENTS

ROOT = Path(__file__).parents[3]
FUNCTIONS, FEEDS = discovery.functions(), discovery.feeds()
PARTS = documents(FUNCTIONS, FEEDS)


async def _handler(_event: object, _context: Context) -> None:
    """Does nothing."""


@pytest.mark.requirement("C3")
def test_class_follows_what_a_function_declares():
    request, subscriber, invoked = Function("a"), Function("b"), Function("c")
    subscriber.on(ORDER_EVENTS, OrderRouted)(_handler)
    invoked.invoked("/ask")(_handler)
    assert [class_of(part) for part in (request, subscriber, invoked)] == ["request", "subscriber", "subscriber"]
    assert class_of(Function("d", publishes=(OrderRouted,))) == "order-path"
    assert class_of(Function("e", publishes=(UserRegistered,))) == "request"


@pytest.mark.requirement("C4")
def test_the_whole_way_of_an_order_never_sleeps():
    path = {part["name"] for part in PARTS["functions"] if part["class"] == "order-path"}
    assert {"order-commands", "order-routing", "order-execution", "order-lifecycle"} <= path


@pytest.mark.requirement("C3")
def test_nothing_that_another_part_invokes_may_sleep():
    """Dapr's invocations pass Knative's activator by, so nobody would wake it."""
    sources = [
        path.read_text(encoding="utf-8") for kind in ("functions", "feeds") for path in (ROOT / kind).rglob("*.py")
    ]
    invoked = {name for text in sources for name in re.findall(r'\.invoke\(\s*"([a-z-]+)"', text)}
    sleeping = {part["name"] for part in PARTS["functions"] if part["class"] == "request"}
    assert invoked, "some part invokes another"
    assert not invoked & sleeping


def test_subscriptions_are_those_that_the_part_tells_dapr():
    for function in FUNCTIONS:
        [listed] = [part for part in PARTS["functions"] if part["name"] == function.name]
        assert {path for entry in listed["subscriptions"] for path in entry["paths"]} == {
            entry.path for entry in function.subscriptions
        }
        ruled = {rule["path"] for entry in listed["subscriptions"] for rule in entry["routes"].get("rules", ())}
        in_bulk = {entry["routes"]["default"] for entry in listed["subscriptions"] if "bulkSubscribe" in entry}
        topics = {entry.topic.name for entry in function.subscriptions}
        paths = {entry.path for entry in function.subscriptions}
        expected = (set(), {f"/events/{topic}" for topic in topics}) if function.shows else (paths, set())
        assert (ruled, in_bulk) == expected


def test_settings_are_those_of_the_platform():
    assert {"market", "log_level", "pool_app"} <= set(PARTS["settings"])


@pytest.mark.requirement("B14")
def test_ranges_are_those_of_the_roles():
    asked = {"fix": (2, 4), "liquidity": (3, 5), "b-book": (3, 8), "stream": (5, 15), "order-routing": (3, 5)}
    assert {name: tuple(RANGES[name]) for name in asked} == asked
    assert tuple(RANGES["order-commands"]) == tuple(RANGES["order-lifecycle"]) == (5, 10)
    assert tuple(CLIENT_API) == (3, 10)
    assert tuple(RANGES["broker-admin"]) == (2, 5)


def test_every_feed_has_one_host_and_an_unknown_one_lives_alone():
    feeds = [*FEEDS, Feed("weather")]
    housed = [name for host in hosts_of(feeds) for name in host.feeds]
    assert sorted(housed) == sorted(feed.name for feed in feeds)
    assert next(host for host in hosts_of(feeds) if host.name == "weather").feeds == ("weather",)


@pytest.mark.requirement("C4")
def test_feeds_that_meet_on_ticks_share_a_process():
    [market] = [host for host in hosts_of(FEEDS) if host.name == "market"]
    assert {*market.feeds, "venue"} == {feed.name for feed in FEEDS if feed.on_ticks}
    assert {"market-data", "triggers"} <= set(market.feeds)
    assert market.shard == "symbol"


@pytest.mark.requirement("C4")
def test_built_in_exchange_has_a_process_and_a_market_of_its_own():
    """All shards trade on one exchange, and its journal has one writer."""
    [venue] = [host for host in hosts_of(FEEDS) if host.name == "venue"]
    assert (venue.feeds, venue.beside, venue.shard, venue.journal) == (("venue",), ("market-data",), None, True)
