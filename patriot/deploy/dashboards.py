"""Grafana dashboards. Rule: a panel is one line here, and every metric that it asks for exists (a test looks)."""

import json
from collections.abc import Iterator
from typing import Any, NamedTuple

Document = dict[str, Any]
WIDTH, HEIGHT, PER_ROW = 12, 8, 2


class Panel(NamedTuple):
    title: str
    query: str
    unit: str = "short"
    legend: str = ""
    note: str = ""
    kind: str = "timeseries"


def _quantile(rank: float, metric: str, by: str, only: str = "") -> str:
    return f"histogram_quantile({rank}, sum by ({by}, le) (rate({metric}_bucket{only}[5m])))"


DASHBOARDS: dict[str, tuple[Panel, ...]] = {
    "requests": (
        Panel(
            "Request Volume by Correlation ID",
            "sum by (service) (rate(http_requests_total[5m]))",
            "reqps",
            "{{service}}",
            "An id is never a label; the points of the latency panel carry it as exemplar.",
        ),
        Panel(
            "End-to-End Latency Distribution",
            "sum by (le) (increase(request_duration_seconds_bucket[1m]))",
            "s",
            "{{le}}",
            kind="heatmap",
        ),
        Panel(
            "Error Rate by Service",
            'sum by (service) (rate(http_requests_total{status=~"5.."}[5m]))'
            " / sum by (service) (rate(http_requests_total[5m]))",
            "percentunit",
            "{{service}}",
            kind="stat",
        ),
        Panel(
            "Trace Completeness",
            "100 * (1 - sum(rate(http_requests_without_correlation_id_total[5m]))"
            " / sum(rate(http_requests_total[5m])))",
            "percent",
            note="Requests that can be followed from part to part: those that came with their correlation id.",
            kind="gauge",
        ),
        *(
            Panel(f"Latency, p{rank}", _quantile(rank / 100, "request_duration_seconds", "service"), "s", "{{service}}")
            for rank in (50, 95, 99)
        ),
        Panel("Refused tokens", "sum by (kind) (rate(tokens_refused_total[5m]))", "reqps", "{{kind}}"),
    ),
    "trading": (
        Panel("Order processing, p50", _quantile(0.5, "order_processing_duration_seconds", "stage"), "s", "{{stage}}"),
        Panel("Order processing, p99", _quantile(0.99, "order_processing_duration_seconds", "stage"), "s", "{{stage}}"),
        Panel("Orders that failed", "sum by (reason) (rate(orders_failed_total[5m]))", "ops", "{{reason}}"),
        Panel(
            "Order commands",
            'sum by (method, status) (rate(http_requests_total{service="order-commands"}[5m]))',
            "reqps",
            "{{method}} {{status}}",
        ),
        Panel("Events not yet published", "max(outbox_depth)", "short", "outbox"),
        Panel("Age of what is shown", "max by (projection) (read_model_lag_seconds)", "s", "{{projection}}"),
        Panel(
            "Orders, by what became of them",
            'sum by (type) (rate(events_total{type=~"order[.].+"}[5m]))',
            "ops",
            "{{type}}",
        ),
        Panel(
            "Traded value in an hour",
            "sum by (venue, currency) (increase(traded_value_total[1h]))",
            "short",
            "{{venue}} {{currency}}",
        ),
        Panel(
            "Worth of all accounts",
            'max by (measure, currency) (accounts_worth{measure=~"equity|day_result"})',
            "short",
            "{{measure}} {{currency}}",
        ),
    ),
    "feeds": (
        Panel("Silence", "max by (feed, venue) (feed_staleness_seconds)", "s", "{{feed}} {{venue}}"),
        Panel(
            "Reconnects in an hour",
            "sum by (feed, venue) (increase(feed_reconnects_total[1h]))",
            "short",
            "{{feed}} {{venue}}",
        ),
        Panel(
            "Messages given up",
            "sum by (topic, consumer) (increase(dead_letters_total[1h]))",
            "short",
            "{{consumer}} {{topic}}",
        ),
        Panel("Dead letters that nobody has replayed", "max(dead_letters_waiting)", "short", "waiting"),
        Panel(
            "Deliveries that failed",
            'sum by (service, topic, verdict) (rate(deliveries_total{verdict!="SUCCESS"}[5m]))',
            "ops",
            "{{service}} {{topic}} {{verdict}}",
        ),
        Panel(
            "Market data published",
            "sum by (venue, kind) (rate(market_data_told_total[5m]))",
            "ops",
            "{{venue}} {{kind}}",
        ),
        Panel(
            "Market data, from the venue to its publication, p99",
            _quantile(0.99, "market_data_delivery_seconds", "venue"),
            "s",
            "{{venue}}",
        ),
        Panel("Rate limits: what may be used at once", "min by (budget) (venue_budget_left)", "short", "{{budget}}"),
        Panel(
            "Differences to the venues in an hour",
            "sum by (venue, kind) (increase(reconciliation_divergences_total[1h]))",
            "short",
            "{{venue}} {{kind}}",
        ),
        Panel(
            "Balances adjusted in an hour",
            "sum by (venue) (increase(balance_adjustments_total[1h]))",
            legend="{{venue}}",
        ),
        Panel("Foreign orders in an hour", "sum by (venue) (increase(foreign_orders_total[1h]))", legend="{{venue}}"),
        Panel(
            "Deliveries, p99",
            _quantile(0.99, "request_duration_seconds", "service", '{method="POST"}'),
            "s",
            "{{service}}",
        ),
    ),
    "risk": (
        Panel("Orders refused, by rule", "sum by (reason) (rate(orders_failed_total[15m]))", "ops", "{{reason}}"),
        Panel(
            "Risk checks", 'sum by (route) (rate(http_requests_total{service="risk-checks"}[5m]))', "reqps", "{{route}}"
        ),
        Panel(
            "Time of a risk check, p99",
            _quantile(0.99, "request_duration_seconds", "route", '{service="risk-checks"}'),
            "s",
            "{{route}}",
        ),
        Panel(
            "Orders refused in a day",
            "sum by (reason) (increase(orders_failed_total[1d]))",
            "short",
            "{{reason}}",
            kind="stat",
        ),
        Panel(
            "Exposure and margin of all accounts",
            'max by (measure, currency) (accounts_worth{measure=~"exposure|margin"})',
            "short",
            "{{measure}} {{currency}}",
        ),
        Panel("Open exposures", "max(open_exposures)", "short", "assets held"),
        Panel(
            "Alerts, halts and refusals in an hour",
            'sum by (type) (increase(events_total{type=~"risk[.].+"}[1h]))',
            "short",
            "{{type}}",
        ),
    ),
    "infrastructure": (
        Panel("CPU", "sum by (pod) (rate(process_cpu_seconds_total[5m]))", "none", "{{pod}}"),
        Panel("Memory", "sum by (pod) (process_resident_memory_bytes)", "bytes", "{{pod}}"),
        Panel("Open files", "max by (pod) (process_open_fds)", "short", "{{pod}}"),
        Panel(
            "Disk",
            "sum by (persistentvolumeclaim) (kubelet_volume_stats_used_bytes)"
            " / sum by (persistentvolumeclaim) (kubelet_volume_stats_capacity_bytes)",
            "percentunit",
            "{{persistentvolumeclaim}}",
        ),
        Panel("Network", "sum by (pod) (rate(container_network_transmit_bytes_total[5m]))", "Bps", "{{pod}}"),
        Panel(
            "Replicas of functions",
            "sum by (configuration_name) (autoscaler_actual_pods)",
            "short",
            "{{configuration_name}}",
        ),
        Panel(
            "Gateway", "sum by (service, code) (rate(kong_http_requests_total[5m]))", "reqps", "{{service}} {{code}}"
        ),
        Panel(
            "Gateway's own time, p99",
            "histogram_quantile(0.99, sum by (le) (rate(kong_kong_latency_ms_bucket[5m])))",
            "ms",
            "added",
        ),
        Panel(
            "Sidecar to part, p99",
            "histogram_quantile(0.99, sum by (app_id, le) (rate(dapr_component_pubsub_ingress_latencies_bucket[5m])))",
            "ms",
            "{{app_id}}",
        ),
        Panel("Connections to the database", "sum by (pool, state) (store_connections)", "short", "{{pool}} {{state}}"),
        Panel("Circuits that are open", "max by (part) (circuit_open)", "short", "{{part}}"),
        Panel("Age of the replica", "max by (pod) (replica_lag_seconds)", "s", "{{pod}}"),
        Panel("Reports, by who answered", "sum by (source) (rate(report_reads_total[5m]))", "ops", "{{source}}"),
    ),
}

OTHERS = ("up", "kube_", "kubelet_", "container_", "kong_", "dapr_", "autoscaler_")
"""Names that Kubernetes, Kong, Dapr and Knative export; every other one must be ours."""


def files() -> Iterator[tuple[str, str]]:
    """(file name, text) of each dashboard."""
    for name, panels in DASHBOARDS.items():
        yield f"{name}.json", json.dumps(dashboard(name, panels), indent=1) + "\n"


def dashboard(name: str, panels: tuple[Panel, ...]) -> Document:
    return {
        "uid": f"patriot-{name}",
        "title": f"PATRIOT Trading - {'Request Tracing' if name == 'requests' else name.capitalize()}",
        "tags": ["patriot"],
        "schemaVersion": 39,
        "timezone": "utc",
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {"list": [{"name": "source", "type": "datasource", "query": "prometheus"}]},
        "panels": [_panel(number, panel) for number, panel in enumerate(panels)],
    }


def _panel(number: int, panel: Panel) -> Document:
    place = {"x": number % PER_ROW * WIDTH, "y": number // PER_ROW * HEIGHT, "w": WIDTH, "h": HEIGHT}
    target = {"refId": "A", "expr": panel.query, "legendFormat": panel.legend, "exemplar": panel.kind == "timeseries"}
    if panel.kind == "heatmap":
        target["format"] = "heatmap"
    return {
        "id": number + 1,
        "title": panel.title,
        "description": panel.note,
        "type": panel.kind,
        "gridPos": place,
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [target],
    }
