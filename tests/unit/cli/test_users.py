"""`patriot user …`: made, listed, managed; a password is shown once and never asked for on the command line."""

import pytest

from patriot.cli.output import NOT_FOUND, REFUSED
from patriot.cli.session import load
from tests.unit.cli.world import FakeApi, Terminal, problem

USER = {
    "user_id": "6c55564e-d86e-4f0b-b8e8-a18c09c3df7b",
    "username": "ada",
    "role": "user",
    "status": "active",
    "compliance": "unverified",
    "since": "2026-01-01T12:00:00Z",
}
PATH = f"/tenant-users/{USER['user_id']}"


def test_create_shows_the_password_that_it_made(terminal: Terminal, api: FakeApi) -> None:
    api.routes["POST /tenant-users"] = (201, USER | {"role": "fund_manager"})
    shown = terminal.run("user", "create", "ada", "fund_manager").stdout
    sent = api.body("POST")
    assert sent["role"] == "fund_manager"
    assert len(sent["password"]) >= 20
    assert sent["password"] in shown
    assert terminal.json("user", "create", "ada")["password"] == api.body("POST")["password"]


def test_create_takes_the_password_of_the_environment(
    terminal: Terminal, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATRIOT_NEW_PASSWORD", "correct horse battery")
    api.routes["POST /tenant-users"] = (201, USER)
    shown = terminal.run("user", "create", "ada").output
    assert api.body("POST")["password"] == "correct horse battery"
    assert "horse" not in shown


def test_list_shows_everybody(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /tenant-users"] = {"users": [USER, USER | {"username": "eve", "status": "deactivated"}]}
    shown = terminal.run("user", "list").stdout
    assert "ada" in shown
    assert "deactivated" in shown
    assert terminal.json("user", "list")["users"][0] == USER


@pytest.mark.parametrize(
    ("words", "sent"),
    [
        (("role", "ADA", "admin"), {"role": "admin"}),
        (("deactivate", "ada"), {"status": "deactivated"}),
        (("activate", USER["user_id"]), {"status": "active"}),
        (("verify", "ada"), {"compliance": "verified"}),
        (("verify", "ada", "rejected"), {"compliance": "rejected"}),
    ],
)
def test_users_are_managed_by_name_or_id(
    terminal: Terminal, api: FakeApi, words: tuple[str, ...], sent: dict[str, str]
) -> None:
    api.routes["GET /tenant-users"] = {"users": [USER]}
    api.routes[f"PATCH {PATH}"] = USER
    terminal.run("user", *words, "--reason", "audit")
    assert api.body("PATCH") == sent | {"reason": "audit"}


def test_unknown_user_and_missing_permission_are_told(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /tenant-users"] = {"users": [USER]}
    assert "patriot user list" in terminal.run("user", "role", "bob", "admin", code=NOT_FOUND).output
    api.routes["GET /tenant-users"] = (403, problem(403, "forbidden", "needs users:manage"))
    assert "users:manage" in terminal.run("user", "list", code=REFUSED).output


def test_me_tells_role_and_compliance(terminal: Terminal, api: FakeApi) -> None:
    api.routes["GET /users/me"] = USER | {"base_currency": "USDT"}
    assert "ada: user, active, compliance unverified" in terminal.run("user", "me").stdout


@pytest.mark.requirement("P14")
def test_password_is_asked_for_twice_and_kept_for_the_next_command(terminal: Terminal, api: FakeApi) -> None:
    terminal.log_in(password="the old password", token=api.token)
    api.routes["POST /auth/password"] = {"access_token": "a new token", "expires_in_seconds": 3600}
    shown = terminal.run("user", "password", answers="correct horse battery\n" * 2).output
    assert api.body("POST") == {"old_password": "the old password", "new_password": "correct horse battery"}
    assert "horse" not in shown
    kept = load(terminal.folder)
    assert kept is not None
    assert (kept.password, kept.token) == ("correct horse battery", "a new token")


@pytest.mark.requirement("P14")
def test_refused_password_changes_nothing_here(
    terminal: Terminal, api: FakeApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.log_in(password="the old password", token=api.token)
    monkeypatch.setenv("PATRIOT_NEW_PASSWORD", "correct horse battery")
    api.routes["POST /auth/password"] = (422, problem(422, "wrong_password", "the old password is wrong"))
    assert "wrong_password" in terminal.run("user", "password", code=REFUSED).stderr
    kept = load(terminal.folder)
    assert kept is not None
    assert kept.password == "the old password"


@pytest.mark.requirement("P14")
def test_logout_forgets_the_token(terminal: Terminal, api: FakeApi) -> None:
    terminal.log_in(token=api.token)
    api.routes["POST /auth/logout"] = {"signed_out_at": "2026-01-01T12:00:00Z"}
    assert terminal.json("logout") == {"signed_out_at": "2026-01-01T12:00:00Z"}
    kept = load(terminal.folder)
    assert kept is not None
    assert kept.token == ""


@pytest.mark.requirement("P14")
def test_lost_password_is_replaced_by_an_administrator_and_its_user(terminal: Terminal, api: FakeApi) -> None:
    made = {"user_id": USER["user_id"], "username": "ada", "one_time_password": "once"}
    api.routes["GET /tenant-users"] = {"users": [USER]}
    api.routes[f"POST {PATH}/password-reset"] = made | {"expires_at": "2026-01-01T13:00:00Z"}
    assert "shown only now: once" in terminal.run("user", "reset-password", "ada").stdout
    terminal.log_in(token=api.token, username="ada")
    api.routes["POST /auth/password/reset"] = {"access_token": "a new token", "expires_in_seconds": 3600}
    shown = terminal.run("user", "password", "--lost", answers="once\n" + "correct horse battery\n" * 2).output
    sent = {"username": "ada", "one_time_password": "once", "new_password": "correct horse battery"}
    assert api.body("POST") == sent
    assert "horse" not in shown
    kept = load(terminal.folder)
    assert kept is not None
    assert (kept.password, kept.token) == ("correct horse battery", "a new token")
