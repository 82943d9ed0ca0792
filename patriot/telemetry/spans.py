"""Spans by OpenTelemetry. Rule: no id is drawn from anywhere but the runtime's ids and the correlation id."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from hashlib import blake2b

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ParentBasedTraceIdRatio
from opentelemetry.trace import Link, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from patriot import __version__
from patriot.runtime.clock import Ids
from patriot.telemetry.correlation import current_correlation_id
from patriot.telemetry.redaction import redact_text
from patriot.telemetry.tracing import TRACE_PARENT, Kind

SPAN_ID_BITS = 64
TRACE_BYTES = 16

_propagator = TraceContextTextMapPropagator()
_service: ContextVar[str] = ContextVar("traced_service", default="")


def trace_id_of(correlation_id: str) -> int:
    """The id of the operation's trace: never zero."""
    return int.from_bytes(blake2b(correlation_id.encode(), digest_size=TRACE_BYTES).digest()) or 1


class Running:
    """A span under way. Text is redacted: errors of libraries quote what they were given."""

    def __init__(self, span: trace.Span) -> None:
        self._span = span

    def tell(self, **attributes: str | int) -> None:
        name = attributes.pop("name", "")
        if name:
            self._span.update_name(str(name))
        self._span.set_attributes({key.replace("__", "."): value for key, value in attributes.items()})

    def fail(self, reason: str) -> None:
        self._span.set_status(Status(StatusCode.ERROR, redact_text(reason)))


class Spans:
    """Implements the Tracer port: a provider for each service, all of whose spans go to one processor.

    `share` of the operations are traced; since that follows from the trace's id, every process chooses the same.
    """

    def __init__(self, processor: SpanProcessor, ids: Ids, share: float = 1.0) -> None:
        self._processor, self._ids = processor, OperationIds(ids)
        self._sampler, self._limits = ParentBasedTraceIdRatio(share), SpanLimits()
        self._of = cache(self._tracer)

    def trace_share(self, share: float) -> None:
        self._sampler = ParentBasedTraceIdRatio(share)
        self._of.cache_clear()

    def is_inside(self) -> bool:
        return trace.get_current_span().is_recording()

    def parent(self) -> str:
        carrier: dict[str, str] = {}
        _propagator.inject(carrier)
        return carrier.get(TRACE_PARENT, "")

    @contextmanager
    def span(self, service: str, name: str, kind: Kind, parent: str) -> Iterator[Running]:
        doer, correlation_id = service or _service.get(), current_correlation_id()
        context, links = _place(parent, correlation_id)
        made = self._of(doer).start_span(
            name, context, SpanKind[kind.upper()], {"correlation_id": correlation_id}, links
        )
        token, running = _service.set(doer), Running(made)
        try:
            with trace.use_span(made, end_on_exit=True, record_exception=False, set_status_on_exception=False):
                try:
                    yield running
                except Exception as error:
                    running.fail(repr(error))
                    raise
        finally:
            _service.reset(token)

    def _tracer(self, service: str) -> trace.Tracer:
        resource = Resource({"service.name": service, "service.namespace": "patriot", "service.version": __version__})
        provider = TracerProvider(
            self._sampler, resource, shutdown_on_exit=False, id_generator=self._ids, span_limits=self._limits
        )
        provider.add_span_processor(self._processor)
        return provider.get_tracer("patriot", __version__)


class OperationIds(IdGenerator):
    """Span ids come from the runtime's ids, a trace's id from the correlation id."""

    def __init__(self, ids: Ids) -> None:
        self._ids = ids

    def generate_span_id(self) -> int:
        return int(self._ids.uuid().int % 2**SPAN_ID_BITS)  # never zero: a UUID's variant bits are among them

    def generate_trace_id(self) -> int:
        return trace_id_of(current_correlation_id())


def _place(parent: str, correlation_id: str) -> tuple[Context | None, Sequence[Link]]:
    """Below the parent where that is part of the same operation; else the trace's root, with a link to it."""
    given = _propagator.extract({TRACE_PARENT: parent}, Context()) if parent else None
    above = trace.get_current_span(given).get_span_context()
    if above.is_valid and above.trace_id == trace_id_of(correlation_id):
        return given, ()
    return Context(), ((Link(above),) if above.is_valid else ())
