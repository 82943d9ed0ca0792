"""Work that nobody asked for: a signal, a trigger, a schedule. Rule: it is an operation like a request, with a trace.

Its log lines carry its correlation id and its part, and its trace begins here: what follows from it hangs below.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from uuid import UUID

from patriot.runtime.context import RequestContext
from patriot.telemetry.correlation import correlated
from patriot.telemetry.tracing import span
from schemas.reports import BalanceReport, VenueReport


@contextmanager
def operation(context: RequestContext, name: str) -> Iterator[None]:
    """Everything inside belongs to the operation of `context`, and is done by its part."""
    with correlated(context.origin.correlation_id, context.service), span(context.service, name):
        yield


async def publish_told(context: RequestContext, user_id: UUID, reports: Sequence[VenueReport | BalanceReport]) -> None:
    """Publish what a venue has told by itself."""
    with operation(context, "report"):
        await context.publish_reports(user_id, reports)
