"""The log of one order: every service that had to do with it tells what it did and how long, under one id."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from patriot.telemetry.logs import FIELDS, configure_logs
from patriot.telemetry.work import write_work
from tests.integration.telemetry.test_traces import CORRELATION_ID, BrokenVenue, FillingVenue, order_of
from tests.support.host import Client, running_host, until_idle


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    target = io.StringIO()
    configure_logs(form="json", stream=target)
    yield target
    root.handlers[:], root.level = handlers, level
    structlog.reset_defaults()
    write_work(None)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert {tuple(line) for line in found} == {FIELDS}
    return found


@pytest.mark.requirement("P16", "P15", "P22")
async def test_every_service_of_an_order_tells_what_it_did_and_how_long(stream: io.StringIO):
    async with running_host() as host:
        await order_of(host, FillingVenue())
        await until_idle(host)
    told = [line for line in lines(stream) if line["correlation_id"] == CORRELATION_ID]
    assert all(line["duration_ms"] > 0 for line in told)
    assert {(line["service"], line["message"]) for line in told} >= {
        ("gateway", "POST /orders"),
        ("order-routing", "handle order.created"),
        ("order-execution", "handle order.routed"),
        ("order-lifecycle", "handle venue.report"),
        ("portfolio-projection", "handle order.filled"),
    }


@pytest.mark.requirement("P16", "P15")
async def test_failure_is_told_by_the_service_that_failed(stream: io.StringIO):
    async with running_host() as host:
        await order_of(host, BrokenVenue())
        while not host.broker.deliveries >= 3:
            await host.runtime.clock.sleep(0.01)
        await host.runtime.clock.sleep(0.1)
    failed = [line for line in lines(stream) if line["message"] == "delivery failed"]
    assert {(line["service"], line["correlation_id"]) for line in failed} == {("order-execution", CORRELATION_ID)}
    assert "hunter2" not in stream.getvalue()


@pytest.mark.requirement("P16")
async def test_route_that_fails_is_told_by_its_part(stream: io.StringIO, monkeypatch: pytest.MonkeyPatch):
    async with running_host() as host:
        user = await Client(host).register("ada")

        async def broken(*_: object, **__: object) -> None:
            raise RuntimeError("unforeseen")

        monkeypatch.setattr(host.runtime.store, "find", broken)
        answer = await user.call("GET", "/orders")
    assert answer.status == 500
    [line] = [line for line in lines(stream) if line["message"] == "request failed"]
    assert (line["service"], bool(line["correlation_id"])) == ("portfolio-queries", True)
