"""Metrics for Prometheus. Rule: labels are few and known beforehand; an id is never a label, but may be an exemplar.

Every method hands out a bound handle and remembers it, so that a hot path pays for a look into a dictionary and an
addition. Names and labels are what the alert rules and dashboards ask for.
"""

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple, TypeVar

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.openmetrics import exposition as openmetrics

HTTP_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)

Handle = TypeVar("Handle")


class HttpHandle(NamedTuple):
    """One route and status of one function."""

    requests: Counter
    seconds: Histogram

    def observe(self, seconds: float, correlation_id: str = "") -> None:
        """Count one request; its correlation id becomes the exemplar of the histogram's bucket."""
        self.requests.inc()
        self.seconds.observe(seconds, {"correlation_id": correlation_id} if correlation_id else None)


class FeedHandle(NamedTuple):
    """One connection group of one feed at one venue."""

    staleness_seconds: Gauge
    reconnects: Counter


class Metrics:
    """All metrics of one process. The parts share `metrics` below; a test makes its own."""

    def __init__(self, registry: CollectorRegistry | None = None) -> None:
        self.registry = registry if registry is not None else CollectorRegistry()
        self._handles: dict[Hashable, Any] = {}
        self._http_requests = self._counter(
            "http_requests_total", "Requests answered", "service", "method", "route", "status"
        )
        self._without_id = self._counter(
            "http_requests_without_correlation_id_total", "Requests that came without a valid correlation id", "service"
        )
        self._request_seconds = self._histogram(
            "request_duration_seconds", "Time to answer a request", "service", "method", "route"
        )
        self._order_seconds = self._histogram(
            "order_processing_duration_seconds", "Time of one stage of an order's way", "service", "stage"
        )
        self._orders_failed = self._counter(
            "orders_failed_total", "Orders that ended without execution", "service", "reason"
        )
        self._tokens_refused = self._counter("tokens_refused_total", "Tokens that proved nothing", "service", "kind")
        self._staleness = self._gauge(
            "feed_staleness_seconds", "Age of the newest message of a feed's connections", "feed", "venue"
        )
        self._reconnects = self._counter("feed_reconnects_total", "Connections made again", "feed", "venue")
        self._outbox_depth = self._gauge("outbox_depth", "Events committed and not yet published", "service")
        self._lag = self._gauge("read_model_lag_seconds", "Age of the newest event in a read model", "projection")
        self._dead_letters = self._counter(
            "dead_letters_total", "Messages given up after all attempts", "topic", "consumer"
        )
        self._dead_letters_waiting = self._gauge(
            "dead_letters_waiting", "Dead letters that nobody has replayed", "service"
        )
        self._deliveries = self._counter(
            "deliveries_total", "Messages handled, by how that ended", "service", "topic", "verdict"
        )
        self._circuit = self._gauge("circuit_open", "1 while a part that does not answer is left alone", "part")
        self._market_data_seconds = self._histogram(
            "market_data_delivery_seconds", "From a trade at the venue to its publication", "venue"
        )
        self._market_data_told = self._counter(
            "market_data_told_total", "Prices, books, trades published", "venue", "kind"
        )
        self._accounts_worth = self._gauge("accounts_worth", "Of all accounts together", "measure", "currency")
        self._open_exposures = self._gauge("open_exposures", "Assets that accounts are long or short of", "service")
        self._events = self._counter("events_total", "Events that became durable", "type")
        self._traded = self._counter("traded_value_total", "Price times quantity of all fills", "venue", "currency")
        self._budget = self._gauge("venue_budget_left", "Request weight that may be used at once", "budget")
        self._connections = self._gauge("store_connections", "Connections to the database", "pool", "state")
        self._replica_lag = self._gauge(
            "replica_lag_seconds", "Age of what the database's replica shows, at most", "serves"
        )
        self._report_reads = self._counter("report_reads_total", "Reads of reports, where there is a replica", "source")
        self._balance_adjustments = self._counter(
            "balance_adjustments_total", "Differences to the venue's balance that were posted", "venue"
        )
        self._divergences = self._counter(
            "reconciliation_divergences_total", "What reconciliation found different at the venue", "venue", "kind"
        )
        self._foreign_orders = self._counter(
            "foreign_orders_total", "Orders seen at a venue that the platform has not placed", "venue"
        )

    def http(self, service: str, method: str, route: str, status: int) -> HttpHandle:
        """`route` is the template ("/orders/{order_id}"), "unmatched" where there is none; never the path itself."""
        handle: HttpHandle | None = self._handles.get((service, method, route, status))
        if handle is None:
            verb = method if method in HTTP_METHODS else "other"  # a caller may invent methods without end
            handle = HttpHandle(
                self._http_requests.labels(service, verb, route, str(status)),
                self._request_seconds.labels(service, verb, route),
            )
            if verb == method:
                self._handles[service, method, route, status] = handle
        return handle

    def without_correlation_id(self, service: str) -> Counter:
        return self._bound(self._without_id, service)

    def order_processing(self, service: str, stage: str) -> Histogram:
        """Seconds of one stage: "route", "send", "answer", "total" (see runtime/measures.py), or "signal": from what a
        strategy wants to its durable order.
        """
        return self._bound(self._order_seconds, service, stage)

    def orders_failed(self, service: str, reason: str) -> Counter:
        """`reason` is a code ("insufficient_buying_power"), never a sentence."""
        return self._bound(self._orders_failed, service, reason)

    def tokens_refused(self, service: str, kind: str) -> Counter:
        """`kind` is `TokenRefused.kind`."""
        return self._bound(self._tokens_refused, service, kind)

    def feed(self, feed: str, venue: str) -> FeedHandle:
        return FeedHandle(self._bound(self._staleness, feed, venue), self._bound(self._reconnects, feed, venue))

    def outbox_depth(self, service: str) -> Gauge:
        return self._bound(self._outbox_depth, service)

    def read_model_lag_seconds(self, projection: str) -> Gauge:
        return self._bound(self._lag, projection)

    def dead_letters(self, topic: str, consumer: str) -> Counter:
        return self._bound(self._dead_letters, topic, consumer)

    def dead_letters_waiting(self, service: str) -> Gauge:
        return self._bound(self._dead_letters_waiting, service)

    def deliveries(self, service: str, topic: str, verdict: str) -> Counter:
        """`verdict` is SUCCESS, RETRY or DROP."""
        return self._bound(self._deliveries, service, topic, verdict)

    def circuit_open(self, part: str) -> Gauge:
        """`part` is who is called."""
        return self._bound(self._circuit, part)

    def market_data_delivery(self, venue: str) -> Histogram:
        return self._bound(self._market_data_seconds, venue)

    def market_data_told(self, venue: str, kind: str) -> Counter:
        """`kind` is "prices", "books" or "trades"."""
        return self._bound(self._market_data_told, venue, kind)

    def accounts_worth(self, measure: str, currency: str) -> Gauge:
        """`measure` is "equity", "exposure", "margin" or "day_result"."""
        return self._bound(self._accounts_worth, measure, currency)

    def open_exposures(self, service: str) -> Gauge:
        return self._bound(self._open_exposures, service)

    def events(self, kind: str) -> Counter:
        """`kind` is an event type: "order.created"."""
        return self._bound(self._events, kind)

    def traded_value(self, venue: str, currency: str) -> Counter:
        return self._bound(self._traded, venue, currency)

    def venue_budget_left(self, budget: str) -> Gauge:
        """`budget` is "VENUE:name"."""
        return self._bound(self._budget, budget)

    def store_connections(self, pool: str, state: str) -> Gauge:
        """`state` is "open" or "idle"."""
        return self._bound(self._connections, pool, state)

    def replica_lag_seconds(self, serves: str) -> Gauge:
        return self._bound(self._replica_lag, serves)

    def report_reads(self, source: str) -> Counter:
        """`source` is "replica" or "primary"."""
        return self._bound(self._report_reads, source)

    def balance_adjustments(self, venue: str) -> Counter:
        return self._bound(self._balance_adjustments, venue)

    def divergences(self, venue: str, kind: str) -> Counter:
        """`kind` is that of `account.diverged`."""
        return self._bound(self._divergences, venue, kind)

    def foreign_orders(self, venue: str) -> Counter:
        return self._bound(self._foreign_orders, venue)

    def exposition(self, accept: str = "") -> tuple[str, bytes]:
        """Content type and body of the metrics page; with exemplars for those who accept OpenMetrics."""
        if "application/openmetrics-text" in accept:
            return openmetrics.CONTENT_TYPE_LATEST, openmetrics.generate_latest(self.registry)  # type: ignore[no-untyped-call]
        return CONTENT_TYPE_LATEST, generate_latest(self.registry)

    def _bound(self, metric: Handle, *labels: str) -> Handle:
        handle: Handle | None = self._handles.get((id(metric), labels))
        if handle is None:
            bind: Callable[..., Handle] = metric.labels  # type: ignore[attr-defined]  # of all three kinds
            handle = self._handles[id(metric), labels] = bind(*labels)
        return handle

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self.registry)

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        return Gauge(name, text, labels, registry=self.registry)

    def _histogram(self, name: str, text: str, *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=SECONDS_BUCKETS, registry=self.registry)


metrics = Metrics()  # the process's own: counters of one process add up wherever they are counted
ProcessCollector(registry=metrics.registry)  # CPU, memory, open files
