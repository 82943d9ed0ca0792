"""`patriot strategy …`: what is asked, and how the answer reads."""

import pytest

from patriot.cli.output import NOT_FOUND, USAGE
from tests.unit.cli.world import ACCOUNT, PERPETUAL, FakeApi, Terminal

ID = "c3e7837b-4430-4283-9d0c-45150e7beafe"
STRATEGY = {
    "strategy_id": ID, "kind": "grid", "name": "maker", "instruments": [PERPETUAL], "parameters": {"levels": 2},
    "status": "running", "accounts": [ACCOUNT], "created_at": "2026-11-21T05:40:55Z",
    "updated_at": "2026-11-21T05:40:55Z",
}  # fmt: skip


@pytest.fixture
def ready(terminal: Terminal, api: FakeApi) -> tuple[Terminal, FakeApi]:
    terminal.log_in()
    api.routes["GET /strategies"] = {"strategies": [STRATEGY]}
    return terminal, api


def test_deploy_sends_what_was_typed(ready: tuple[Terminal, FakeApi]) -> None:
    terminal, api = ready
    api.routes["POST /strategies"] = (201, STRATEGY)
    words = ("deploy", "grid", PERPETUAL, "--parameters", '{"levels":2}', "--start")
    assert "'maker' is running" in terminal.run("strategy", *words).stdout
    assert api.body("POST") == {
        "kind": "grid",
        "name": "grid BTC-USDT",
        "account_id": ACCOUNT,
        "instruments": [PERPETUAL],
        "parameters": {"levels": 2},
        "start": True,
    }


@pytest.mark.parametrize("verb", ["start", "pause", "stop"])
@pytest.mark.parametrize("named", ["maker", ID])
def test_strategy_is_named_or_its_id_given(ready: tuple[Terminal, FakeApi], verb: str, named: str) -> None:
    terminal, api = ready
    api.routes[f"POST /strategies/{ID}/{verb}"] = STRATEGY
    assert terminal.json("strategy", verb, named)["name"] == "maker"


def test_unknown_strategy_is_not_found(ready: tuple[Terminal, FakeApi]) -> None:
    assert "patriot strategy list" in ready[0].run("strategy", "stop", "nobody", code=NOT_FOUND).stderr


def test_parameters_and_assignments(ready: tuple[Terminal, FakeApi]) -> None:
    terminal, api = ready
    api.routes[f"PATCH /strategies/{ID}/parameters"] = STRATEGY
    api.routes[f"POST /strategies/{ID}/assignments"] = (201, STRATEGY)
    assert "levels 2" in terminal.run("strategy", "set", "maker", "--parameters", '{"levels":2}').stdout
    assert api.body("PATCH") == {"parameters": {"levels": 2}}
    assert "1 account" in terminal.run("strategy", "assign", "maker", ACCOUNT).stdout
    assert "no JSON" in terminal.run("strategy", "set", "maker", "--parameters", "{", code=USAGE).stderr


def test_lists_fit_the_terminal(ready: tuple[Terminal, FakeApi]) -> None:
    terminal, api = ready
    kind = {"kind": "grid", "text": "Rests orders.", "parameters": {"properties": {"levels": {}}}}
    api.routes["GET /strategies/kinds"] = {"kinds": [kind]}
    assert "maker" in terminal.run("strategy", "list").stdout
    assert "Rests orders." in terminal.run("strategy", "kinds").stdout
