"""What work took: a log line for each request, delivery and call to a venue. Rule: it costs an order next to nothing.

So these lines are put together here, past the processors that all others go through: eight times as quick. That is safe
since all but a request's method are the platform's own words: routes, event types, venues, verdicts, names of errors.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

import orjson
from structlog.processors import TimeStamper

from patriot.telemetry.correlation import current_correlation_id, current_service

SLOW_SECONDS = 0.2
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning"}

_stamped = TimeStamper(fmt="iso", utc=True)
_root = logging.getLogger()  # has the level that is logged
_write: Callable[[str], None] | None = None


def write_work(write: Callable[[str], None] | None) -> None:
    """Lines go there from now on. None: nowhere, as on a terminal, where people look for what happens."""
    global _write  # noqa: PLW0603 - set at the start, as all that concerns logs
    _write = write


def finished(what: str, seconds: float, *, failed: bool = False, asked: bool = False, **context: str | int) -> None:
    """Tell how long a piece of the current operation's work took, while that is still the current one.

    What was only `asked` and answered soon is of the level debug: screens ask again and again.
    """
    level = logging.WARNING if failed else logging.DEBUG if asked and seconds < SLOW_SECONDS else logging.INFO
    if _write is None or not _root.isEnabledFor(level):
        return
    line = {
        **_stamped(None, "", {}),
        "level": _NAMES[level],
        "service": current_service(),
        "correlation_id": current_correlation_id(),
        "message": what,
        "context": context,
        "duration_ms": round(seconds * 1000, 3),
    }
    with suppress(OSError, ValueError):  # a full disk or a closed stream is no reason for an order to fail
        _write(orjson.dumps(line).decode())
