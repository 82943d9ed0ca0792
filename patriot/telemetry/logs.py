"""Logs: one JSON object per line on stdout. Rule: each line has exactly these seven fields, and no line a secret.

    timestamp, level, service, correlation_id, message, context, duration_ms

`context` holds everything else that was said: `logger.info("order created", order_id=…, duration_ms=1.2)`.
An exception is in `context.exception`. Log lines of libraries take the same way.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, Literal, TextIO

import orjson
import structlog
from structlog.types import EventDict, FilteringBoundLogger, WrappedLogger

from patriot.telemetry.correlation import current_correlation_id, current_service
from patriot.telemetry.redaction import redact, redact_text
from patriot.telemetry.work import write_work

FIELDS = ("timestamp", "level", "service", "correlation_id", "message", "context", "duration_ms")
# one line per call, connection or message: not for us
CHATTY = ("httpx", "httpcore", "websockets", "asyncio", "uvicorn.access", "uvicorn.error")

Format = Literal["auto", "json", "console"]
_COLOURS = {"debug": "2", "info": "32", "warning": "33", "error": "31", "critical": "31;1"}


def configure_logs(*, level: str = "info", form: Format = "auto", stream: TextIO | None = None) -> None:
    """Set up logging of this process; called once, at start. `auto` is for people on a terminal, JSON elsewhere."""
    target = stream if stream is not None else sys.stdout
    console = form == "console" or (form == "auto" and target.isatty())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,  # plain text: the pretty one shows local variables
            shape,
            _console(colours=target.isatty()) if console else _json,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(target),
        cache_logger_on_first_use=False,
    )
    write_work(None if console else structlog.PrintLogger(target).msg)
    _forward_libraries(level)


def set_level(level: str) -> None:
    """From now on this is the least level that is logged; all else stays as it was configured."""
    structlog.configure(**structlog.get_config() | {"wrapper_class": structlog.make_filtering_bound_logger(level)})
    logging.getLogger().setLevel(level.upper())


def debugging() -> bool:
    """Whether lines of the level debug are logged: where every order passes, others should not even be made."""
    return logging.root.level <= logging.DEBUG


def get_logger(service: str) -> FilteringBoundLogger:
    """The logger of a function or feed; `service` is its app id, "order-commands"."""
    logger: FilteringBoundLogger = structlog.get_logger(service=service)
    return logger


def shape(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Bring a line into the seven fields, in their order, and take the secrets out."""
    given_id = event.pop("correlation_id", None)
    line = {
        "timestamp": event.pop("timestamp", None),
        "level": event.pop("level", None),
        "service": event.pop("service", None) or current_service(),
        "correlation_id": given_id or current_correlation_id(),
        "message": redact_text(str(event.pop("event", ""))),
    }
    duration = event.pop("duration_ms", None)
    return {**line, "context": redact(event), "duration_ms": duration}


def _json(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _console(*, colours: bool) -> Callable[[WrappedLogger, str, EventDict], str]:
    def render(_logger: WrappedLogger, _method: str, event: EventDict) -> str:
        context = {name: _visible(str(value)) for name, value in event["context"].items() if name != "exception"}
        trace = event["context"].get("exception")
        level = f"{event['level']:<8}"
        if colours:
            level = f"\x1b[{_COLOURS.get(event['level'], '0')}m{level}\x1b[0m"
        parts = [str(event["timestamp"])[11:23], level, f"{event['service']:<20}", _visible(event["message"])]
        parts += [f"{key}={value}" for key, value in context.items()]
        if event["duration_ms"] is not None:
            parts.append(f"{event['duration_ms']:.1f}ms")
        if event["correlation_id"]:
            parts.append(event["correlation_id"])
        return " ".join(parts) + (f"\n{trace}" if trace else "")

    return render


def _visible(text: str) -> str:
    """Control characters spelled out: what a stranger sent must not move the cursor or forge a line."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


class _Forward(logging.Handler):
    """Sends the log lines of libraries through our pipeline."""

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, Any] = {"logger": record.name}
        if record.exc_info:
            fields["exc_info"] = record.exc_info
        level = min(max(record.levelno // 10 * 10, logging.DEBUG), logging.CRITICAL)  # libraries invent levels
        structlog.get_logger().log(level, _text(record), **fields)


def _text(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError, KeyError):  # arguments that do not fit the library's own format
        return str(record.msg)


def _forward_libraries(level: str) -> None:
    root = logging.getLogger()
    for handler in [handler for handler in root.handlers if isinstance(handler, _Forward)]:
        root.removeHandler(handler)
    root.addHandler(_Forward())
    root.setLevel(level.upper())
    for name in CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)
