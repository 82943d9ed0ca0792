"""`patriot setting …`: what stands, since when and until when; what is changed is said in one line."""

from typing import Any

import pytest

from patriot.cli.output import REFUSED, USAGE
from tests.unit.cli.world import FakeApi, Terminal, problem

STARTED: dict[str, Any] = {
    "name": "trace_share", "part": None, "value": "0.1", "source": "environment", "started": "0.1", "since": None,
    "until": None, "changed_by": None, "reason": None,
}  # fmt: skip
CHANGED: dict[str, Any] = {
    "name": "log_level", "part": "portfolio-projection", "value": "debug", "source": "changed", "started": "info",
    "since": "2026-01-01T12:00:00Z", "until": "2026-01-01T12:15:00Z", "changed_by": "admin", "reason": "incident 7",
}  # fmt: skip
RECEIPT = {name: CHANGED[name] for name in ("name", "value", "part", "reason", "until")}
EVENT = {
    "type": "setting.changed",
    "occurred_at": "2026-01-01T12:00:00Z",
    "actor": "user:6c55564e-d86e-4f0b-b8e8-a18c09c3df7b",
    "data": {"name": "log_level", "value": "debug", "reason": "incident 7"},
}


def test_list_shows_value_source_and_times(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /settings"] = {"settings": [CHANGED, STARTED]}
    _, changed, started = terminal.run("setting", "list").stdout.splitlines()[:3]
    for word in ("log_level", "portfolio-projection", "debug", "admin", "01-01 12:00", "01-01 12:15"):
        assert word in changed
    for word in ("trace_share", "all", "0.1", "environment", "the start"):
        assert word in started
    assert terminal.json("setting", "list") == {"settings": [CHANGED, STARTED]}


@pytest.mark.parametrize(("lasting", "seconds"), [("90s", 90), ("15m", 900), ("2h", 7200), ("1d", 86_400), ("", None)])
def test_set_sends_the_change_and_how_long_it_holds(
    terminal: Terminal, api: FakeApi, lasting: str, seconds: int | None
) -> None:
    api.routes["POST /settings"] = RECEIPT
    words = ["--part", "portfolio-projection", "--reason", "incident 7", *(["--for", lasting] if lasting else [])]
    shown = terminal.run("setting", "set", "log_level", "debug", *words).stdout
    sent = {"name": "log_level", "value": "debug", "part": "portfolio-projection", "reason": "incident 7"}
    assert api.body("POST") == sent | {"seconds": seconds}
    assert api.sent("POST")[-1].headers["idempotency-key"]
    assert "log_level is debug in portfolio-projection until 2026-01-01 12:15:00 UTC" in shown


def test_reset_sends_no_value(terminal: Terminal, api: FakeApi) -> None:
    api.routes["POST /settings"] = RECEIPT | {"value": None, "part": None, "until": None}
    shown = terminal.run("setting", "reset", "log_level").stdout
    assert "log_level is what it was started with in every process" in shown
    assert "value" not in api.body("POST")


@pytest.mark.parametrize("lasting", ["15", "m", "0m", "-5m", "15 minutes", "1w"])
def test_time_that_cannot_be_read_is_wrong_usage(terminal: Terminal, api: FakeApi, lasting: str) -> None:
    assert "15m" in terminal.run("setting", "set", "log_level", "debug", "--for", lasting, code=USAGE).output
    assert api.requests == []


def test_refusal_is_told(terminal: Terminal, api: FakeApi) -> None:
    rule = "there is no setting colour; what may change while the platform runs: log_level, trace_share"
    api.routes["POST /settings"] = (422, problem(422, "unknown_setting", rule))
    assert rule in terminal.run("setting", "set", "colour", "red", code=REFUSED).output


def test_history_tells_who_has_changed_what(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /settings/changes"] = {"events": [EVENT]}
    shown = terminal.run("setting", "history").stdout
    assert "6c55564e" in shown
    assert "log_level is debug: incident 7" in shown
