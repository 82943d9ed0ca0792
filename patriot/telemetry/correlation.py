"""One id per business operation. Rule: made once, at the edge, and kept by everything that follows from it.

An id reads `req_<milliseconds since 1970>_<8 hex digits>`. It goes with every log line, event, row and call.
Beside it stands who works for it: the function or feed, which log lines name as their service.
"""

import re
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from patriot.runtime.clock import Clock, Ids

CORRELATION_HEADER = "X-Correlation-ID"
TRACE_HEADER = "X-Trace-ID"
CORRELATION_FORM = "req_[0-9]{1,15}_[0-9a-f]{8}"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_FORM = re.compile(CORRELATION_FORM)
_current: ContextVar[str] = ContextVar("correlation_id", default="")
_service: ContextVar[str] = ContextVar("service", default="patriot")


def new_correlation_id(clock: "Clock", ids: "Ids") -> str:
    """A new id: "req_1763690171123_9f86d081"."""
    milliseconds = (clock.now() - _EPOCH) // _MILLISECOND
    return f"req_{milliseconds}_{ids.uuid().hex[:8]}"


def is_correlation_id(text: str) -> bool:
    """Only the exact form counts: what a caller sends ends up in logs, headers and rows."""
    return _FORM.fullmatch(text) is not None


def accept_correlation_id(incoming: str | None, clock: "Clock", ids: "Ids") -> str:
    """Keep a valid incoming id, replace anything else by a new one."""
    if incoming is not None and is_correlation_id(incoming):
        return incoming
    return new_correlation_id(clock, ids)


def current_correlation_id() -> str:
    """The id of the operation that this task works for; empty outside of any."""
    return _current.get()


def current_service() -> str:
    """The function or feed that this task works as."""
    return _service.get()


@contextmanager
def correlated(correlation_id: str, service: str = "") -> Iterator[None]:
    """Everything inside, and every task started inside, belongs to `correlation_id`, and is done by `service`."""
    token, before = _current.set(correlation_id), _service.set(service or _service.get())
    try:
        yield
    finally:
        _current.reset(token)
        _service.reset(before)


@contextmanager
def working_as(service: str) -> Iterator[None]:
    """Everything inside is done by `service`, whatever it belongs to."""
    before = _service.set(service)
    try:
        yield
    finally:
        _service.reset(before)


def correlation_headers(correlation_id: str | None = None) -> dict[str, str]:
    """The two headers for `correlation_id` (default: the current one); none outside of any operation."""
    value = _current.get() if correlation_id is None else correlation_id
    return {CORRELATION_HEADER: value, TRACE_HEADER: value} if value else {}


def add_correlation(headers: MutableMapping[str, str]) -> None:
    """Add the current id to the headers of an outgoing call."""
    headers.update(correlation_headers())
