"""The session: who we are, kept from others, and what is said when that fails."""

from pathlib import Path

import httpx
import pytest

from patriot.cli.output import REFUSED, UNREACHABLE
from patriot.cli.session import FILE, Session, load, save, wanted
from tests.unit.cli.world import URL, FakeApi, Terminal, order, problem


def test_session_is_readable_by_its_owner_only(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("{}")
    (tmp_path / FILE).chmod(0o644)
    session = Session(URL, "demo", "secret", "account")
    save(tmp_path, session)
    assert load(tmp_path) == session
    assert (tmp_path / FILE).stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == [FILE]


def test_no_session_says_how_to_start(tmp_path: Path) -> None:
    shown = Terminal(tmp_path / "nowhere").run("portfolio", code=UNREACHABLE).stderr
    assert "start it with `make up`" in shown
    assert "--data-dir" in shown


def test_damaged_session_says_so(terminal: Terminal) -> None:
    (terminal.folder / FILE).write_text("{")
    assert "is damaged" in terminal.run("portfolio", code=REFUSED).stderr


def test_environment_names_another_platform_and_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path, Session(URL, "demo", "secret", "account"))
    monkeypatch.setenv("PATRIOT_URL", "https://desk.test/")
    assert wanted(tmp_path) == Session("https://desk.test", "demo", "secret", "account")
    assert wanted(tmp_path / "nowhere") == Session("https://desk.test")
    monkeypatch.setenv("PATRIOT_USERNAME", "alice")
    monkeypatch.setenv("PATRIOT_PASSWORD", "hers")
    assert wanted(tmp_path) == Session("https://desk.test", "alice", "hers")


def test_token_is_kept_for_the_next_command(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /orders"] = {"orders": [order()]}
    for _ in range(3):
        terminal.run("order", "list")
    assert sum("/auth/token" in one.url.path for one in api.requests) == 1
    kept = load(terminal.folder)
    assert kept is not None
    assert kept.token == api.token


def test_expired_token_is_replaced(terminal: Terminal, api: FakeApi) -> None:
    terminal.log_in(token="old")
    api.routes["GET /orders"] = {"orders": []}
    terminal.run("order", "list")
    kept = load(terminal.folder)
    assert kept is not None
    assert kept.token == api.token


def test_another_users_token_is_not_written_down(
    terminal: Terminal, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATRIOT_USERNAME", "alice")
    api.routes["GET /orders"] = {"orders": []}
    before = load(terminal.folder)
    terminal.run("order", "list")
    assert load(terminal.folder) == before


def test_wrong_password_is_refused_once(terminal: Terminal, api: FakeApi) -> None:
    api.routes["POST /auth/token"] = (401, problem(401, "unauthenticated", "username or password is wrong"))
    shown = terminal.run("order", "list", code=REFUSED).stderr
    assert "username or password is wrong" in shown
    assert "logging in as 'demo'" in shown
    assert sum("/auth/token" in one.url.path for one in api.requests) == 1


def test_nobody_is_told_how_to_be_somebody(terminal: Terminal, api: FakeApi) -> None:
    terminal.log_in(username="")
    assert "PATRIOT_USERNAME" in terminal.run("order", "list", code=REFUSED).stderr


def test_lost_answer_of_a_command_names_the_key(terminal: Terminal, api: FakeApi) -> None:
    def lose(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadTimeout("timed out", request=request)

    api.routes |= {"POST /orders": lose, "GET /orders": lose}
    words = ("order", "create", "BINANCE:BTC/USDT", "buy", "1", "--key", "k-7")
    shown = terminal.run(*words, code=UNREACHABLE).stderr
    assert "may have been done all the same" in shown
    assert "--key k-7" in shown
    assert "done all the same" not in terminal.run("order", "list", code=UNREACHABLE).stderr


def test_answer_that_is_no_problem_json_is_shown_as_it_is(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /orders"] = (502, "bad gateway")
    assert "502" in terminal.run("order", "list", code=REFUSED).stderr
