"""What Prometheus reads after one order: nothing that an alert asks for stays silent for ever."""

import re
from pathlib import Path

import httpx
import pytest

from patriot.runtime import asgi
from patriot.runtime.platform import platform
from patriot.runtime.serving import free_port
from patriot.runtime.settings import Settings
from patriot.telemetry.metrics import Metrics, metrics
from tests.integration.telemetry.test_traces import CORRELATION_ID, BrokenVenue, FillingVenue, order_of
from tests.support.host import running_host, until_idle

ROOT = Path(__file__).parents[3]
SOURCES = "\n".join(
    path.read_text(encoding="utf-8")
    for folder in ("patriot", "functions", "feeds")
    for path in (ROOT / folder).rglob("*.py")
    if path.name != "metrics.py"
)
MAKERS = [name for name in vars(Metrics) if not name.startswith("_") and name != "exposition"]


def value(name: str, **labels: str) -> float:
    return metrics.registry.get_sample_value(name, labels) or 0.0


@pytest.mark.requirement("P16")
@pytest.mark.requirement("A8")
async def test_one_order_moves_every_measure_of_its_way():
    before = value("traded_value_total", venue="BINANCE", currency="USDT"), value("events_total", type="order.filled")
    async with running_host(outbox_age_seconds=0.02) as host:
        await order_of(host, FillingVenue())
        await until_idle(host)
        await host.runtime.clock.sleep(0.1)
        page = await asgi.request(
            host.edges["order-commands"], "GET", "/metrics", {"accept": "application/openmetrics-text; version=1.0.0"}
        )
    text = page.body.decode()
    for stage in ("route", "send", "answer", "total"):
        assert re.search(rf'order_processing_duration_seconds_count\{{.*stage="{stage}"\}} [1-9]', text), stage
    assert value("traded_value_total", venue="BINANCE", currency="USDT") == before[0] + 600
    assert value("events_total", type="order.filled") == before[1] + 1
    assert 'deliveries_total{service="order-lifecycle",topic="order.status",verdict="SUCCESS"}' in text
    for series in ('read_model_lag_seconds{projection="orders"}', "dead_letters_waiting{", "outbox_depth{"):
        assert series in text
    assert re.search(rf'request_duration_seconds_bucket.*# {{correlation_id="{CORRELATION_ID}"', text)


@pytest.mark.requirement("P16", "A8")
async def test_delivery_that_fails_is_counted_as_such():
    labels = {"service": "order-execution", "topic": "order.events"}
    before = value("deliveries_total", **labels, verdict="RETRY")
    async with running_host() as host:
        await order_of(host, BrokenVenue())
        while not host.broker.deliveries >= 3:
            await host.runtime.clock.sleep(0.01)
        await host.runtime.clock.sleep(0.1)
    assert value("deliveries_total", **labels, verdict="RETRY") > before


@pytest.mark.requirement("P16")
async def test_probes_are_no_requests_without_correlation_id():
    def counted() -> float:
        return value("http_requests_without_correlation_id_total", service="gateway")

    before = counted()
    async with running_host() as host:
        await asgi.request(host.edges["order-commands"], "GET", "/metrics")
        assert counted() == before
        await asgi.request(host.public, "GET", "/api/v1/prices")
        assert counted() == before + 1


@pytest.mark.requirement("P16")
async def test_refused_token_is_counted():
    before = value("tokens_refused_total", service="gateway", kind="malformed")
    async with running_host() as host:
        answer = await asgi.request(host.public, "GET", "/api/v1/orders", {"authorization": "Bearer nonsense"})
    assert answer.status == 401
    assert value("tokens_refused_total", service="gateway", kind="malformed") == before + 1


@pytest.mark.requirement("P16")
@pytest.mark.parametrize("maker", MAKERS)
def test_metric_is_moved_somewhere(maker: str):
    """A metric that nobody moves is an alert that never fires."""
    assert re.search(rf"\b(metrics|measured)\.{maker}\(", SOURCES)


@pytest.mark.postgres
@pytest.mark.requirement("P16")
async def test_embedded_platform_shows_its_page_on_a_port_of_its_own(database: str, tmp_path: Path):
    settings = Settings(
        data_dir=tmp_path, database_url=database, port=0, execution="in_process", demo=False, metrics_port=free_port()
    )
    async with platform(settings) as running, httpx.AsyncClient() as client:
        page = await client.get(f"http://127.0.0.1:{settings.metrics_port}/metrics")
        assert page.status_code == 200
        assert "read_model_lag_seconds" in page.text
        assert (await client.get(f"{running.url}/metrics")).status_code == 404, "the public edge does not show it"
