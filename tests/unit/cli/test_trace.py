"""`patriot trace`: the way of one request, from stored events and logs."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from patriot.cli.output import NOT_FOUND
from patriot.cli.trace import Entry, bar, flow
from tests.unit.cli.world import ORDER, OTHER_ORDER, FakeApi, Terminal, event, order

START = datetime(2026, 11, 21, 5, 40, 55, tzinfo=UTC)
ID = f"req_{int(START.timestamp() * 1000)}_0000000a"
LATER = f"req_{int(START.timestamp() * 1000) + 900}_0000000b"


def at(milliseconds: float) -> str:
    return (START + timedelta(milliseconds=milliseconds)).isoformat()


def told(version: int, kind: str, milliseconds: float, correlation_id: str = ID, **data: Any) -> dict[str, Any]:
    return event(version, kind, **data) | {"occurred_at": at(milliseconds), "correlation_id": correlation_id}


EVENTS = [
    told(2, "order.routed", 10, route="paper"),
    told(3, "order.submit_started", 12, client_order_id="c-1", attempt=1),
    told(4, "order.rejected", 112, LATER, code="-2010", reason="no margin"),
]


POSITION = told(1, "account.deactivated", 5) | {"aggregate_id": OTHER_ORDER}


def log_line(message: str, milliseconds: float, level: str = "info", **fields: Any) -> bytes:
    line = {
        "timestamp": at(milliseconds),
        "level": level,
        "service": "venues",
        "correlation_id": ID,
        "message": message,
        "context": {},
        "duration_ms": None,
    }
    return orjson.dumps(line | fields) + b"\n"


@pytest.fixture
def traced(api: FakeApi) -> None:
    api.routes |= {
        f"GET /trace/{ID}": {"events": [POSITION, *EVENTS[:2]]},
        "GET /trace/req_.*": {"events": []},
        "GET /orders": {"orders": [order(created_at=at(10))]},
        f"GET /events/{ORDER}": {"events": EVENTS},
    }


@pytest.mark.requirement("P16")
def test_flow_of_a_request_with_durations_and_errors_by_service(traced: None, terminal: Terminal) -> None:
    (terminal.folder / "patriot.log").write_bytes(
        log_line("slow answer", 62, "warning", duration_ms=50.0)
        + log_line("another's", 63, correlation_id="req_1_0000000c")
        + b'{"cut off: '
        + ID.encode()
        + b"\n"
    )
    found = terminal.json("trace", ID)
    assert [(one["service"], one["duration_ms"], one["failed"]) for one in found["flow"]] == [
        ("account-commands", 0.0, False),
        ("order-routing", 5.0, False),
        ("order-execution", 2.0, False),
        ("venues", 50.0, True),
        ("order-lifecycle", 50.0, True),
    ]
    assert found["services"][-1] == {"service": "order-lifecycle", "entries": 1, "duration_ms": 50.0, "errors": 1}
    text = terminal.run("trace", ID).stdout
    assert "sent to the venue as c-1, attempt 1" in text
    assert "later: rejected" in text


@pytest.mark.requirement("P16")
def test_parts_beside_sidecars_are_asked_too_and_a_line_is_believed(traced: None, terminal: Terminal) -> None:
    (terminal.folder / "dapr").mkdir()
    execution = log_line("BINANCE create", 100, "warning", service="order-execution", duration_ms=80.0)
    (terminal.folder / "dapr" / "order-execution.log").write_bytes(execution.replace(b"{}", b'{"error":"Timeout"}'))
    lifecycle = log_line("handle venue.report", 113, correlation_id=LATER, service="order-lifecycle", duration_ms=3.0)
    lifecycle = lifecycle.replace(b"{}", b'{"verdict":"SUCCESS"}')
    (terminal.folder / "dapr" / "order-lifecycle.log").write_bytes(lifecycle)
    (terminal.folder / "dapr" / "redis.log").write_text(f"1:M * Ready {ID}\n")
    found = terminal.json("trace", ID)
    assert [(one["what"], one["duration_ms"]) for one in found["flow"] if one["service"].startswith("order-e")] == [
        ("sent to the venue as c-1, attempt 1", None),
        ("BINANCE create Timeout", 80.0),
    ]
    assert found["services"][-1] == {"service": "order-lifecycle", "entries": 2, "duration_ms": 3.0, "errors": 1}
    assert "later: handle venue.report" in terminal.run("trace", ID).stdout


def test_an_order_leads_to_its_request(traced: None, terminal: Terminal) -> None:
    assert terminal.json("trace", ORDER)["correlation_id"] == ID


def test_request_that_left_nothing(traced: None, terminal: Terminal) -> None:
    assert "nothing of yours is known" in terminal.run("trace", "req_1_0000000f", code=NOT_FOUND).stderr


def test_bars_lie_where_the_time_went() -> None:
    def entry(milliseconds: float) -> Entry:
        return Entry(START + timedelta(milliseconds=milliseconds), "a", "b", ID, failed=False)

    entries = flow([entry(100), entry(0), entry(50)])
    assert [one.duration_ms for one in entries] == [0.0, 50.0, 50.0]
    assert [bar(one, entries, 10) for one in entries] == ["━", "━━━━━", "     ━━━━━"]
