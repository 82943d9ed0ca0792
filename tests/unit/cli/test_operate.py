"""`patriot up`, `doctor`, `migrate`, `rebuild` where they refuse; what they do is shown by tests/e2e/test_cli.py."""

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from patriot import __version__
from patriot.cli import doctor, upkeep
from patriot.cli.instance import only_one
from patriot.cli.output import REFUSED, UNSOUND, USAGE
from patriot.cli.session import FILE
from patriot.cli.upkeep import _comparison
from patriot.store.api import Commit, Origin, Row
from patriot.store.memory import MemoryStore
from patriot.store.place import EmbeddedError
from tests.store_samples import NOW
from tests.unit.cli.world import Terminal


@pytest.fixture(autouse=True)
def free_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATRIOT_PORT", "0")
    monkeypatch.setenv("PATRIOT_VENUE_PORT", "0")


def test_version_and_help(terminal: Terminal) -> None:
    assert terminal.run("--version").stdout == f"patriot {__version__}\n"
    for name in ("up", "order", "portfolio", "prices", "trades", "events", "account", "rebuild", "doctor", "replay"):
        assert name in terminal.run("--help").stdout
    terminal.run("fly", code=USAGE)


@pytest.mark.parametrize("command", ["up", "rebuild"])
def test_second_platform_in_one_folder_is_refused(terminal: Terminal, command: str) -> None:
    with only_one(terminal.folder):
        shown = terminal.run(command, code=REFUSED)
        assert f"process {os.getpid()}" in shown.stderr
        assert "--data-dir" in terminal.json(command, code=REFUSED)["error"]


@pytest.mark.parametrize("name", ["PATRIOT_PORT", "PATRIOT_VENUE_PORT"])
def test_up_refuses_a_taken_port(terminal: Terminal, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv(name, str(taken.getsockname()[1]))
        assert f"is taken; set {name} to a free one" in terminal.run("up", code=REFUSED).stderr
    assert not (terminal.folder / "postgres").exists()


def test_up_refuses_a_folder_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        assert "is not a folder; choose another one with --data-dir" in Terminal(folder).run("up", code=REFUSED).stderr


def test_up_names_a_folder_that_is_not_writable(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(terminal.folder))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert f"{terminal.folder} is not writable" in terminal.run("up", code=REFUSED).stderr


@pytest.mark.parametrize("command", ["up", "migrate", "rebuild"])
def test_wrong_settings_are_named(terminal: Terminal, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATRIOT_PORT", "abc")
    assert "PATRIOT_PORT: Input should be a valid integer" in terminal.run(command, code=USAGE).stderr


def test_up_says_why_the_database_does_not_start(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATRIOT_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    assert "127.0.0.1" in terminal.run("up", "--plain", code=REFUSED).stderr


def test_migrate_says_why_the_database_does_not_start(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise EmbeddedError("no room")

    monkeypatch.setattr(upkeep, "open_store", fail)
    assert terminal.json("migrate", code=REFUSED)["error"] == "no room"


def test_signal_while_it_is_imported_ends_it_quietly() -> None:
    code = """import os, signal
from patriot.cli import operate
assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
operate.listen()
os.kill(os.getpid(), signal.SIGTERM)"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_rebuild_tells_which_rows_were_not_what_the_events_say(monkeypatch: pytest.MonkeyPatch) -> None:
    store, origin = MemoryStore(), Origin(upkeep.Settings().tenant_id, "service:test", "req_1_00000000")

    wrong: dict[str, Any] = {"account_id": origin.tenant_id, "instrument": "BINANCE:BTC/USDT", "stream_version": 1}
    await store.commit(Commit(origin, NOW, rows=[Row("positions", wrong)]))
    result = await upkeep.compared(store)
    different = {row["table"]: row["different"] for row in result["tables"]}
    assert different["positions"] == 1
    assert not any(count for name, count in different.items() if name != "positions")
    assert result["behind"] == 0


@pytest.mark.parametrize(("behind", "code"), [(0, UNSOUND), (3, 0)])
def test_rebuild_fails_where_sound_rows_have_changed(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, behind: int, code: int
) -> None:
    result = {
        "events": 37, "seconds": 0.5, "behind": behind, "tables": [{"table": "orders", "rows": 5, "different": 2}],
    }  # fmt: skip
    monkeypatch.setattr(upkeep, "rebuild", lambda _: result)
    shown = terminal.run("rebuild", code=code).stdout
    assert "2 different" in shown
    assert "rebuilt from 37 events in 0.5 s" in shown
    assert ("did not have yet" in shown) is bool(behind)
    assert terminal.json("rebuild", code=code) == result


def test_comparison_counts_missing_new_and_changed_rows() -> None:
    before, after = {1: {"a": 1}, 2: {"a": 2}, 3: {"a": 3}}, {1: {"a": 1}, 2: {"a": 0}, 4: {"a": 4}}
    assert _comparison("orders", before, after) == {"table": "orders", "rows": 3, "different": 3}


def test_doctor_of_a_fresh_machine_has_nothing_wrong(tmp_path: Path) -> None:
    found = {check["check"]: check for check in Terminal(tmp_path / "new").json("doctor")}
    assert {found[name]["state"] for name in ("python", "disk", "settings", "parts", "replica")} == {"well"}
    assert {found[name]["state"] for name in ("session", "platform", "database")} == {"note"}
    assert "make up" in found["platform"]["advice"]
    assert not (tmp_path / "new").exists()


def test_doctor_finds_what_is_wrong(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    (terminal.folder / FILE).chmod(0o644)
    monkeypatch.setattr(doctor, "DISK_BYTES_MIN", 1 << 62)
    monkeypatch.setenv("PATRIOT_DATABASE_URL", "postgresql://nobody@127.0.0.1:9/none")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        monkeypatch.setenv("PATRIOT_PORT", str(taken.getsockname()[1]))
        terminal.log_in(url="http://127.0.0.1:9")
        (terminal.folder / FILE).chmod(0o644)
        found = {check["check"]: check for check in terminal.json("doctor", code=UNSOUND)}
        assert "chmod 600" in terminal.run("doctor", code=UNSOUND).stdout.replace("\n", " ")
    assert {name: found[name]["state"] for name in ("session", "disk", "platform", "database")} == {
        "session": "wrong", "disk": "note", "platform": "wrong", "database": "wrong",
    }  # fmt: skip


def test_doctor_survives_damage(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    (terminal.folder / FILE).write_text("{")
    (terminal.folder / FILE).chmod(0o600)
    monkeypatch.setenv("PATRIOT_MARKET", "invented")
    found = {check["check"]: check["state"] for check in terminal.json("doctor", code=UNSOUND)}
    assert (found["session"], found["settings"], found["platform"]) == ("wrong", "wrong", "note")


def test_doctor_of_a_file_as_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    found = {check["check"]: check for check in Terminal(tmp_path / "file").json("doctor", code=UNSOUND)}
    assert "is not a folder" in found["disk"]["finding"]


@pytest.mark.parametrize(("is_stale", "state"), [(True, "wrong"), (False, "well")])
def test_doctor_looks_at_the_prices(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, *, is_stale: bool, state: str
) -> None:
    page = {"prices": [{"instrument": "BINANCE:BTC/USDT", "stale": is_stale}]}
    answer = doctor.httpx.Response(200, json=page)
    monkeypatch.setattr(doctor.httpx, "get", lambda *_, **__: answer)
    assert doctor._platform(terminal.folder)["state"] == state
