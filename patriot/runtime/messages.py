"""Events and reports to JSON and back. Rule: what this process has written or read lately, it does not read again."""

from typing import Final

from schemas.events import EVENTS, Event
from schemas.reports import REPORTS, BalanceReport, RiskMetrics, VenueReport
from schemas.types import Message
from schemas.upcasters import decode_event

REMEMBERED: Final = 4096

_known: dict[tuple[str, int, bytes], Message] = {}


def encoded_event(event: Event) -> bytes:
    data = event.model_dump_json().encode()
    _remember((event.TYPE, event.SCHEMA, data), event)
    return data


def encoded_report(report: VenueReport | BalanceReport | RiskMetrics) -> bytes:
    data = report.model_dump_json().encode()
    _remember((report.TYPE, 1, data), report)
    return data


def decoded(name: str, schema_version: int, data: bytes) -> Message:
    """Raises EventUnreadable, or pydantic's ValidationError for a report."""
    message = _known.get((name, schema_version, data))
    if message is not None:
        return message
    if name not in EVENTS:
        return REPORTS[name].model_validate_json(data)
    message = decode_event(name, schema_version, data)
    _remember((name, schema_version, data), message)
    return message


def _remember(key: tuple[str, int, bytes], message: Message) -> None:
    if len(_known) >= REMEMBERED:
        del _known[next(iter(_known))]
    _known[key] = message
