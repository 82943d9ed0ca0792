"""Traces. Rule: one operation is one trace, whose id is made of the operation's correlation id.

So nothing can tear a trace apart: not a broker that loses `traceparent`, not a crash after which the relay publishes an
event again. A caller's own trace, which has another id, is linked.

    span(service, name)     where work enters a part: a request, a delivery
    step(name)              what happens within it: a commit, a call to a venue; nothing outside of any span

Nobody traces until `otlp.exporting` sets `tracer` (spans.py): till then each call costs a look at a name.
"""

from collections.abc import Awaitable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Literal, Protocol, TypeVar, cast

TRACE_PARENT = "traceparent"

Kind = Literal["internal", "server", "client", "consumer"]
Adapter = TypeVar("Adapter")
Result = TypeVar("Result")


class Span(Protocol):
    """Work under way."""

    def tell(self, **attributes: str | int) -> None:
        """What is known of it by now; `name` renames it. In attributes, "__" stands for a dot."""
        ...

    def fail(self, reason: str) -> None:
        """It did not succeed."""
        ...


class Tracer(Protocol):
    """What makes spans; see `span`, `step` and `trace_parent`."""

    def span(self, service: str, name: str, kind: Kind, parent: str) -> AbstractContextManager[Span]: ...

    def is_inside(self) -> bool: ...

    def parent(self) -> str: ...

    def trace_share(self, share: float) -> None: ...


class _Silent:
    def tell(self, **attributes: str | int) -> None:
        pass

    def fail(self, reason: str) -> None:
        pass


tracer: Tracer | None = None
SILENT: Span = _Silent()
_OFF: AbstractContextManager[Span] = nullcontext(SILENT)


def span(service: str, name: str, kind: Kind = "internal", parent: str = "") -> AbstractContextManager[Span]:
    """The work of `service` on the current operation. `parent` is the `traceparent` of who caused it, if he told."""
    return _OFF if tracer is None else tracer.span(service, name, kind, parent)


def step(name: str, kind: Kind = "internal", service: str = "") -> AbstractContextManager[Span]:
    """A part of the current span's work, done by the same service unless another is named."""
    return tracer.span(service, name, kind, "") if tracer is not None and tracer.is_inside() else _OFF


def traced(work: Awaitable[Result], name: str, kind: Kind = "client") -> Awaitable[Result]:
    """`work` as a step; itself where nobody traces."""
    if tracer is None or not tracer.is_inside():
        return work

    async def run() -> Result:
        with step(name, kind):
            return await work

    return run()


def set_share(share: float) -> None:
    """Trace this share of the operations that begin from now on."""
    if tracer is not None:
        tracer.trace_share(share)


def traced_calls(adapter: Adapter, name: str) -> Adapter:
    """`adapter` with each of its coroutines as a step: "venue create"."""
    return adapter if tracer is None else cast("Adapter", _TracedCalls(adapter, name))


def trace_parent() -> str:
    """The current span as W3C tells it to others; empty where there is none."""
    return "" if tracer is None else tracer.parent()


def trace_of(parent: str) -> str:
    """The trace's id in a `traceparent`."""
    return parent[3:35]


def trace_headers() -> dict[str, str]:
    """The header for an outgoing call."""
    told = trace_parent()
    return {TRACE_PARENT: told} if told else {}


class _TracedCalls:
    def __init__(self, adapter: object, name: str) -> None:
        self._adapter, self._name = adapter, name

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._adapter, method)

        def run(*arguments: Any, **named: Any) -> Any:
            return traced(call(*arguments, **named), f"{self._name} {method}")

        return run
