"""Spans by OpenTelemetry. Rule: no id is drawn from anywhere but the runtime's ids and the correlation id."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from functools import cache
from hashlib import blake2b

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Link, NonRecordingSpan, SpanContext, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from patriot import __version__
from patriot.runtime.clock import Ids
from patriot.telemetry.correlation import current_correlation_id
from patriot.telemetry.redaction import redact_text
from patriot.telemetry.tracing import SILENT, TRACE_PARENT, Kind, Span, trace_of

SPAN_ID_BITS = 64
TRACE_BYTES = 16
SHARED_IDS = 1 << 64
"""The last 64 bits of a trace's id choose whether its operation is traced, as OpenTelemetry does it."""
SAMPLED = tuple("13579bdf")
"""How a `traceparent` ends whose operation is traced."""
UNRECORDED = 1
"""The span that work is told to be below, where none is recorded; an id there must be."""

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
        self._limits, self._of = SpanLimits(), cache(self._tracer)
        self.trace_share(share)

    def trace_share(self, share: float) -> None:
        self._bound = round(share * SHARED_IDS)

    def is_inside(self) -> bool:
        return trace.get_current_span().is_recording()

    def parent(self) -> str:
        here = trace.get_current_span().get_span_context()
        return f"00-{here.trace_id:032x}-{here.span_id:016x}-{here.trace_flags:02x}" if here.is_valid else ""

    def span(self, service: str, name: str, kind: Kind, parent: str) -> AbstractContextManager[Span]:
        correlation_id = current_correlation_id()
        trace_id = trace_id_of(correlation_id)
        if self._is_chosen(trace_id, parent):
            return self._recorded(service, name, kind, parent, correlation_id)
        return _unrecorded(trace_id)

    def _is_chosen(self, trace_id: int, parent: str) -> bool:
        """As who caused the work has chosen, be it in a process that shares out otherwise; else by the trace's id."""
        if trace_of(parent) == f"{trace_id:032x}":
            return parent.endswith(SAMPLED)
        above = trace.get_current_span().get_span_context()
        if not parent and above.trace_id == trace_id:
            return bool(above.trace_flags.sampled)
        return trace_id % SHARED_IDS < self._bound

    @contextmanager
    def _recorded(self, service: str, name: str, kind: Kind, parent: str, correlation_id: str) -> Iterator[Running]:
        doer = service or _service.get()
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
            ALWAYS_ON, resource, shutdown_on_exit=False, id_generator=self._ids, span_limits=self._limits
        )
        provider.add_span_processor(self._processor)
        return provider.get_tracer("patriot", __version__)


@contextmanager
def _unrecorded(trace_id: int) -> Iterator[Span]:
    """Nobody hears of it, but who works for the same operation elsewhere, so that nobody does there, either."""
    with trace.use_span(NonRecordingSpan(SpanContext(trace_id, UNRECORDED, is_remote=False))):
        yield SILENT


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
