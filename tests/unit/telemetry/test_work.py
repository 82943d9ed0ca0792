"""What work took is told in the same fields as everything else, where lines are for machines."""

import io
import json
from datetime import datetime
from typing import Any

import pytest

from patriot.telemetry.correlation import correlated
from patriot.telemetry.logs import FIELDS, Format, configure_logs
from patriot.telemetry.work import finished, write_work

ID = "req_1763690171123_9f86d081"


def told(form: Format = "json", level: str = "info") -> list[dict[str, Any]]:
    """What a failed and a quick piece of work leave."""
    stream = io.StringIO()
    configure_logs(level=level, form=form, stream=stream)
    with correlated(ID, "order-commands"):
        finished("BINANCE create", 1.5, failed=True, error="NetworkError")
        finished("POST /orders", 0.0012345, status=201)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.requirement("P16", "P15")
def test_line_has_the_fields_of_every_line() -> None:
    failed, quick = told()
    assert tuple(quick) == tuple(failed) == FIELDS
    offset = datetime.fromisoformat(quick.pop("timestamp")).utcoffset()
    assert offset is not None
    assert not offset
    assert quick == {
        "level": "info",
        "service": "order-commands",
        "correlation_id": ID,
        "message": "POST /orders",
        "context": {"status": 201},
        "duration_ms": 1.234,
    }
    assert (failed["level"], failed["context"], failed["duration_ms"]) == ("warning", {"error": "NetworkError"}, 1500.0)


def test_question_is_a_line_where_it_took_long_or_everything_is_to_be_seen() -> None:
    def told(level: str) -> list[tuple[str, str]]:
        stream = io.StringIO()
        configure_logs(level=level, form="json", stream=stream)
        finished("GET /orders", 0.1, asked=True)
        finished("GET /portfolio", 0.3, asked=True)
        finished("GET /trades", 0.1, asked=True, failed=True)
        return [(line["level"], line["message"]) for line in map(json.loads, stream.getvalue().splitlines())]

    unusual = [("info", "GET /portfolio"), ("warning", "GET /trades")]
    assert told("info") == unusual
    assert told("debug") == [("debug", "GET /orders"), *unusual]


def test_stream_that_takes_nothing_more_harms_no_work() -> None:
    def full(_: str) -> None:
        raise OSError("no space left on device")

    write_work(full)
    finished("POST /orders", 0.1, failed=True)
    stream = io.StringIO()
    configure_logs(form="json", stream=stream)
    stream.close()
    finished("POST /orders", 0.1)


def test_higher_level_leaves_only_what_failed() -> None:
    assert [line["message"] for line in told(level="warning")] == ["BINANCE create"]


def test_people_on_a_terminal_are_spared() -> None:
    assert told("console") == []
