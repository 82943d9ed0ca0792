"""Which operations are traced: a share of them, the same everywhere, and as who caused the work has chosen."""

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import SpanProcessor

from patriot.runtime.clock import SeededIds
from patriot.telemetry import tracing
from patriot.telemetry.correlation import correlated
from patriot.telemetry.spans import Spans, trace_id_of

IDS = [f"req_{number}_00000000" for number in range(400)]


class Kept(SpanProcessor):
    def __init__(self) -> None:
        self.spans: list[Any] = []

    def on_end(self, span: Any) -> None:
        self.spans.append(span)


@pytest.fixture
def kept() -> Iterator[Kept]:
    yield Kept()
    tracing.tracer = None


def work(correlation_id: str, parent: str = "") -> str:
    """A part's work with a step in it; returns what it tells those who follow."""
    with correlated(correlation_id), tracing.span("part", "work", parent=parent) as current:
        with tracing.step("commit"):
            current.tell(number=1)
        return tracing.trace_parent()


@pytest.mark.requirement("P16")
def test_share_of_the_operations_is_traced_whole_and_every_process_chooses_the_same(kept: Kept):
    tracing.tracer = Spans(kept, SeededIds(1), 0.25)
    for identifier in IDS:
        work(identifier)
    chosen = {span.context.trace_id for span in kept.spans}
    assert len(kept.spans) == 2 * len(chosen)
    assert 60 < len(chosen) < 140
    other = Kept()
    tracing.tracer = Spans(other, SeededIds(2), 0.25)
    for identifier in IDS:
        work(identifier)
    assert {span.context.trace_id for span in other.spans} == chosen


@pytest.mark.requirement("P16")
@pytest.mark.parametrize(("first", "then", "spans"), [(0.0, 1.0, 0), (1.0, 0.0, 4)])
def test_who_caused_the_work_has_chosen(kept: Kept, first: float, then: float, spans: int):
    tracing.tracer = Spans(kept, SeededIds(1), first)
    told = work(IDS[0])
    assert told.startswith(f"00-{trace_id_of(IDS[0]):032x}-")
    tracing.set_share(then)
    work(IDS[0], told)
    assert len(kept.spans) == spans


@pytest.mark.requirement("P16")
def test_work_of_another_operation_is_not_below_the_one_around_it(kept: Kept):
    tracing.tracer = Spans(kept, SeededIds(1))
    with correlated(IDS[0]), tracing.span("part", "outer"):
        work(IDS[1])
    assert {span.context.trace_id for span in kept.spans} == {trace_id_of(IDS[0]), trace_id_of(IDS[1])}
    tracing.set_share(0)
    with correlated(IDS[2]), tracing.span("part", "outer"):
        tracing.set_share(1)
        work(IDS[2])  # began unrecorded, stays so
    assert len(kept.spans) == 3
