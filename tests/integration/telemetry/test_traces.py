"""One order is one trace, as a collector sees it."""

from decimal import Decimal
from uuid import UUID

import pytest

from feeds.strategies.app import place_order
from patriot.domain.venue import Accepted
from patriot.runtime.clock import SeededIds
from patriot.runtime.edge import user_context
from patriot.runtime.settings import Settings
from patriot.strategy import Intent
from patriot.telemetry.otlp import exporting
from patriot.telemetry.spans import trace_id_of
from tests.integration.order_lists.market import FEEDS, market
from tests.support.collector import Collector, Span, collecting
from tests.support.host import PERPETUAL, Client, define, running_host, set_price, until_idle
from tests.support.venues import RestingVenue

CORRELATION_ID = "req_1763690171123_9f86d081"


class FillingVenue(RestingVenue):
    async def create(self, order: object) -> Accepted:
        self.created.append(order)
        return self._accept(self._state(order, filled=order.quantity))


class BrokenVenue(RestingVenue):
    async def create(self, order: object) -> Accepted:
        raise ConnectionError("no route; api_secret=hunter2")


async def order_of(host, venue, **headers) -> None:
    host.runtime.venues["paper"] = venue
    await define(host.runtime.store, PERPETUAL)
    await set_price(host, PERPETUAL.id, "60000", "60000.1")
    user = await Client(host).register("ada")
    order = {
        "account_id": await user.paper_account(USDT="10000"),
        "instrument": PERPETUAL.id,
        "side": "buy",
        "order_type": "limit",
        "quantity": "0.01",
        "price": "60000",
    }
    await user.json("POST", "/orders", order, 201, x_correlation_id=CORRELATION_ID, **headers)


async def traced_order(collector: Collector, venue=None, **headers) -> list[Span]:
    settings = Settings(otlp_endpoint=collector.url)
    async with exporting(settings, SeededIds(7)), running_host() as host:
        await order_of(host, venue or FillingVenue(), **headers)
        await until_idle(host)
    return collector.of(CORRELATION_ID)


def line(spans: list[Span], leaf: Span) -> list[str]:
    """The names from the root down to `leaf`."""
    above = {span.id: span for span in spans}
    names = [leaf.name]
    while leaf.parent_id:
        leaf = above[leaf.parent_id]
        names.append(leaf.name)
    return names[::-1]


@pytest.mark.requirement("P16")
@pytest.mark.requirement("A8")
async def test_one_order_is_one_complete_trace():
    with collecting() as collector:
        spans = await traced_order(collector)
    assert {span.trace_id for span in spans} == {f"{trace_id_of(CORRELATION_ID):032x}"}
    assert len({span.id for span in spans}) == len(spans)
    [root] = [span for span in spans if not span.parent_id]
    assert (root.service, root.name) == ("gateway", "POST /orders")
    [shown] = [
        span for span in spans if span.name == "handle position.updated" and span.service == "portfolio-projection"
    ]
    assert line(spans, shown) == [
        "POST /orders",  # edge
        "POST /orders",  # decide
        "handle order.created",  # route
        "handle order.routed",  # execute
        "handle venue.report",  # lifecycle
        "handle position.updated",  # projection
    ]
    [sent] = [span for span in spans if span.name == "venue create"]
    assert line(spans, sent)[-2:] == ["handle order.routed", "venue create"]
    assert {"gateway", "order-commands", "order-routing", "order-execution", "order-lifecycle"} <= {
        span.service for span in spans
    }
    committed = {span.service for span in spans if span.name == "commit"}
    assert {
        "order-commands",
        "order-routing",
        "order-execution",
        "order-lifecycle",
        "portfolio-projection",
    } <= committed
    assert not [span for span in spans if span.failed]
    assert all(begun <= ended for begun, ended in (span.nanoseconds for span in spans))


@pytest.mark.requirement("P16")
async def test_callers_own_trace_is_linked_and_a_broken_one_is_let_go():
    theirs = "0af7651916cd43dd8448eb211c80319c"
    with collecting() as collector:
        spans = await traced_order(collector, traceparent=f"00-{theirs}-b7ad6b7169203331-01")
    [root] = [span for span in spans if not span.parent_id]
    assert root.links == (theirs,)
    with collecting() as collector:
        spans = await traced_order(collector, traceparent="00-nonsense")
    assert [span.links for span in spans if not span.parent_id] == [()]


@pytest.mark.requirement("P15")
async def test_failure_is_in_the_trace_without_its_secret():
    with collecting() as collector:
        async with exporting(Settings(otlp_endpoint=collector.url), SeededIds(7)), running_host() as host:
            await order_of(host, BrokenVenue())
            while not host.broker.deliveries >= 3:
                await host.runtime.clock.sleep(0.01)
            await host.runtime.clock.sleep(0.2)
    spans = collector.of(CORRELATION_ID)
    assert [span for span in spans if span.failed and span.name == "venue create"]
    assert "hunter2" not in repr(collector.spans)


async def test_collector_that_is_gone_stops_no_order():
    settings = Settings(otlp_endpoint="http://127.0.0.1:9")
    async with exporting(settings, SeededIds(7)), running_host() as host:
        await order_of(host, FillingVenue())
        await until_idle(host)


@pytest.mark.requirement("P16", "P22")
async def test_what_a_feed_does_by_itself_is_a_trace_from_its_beginning():
    with collecting() as collector:
        async with (
            exporting(Settings(otlp_endpoint=collector.url), SeededIds(7)),
            market(feeds=(*FEEDS, "strategies")) as m,
        ):
            await m.order("sell", "1", order_type="trailing_stop", trailing={"rule": "offset", "distance": "620"})
            await m.move("59000")
            runtime, me = m.host.runtime, await m.user.json("GET", "/users/me")
            context = user_context(runtime, "strategies", runtime.settings.tenant_id, UUID(me["user_id"]))
            await place_order(context, UUID(m.account_id), "test", Intent(PERPETUAL.id, "buy", Decimal("0.01")))
            await m.settle()
    ways = {(*line(of(collector, span), span)[:2], span.name, span.service) for span in collector.spans}
    assert ("trigger", "commit", "commit", "triggers") in ways
    assert ("trigger", "handle order.triggered", "handle order.triggered", "order-routing") in ways
    assert ("signal", "POST /orders/{order_id}/place", "handle order.created", "order-routing") in ways
    begun = [span for span in collector.spans if span.name in {"trigger", "signal"}]
    assert all(span.trace_id == f"{trace_id_of(str(span.attributes['correlation_id'])):032x}" for span in begun)


def of(collector: Collector, span: Span) -> list[Span]:
    return collector.of_trace(span.trace_id)
