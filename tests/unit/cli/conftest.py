"""What every test of a command gets: a fake platform and a terminal of 80 columns that is logged in."""

from functools import partial
from pathlib import Path

import httpx
import pytest

from patriot.cli import orders, output, session, watch
from tests.unit.cli.world import FakeApi, Terminal


@pytest.fixture(autouse=True)
def _logs(logs_as_they_are: None) -> None:
    """Of the process that runs all tests."""


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> FakeApi:
    fake = FakeApi()
    client = partial(httpx.Client, transport=httpx.MockTransport(fake.answer))
    monkeypatch.setattr(session.httpx, "Client", client)
    return fake


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    for name in ("PATRIOT_URL", "PATRIOT_USERNAME", "PATRIOT_PASSWORD", "PATRIOT_ACCOUNT", "PATRIOT_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(output.console, "_width", 80)
    monkeypatch.setattr(orders, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(watch, "FOLLOW_SECONDS", 0.0)
    made = Terminal(tmp_path)
    made.log_in()
    return made
