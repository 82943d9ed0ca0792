"""`patriot up --dapr` as its users run it: from nothing to a filled order over real sidecars, then Ctrl-C."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from patriot.cli.output import UNSOUND
from patriot.runtime.dapr.backing import ALL
from patriot.telemetry.spans import trace_id_of
from tests.support.collector import Collector, Span, collecting
from tests.support.servers import require

pytestmark = [pytest.mark.dapr, pytest.mark.slow, pytest.mark.timeout(400)]
ROOT = Path(__file__).parents[2]
START_SECONDS_MAX = 240
TRACE_SECONDS_MAX = 120


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-dapr-up-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "patriot.cli.main", "--json", "--data-dir", str(folder), *arguments]


def running_in(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


@pytest.mark.requirement("C3", "C4", "C5", "P16", "A8")
async def test_order_is_filled_over_real_sidecars_and_ctrl_c_leaves_nothing_running(folder: Path):
    """Each topic on the broker that suits it; the order is one complete trace."""
    require(ALL)
    with collecting() as collector:
        async with up(folder, "--broker", ALL, PATRIOT_OTLP_ENDPOINT=collector.url) as lines:
            while (line := await anext(lines)).get("event") != "running":
                assert "event" in line, line  # an error
            while (await anext(lines)).get("status") != "filled":
                pass
            assert sum("daprd" in line for line in running_in(folder)) > 10
            await until_complete(collector, traced(folder))
            assert asked_for_by_alerts() <= await shown(folder)
    assert running_in(folder) == []


def asked_for_by_alerts() -> set[str]:
    """Metrics of ours that an alert needs, but for those that only a replica or something bad makes."""
    rules = yaml.safe_load((ROOT / "charts/patriot/files/alerts.yaml").read_text(encoding="utf-8"))
    queries = " ".join(rule["expr"] for group in rules["groups"] for rule in group["rules"])
    return {name for name in re.findall(r"[a-z_]{4,}", queries) if name in ALERTING}


ALERTING = {
    "order_processing_duration_seconds_bucket",
    "http_requests_total",
    "http_requests_without_correlation_id_total",
    "request_duration_seconds_bucket",
    "outbox_depth",
    "read_model_lag_seconds",
    "feed_staleness_seconds",
    "deliveries_total",
    "events_total",
    "store_connections",
    "venue_budget_left",
}


async def shown(folder: Path) -> set[str]:
    """Every series of every process, as Prometheus would find them."""
    found: set[str] = set()
    groups = json.loads((folder / "dapr" / "prometheus.json").read_text())
    async with httpx.AsyncClient() as client:
        for group in groups:
            [target] = group["targets"]
            page = await client.get(f"http://{target}/metrics")
            found |= set(re.findall(r"^([a-z_]+)", page.text, re.MULTILINE))
    assert {group["labels"]["pod"] for group in groups} >= {"order-commands", "relay", "market-data"}
    return found


@asynccontextmanager
async def up(folder: Path, *arguments: str, **settings: str) -> AsyncIterator[AsyncIterator[dict[str, Any]]]:
    """`patriot up --dapr`, by its lines; ended by Ctrl-C."""
    environment = {**os.environ, "PATRIOT_VENUE_PORT": "0", "PATRIOT_LOG_LEVEL": "error", **settings}
    process = await asyncio.create_subprocess_exec(
        *command(folder, "up", "--dapr", "--plain", "--port", "0", *arguments),
        env=environment,
        stdout=asyncio.subprocess.PIPE,
    )

    async def lines() -> AsyncIterator[dict[str, Any]]:
        assert process.stdout is not None
        async with asyncio.timeout(START_SECONDS_MAX):
            while line := await process.stdout.readline():
                yield json.loads(line)

    try:
        yield lines()
    finally:
        process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0


def traced(folder: Path) -> list[str]:
    """The last order's correlation ids, as `patriot trace` tells them, with every part that had to do with it: one, or
    more where the venue's stream has told of the fill before its answer did.
    """
    done = subprocess.run(command(folder, "trace", "last"), capture_output=True, text=True, check=True)
    told = json.loads(done.stdout)
    services = [one["service"] for one in told["services"]]
    assert services == ["order-commands", "order-routing", "order-execution", "order-lifecycle"]
    return list(dict.fromkeys(one["correlation_id"] for one in told["flow"]))


async def until_complete(collector: Collector, correlation_ids: Sequence[str]) -> None:
    """Sidecars send their spans every five seconds."""
    traces = {f"{trace_id_of(one):032x}": one for one in correlation_ids}

    def told() -> set[tuple[str, ...]]:
        return {line for trace_id in traces for line in lines_of(collector.of_trace(trace_id))}

    async with asyncio.timeout(TRACE_SECONDS_MAX):
        while WHOLE - {below_execution(line) for line in told()}:
            await asyncio.sleep(0.2)
    for trace_id, correlation_id in traces.items():
        own = [span for span in collector.of_trace(trace_id) if not span.service.endswith(".sidecar")]
        assert {span.attributes["correlation_id"] for span in own} == {correlation_id}
    assert "a span without its parent" not in {name for line in told() for name in line}


def below_execution(line: tuple[str, ...]) -> tuple[str, ...]:
    """What the venue's stream has told stands where the venue's answer would."""
    return (*EXECUTED, *line[1:]) if line[0] == "account-data" else line


def lines_of(spans: Sequence[Span]) -> set[tuple[str, ...]]:
    """Each span as the services from the root down to it, and its own name."""
    above = {span.id: span for span in spans}

    def services(span: Span) -> tuple[str, ...]:
        if not span.parent_id:
            return (span.service,)
        parent = above.get(span.parent_id)
        over = services(parent) if parent else ("a span without its parent",)
        return over if over[-1] == span.service else (*over, span.service)

    return {(*services(span), span.name) for span in spans}


def down(*parts: str) -> tuple[str, ...]:
    """Each part below its sidecar, as the broker brought it the event."""
    return tuple(name for part in parts for name in (f"{part}.sidecar", part))


EDGE = ("gateway", "order-commands")
EXECUTED = (*EDGE, *down("order-routing", "order-execution"))
RECORDED = (*EXECUTED, *down("order-lifecycle"))
SHOWN = (*RECORDED, "portfolio-projection")  # its sidecar tells in bulk, and has no span for each event
PUBLISH = "/dapr.proto.runtime.v1.Dapr/PublishEvent"
WHOLE = {
    ("gateway", "POST /orders"),
    (*EDGE, "commit"),
    (*EDGE, "order-commands.sidecar", PUBLISH),
    (*EXECUTED, "handle order.routed"),
    (*EXECUTED, "commit"),
    (*EXECUTED, "BINANCE create"),
    (*RECORDED, "handle venue.report"),
    (*RECORDED, "commit"),
    (*SHOWN, "handle order.filled"),
    (*SHOWN, "handle position.updated"),
    (*SHOWN, "commit"),
}
"""Edge, function, sidecar, broker, function, SQL, venue: from the request to the portfolio."""


def test_unsafe_component_ends_the_command_with_file_and_line(tmp_path: Path):
    (tmp_path / "redis.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: events}\n"
        "spec:\n  type: pubsub.redis\n  version: v1\n  metadata:\n    - {name: maxLenApprox, value: '10'}\n"
    )
    done = subprocess.run(command(tmp_path, "topics", str(tmp_path)), capture_output=True, text=True, check=False)
    assert done.returncode == UNSOUND
    assert any(
        line.startswith(f"{tmp_path}/redis.yaml:8: maxLenApprox: 10") for line in json.loads(done.stdout)["wrong"]
    )


def test_part_that_is_not_there_is_named(tmp_path: Path):
    done = subprocess.run(command(tmp_path, "serve", "nobody"), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "there is no part nobody" in done.stdout + done.stderr


@pytest.mark.requirement("P14")
def test_process_without_an_app_token_does_not_serve(tmp_path: Path):
    environment = {name: text for name, text in os.environ.items() if name != "APP_API_TOKEN"}
    done = subprocess.run(
        command(tmp_path, "serve", "auth"), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "APP_API_TOKEN is not set" in done.stdout + done.stderr
