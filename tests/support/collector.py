"""A collector for traces: a plain HTTP server that takes what an OTLP exporter sends, and keeps it."""

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status


@dataclass(frozen=True, slots=True)
class Span:
    """One span as it came over the wire; ids in hexadecimal."""

    service: str
    name: str
    trace_id: str
    id: str
    parent_id: str
    links: tuple[str, ...]  # trace ids
    failed: bool
    nanoseconds: tuple[int, int]
    attributes: dict[str, str | int]


class Collector:
    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.spans: list[Span] = []

    def of(self, correlation_id: str) -> list[Span]:
        return [span for span in self.spans if span.attributes.get("correlation_id") == correlation_id]

    def of_trace(self, trace_id: str) -> list[Span]:
        """Sidecars' spans, too: they know no correlation id."""
        return [span for span in self.spans if span.trace_id == trace_id]

    def take(self, body: bytes) -> None:
        for group in ExportTraceServiceRequest.FromString(body).resource_spans:
            [service] = [one.value.string_value for one in group.resource.attributes if one.key == "service.name"]
            for scope in group.scope_spans:
                self.spans += [_span(service, told) for told in scope.spans]


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector on a free loopback port, until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.path == "/v1/traces"
            body = self.rfile.read(int(self.headers["content-length"]))
            collector.take(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        collector = Collector(server.server_port)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
        try:
            yield collector
        finally:
            server.shutdown()


def _span(service: str, told: object) -> Span:
    attributes = {one.key: one.value.string_value or one.value.int_value for one in told.attributes}
    return Span(
        service,
        told.name,
        told.trace_id.hex(),
        told.span_id.hex(),
        told.parent_span_id.hex(),
        tuple(link.trace_id.hex() for link in told.links),
        told.status.code == Status.STATUS_CODE_ERROR,
        (told.start_time_unix_nano, told.end_time_unix_nano),
        attributes,
    )
