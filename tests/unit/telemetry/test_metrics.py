"""Metrics: the names and labels that alerts and dashboards ask for; bounded label values; handles remembered."""

import re

import pytest

from patriot.telemetry import metrics as telemetry
from patriot.telemetry.metrics import Metrics

ID = "req_1763690171123_9f86d081"


def page(metrics: Metrics, accept: str = "") -> str:
    return metrics.exposition(accept)[1].decode()


@pytest.mark.requirement("P16")
def test_http_request_is_counted_and_timed() -> None:
    metrics = Metrics()
    metrics.http("orders", "POST", "/orders", 201).observe(0.003)
    metrics.http("orders", "POST", "/orders", 500).observe(0.2)
    text = page(metrics)
    assert 'http_requests_total{method="POST",route="/orders",service="orders",status="201"} 1.0' in text
    assert 'http_requests_total{method="POST",route="/orders",service="orders",status="500"} 1.0' in text
    assert 'request_duration_seconds_count{method="POST",route="/orders",service="orders"} 2.0' in text
    assert 'request_duration_seconds_bucket{le="0.005",method="POST",route="/orders",service="orders"} 1.0' in text


@pytest.mark.requirement("P16")
def test_metrics_of_the_alert_rules_have_their_names() -> None:
    metrics = Metrics()
    metrics.without_correlation_id("gateway").inc()
    metrics.order_processing("orders", "total").observe(0.01)
    metrics.orders_failed("orders", "insufficient_buying_power").inc()
    metrics.tokens_refused("gateway", "forged").inc()
    metrics.feed("market-data", "BINANCE").staleness_seconds.set(61)
    metrics.feed("market-data", "BINANCE").reconnects.inc()
    metrics.outbox_depth("relay").set(7)
    metrics.read_model_lag_seconds("portfolio").set(0.2)
    metrics.dead_letters("order.events", "portfolio-projection").inc()
    text = page(metrics)
    for sample in (
        'http_requests_without_correlation_id_total{service="gateway"} 1.0',
        'order_processing_duration_seconds_bucket{le="0.01",service="orders",stage="total"} 1.0',
        'orders_failed_total{reason="insufficient_buying_power",service="orders"} 1.0',
        'tokens_refused_total{kind="forged",service="gateway"} 1.0',
        'feed_staleness_seconds{feed="market-data",venue="BINANCE"} 61.0',
        'feed_reconnects_total{feed="market-data",venue="BINANCE"} 1.0',
        'outbox_depth{service="relay"} 7.0',
        'read_model_lag_seconds{projection="portfolio"} 0.2',
        'dead_letters_total{consumer="portfolio-projection",topic="order.events"} 1.0',
    ):
        assert sample in text.splitlines()


@pytest.mark.requirement("P15")
def test_correlation_id_is_an_exemplar_and_never_a_label() -> None:
    metrics = Metrics()
    metrics.http("orders", "GET", "/orders", 200).observe(0.003, ID)
    content_type, body = metrics.exposition("application/openmetrics-text; version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    assert re.search(rf'_bucket{{[^}}]*}} 1.0 # {{correlation_id="{ID}"}} 0.003', body.decode())
    assert body.decode().count(ID) == 1
    assert ID not in page(metrics)


def test_invented_methods_share_one_label() -> None:
    metrics = Metrics()
    for number in range(100):
        metrics.http("gateway", f"HACK{number}", "unmatched", 405).observe(0.001)
    assert 'http_requests_total{method="other",route="unmatched",service="gateway",status="405"} 100.0' in page(metrics)
    assert "HACK" not in page(metrics)
    assert len(metrics._handles) == 0


def test_handle_is_remembered() -> None:
    metrics = Metrics()
    assert metrics.http("a", "GET", "/", 200) is metrics.http("a", "GET", "/", 200)
    assert metrics.outbox_depth("a") is metrics.outbox_depth("a")
    assert metrics.outbox_depth("a") is not metrics.outbox_depth("b")
    assert metrics.orders_failed("a", "b") is not metrics.tokens_refused("a", "b")


def test_two_sets_of_metrics_do_not_mix() -> None:
    one, other = Metrics(), Metrics()
    one.without_correlation_id("a").inc()
    assert 'http_requests_without_correlation_id_total{service="a"}' not in page(other)


def test_process_tells_its_memory_and_processor_time() -> None:
    text = page(telemetry.metrics)
    assert "process_resident_memory_bytes" in text
    assert "process_cpu_seconds_total" in text
