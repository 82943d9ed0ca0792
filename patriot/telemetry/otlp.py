"""Sends spans to a collector, by OTLP over HTTP. Rule: a collector that is slow or gone costs spans, never an order.

Spans wait in a queue of bounded length and leave in batches from a thread of their own.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from patriot.runtime.clock import Ids
from patriot.runtime.settings import Settings
from patriot.telemetry import tracing

TRACES_PATH = "/v1/traces"
QUEUE_SPANS_MAX = 20_000
BATCH_SPANS_MAX = 512
BATCH_MILLISECONDS = 1000.0
EXPORT_SECONDS_MAX = 3


@asynccontextmanager
async def exporting(settings: Settings, ids: Ids) -> AsyncIterator[None]:
    """Trace until the block ends, where the settings name a collector; what is recorded by then still leaves."""
    if not settings.otlp_endpoint:
        yield
        return
    # half a second of imports, only for those who want them
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from patriot.telemetry.spans import Spans

    exporter = OTLPSpanExporter(settings.otlp_endpoint.rstrip("/") + TRACES_PATH, timeout=EXPORT_SECONDS_MAX)
    processor = BatchSpanProcessor(exporter, QUEUE_SPANS_MAX, BATCH_MILLISECONDS, BATCH_SPANS_MAX)
    tracing.tracer = Spans(processor, ids, settings.trace_share)
    try:
        yield
    finally:
        tracing.tracer = None
        await asyncio.to_thread(processor.shutdown)
