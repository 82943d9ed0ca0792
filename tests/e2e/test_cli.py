"""The command line against a real process: start, trade, stop, start again, mend. What a newcomer does first."""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from patriot.cli.instance import FILE as LOCK

pytestmark = [pytest.mark.slow, pytest.mark.postgres, pytest.mark.timeout(240)]

PERPETUAL = "BINANCE:BTC/USDT:USDT"
START_SECONDS = 60.0


class Installation:
    """One data folder and the processes started in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.process: subprocess.Popen[bytes] | None = None
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("PATRIOT_")}
        self._environment |= {"PATRIOT_PORT": "0", "PATRIOT_VENUE_PORT": "0", "PATRIOT_EXECUTION": "in_process"}
        self._lines: list[Any] = []

    def run(self, *words: str, code: int = 0) -> Any:
        """stdout of `patriot … --json`, parsed."""
        done = subprocess.run(
            self._command(*words), capture_output=True, env=self._environment, timeout=90, check=False
        )
        assert done.returncode == code, (words, done.returncode, done.stdout, done.stderr)
        return orjson.loads(done.stdout)

    def start(self) -> None:
        with (self.folder / "out").open("wb") as out, (self.folder / "err").open("wb") as errors:
            self.process = self.launch(out, errors)
        self.wait_for("running")

    def stop(self, number: int = signal.SIGINT) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)

    def said(self, event: str) -> list[Any]:
        """What `patriot up` has told so far; each line is a document."""
        lines = [orjson.loads(line) for line in (self.folder / "out").read_bytes().splitlines(keepends=False)]
        return [line for line in lines if line["event"] == event]

    def wait_for(self, event: str, **fields: str) -> Any:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            for line in self.said(event):
                if fields.items() <= line.items():
                    return line
            assert self.process is None or self.process.poll() is None, (self.folder / "err").read_text()
            time.sleep(0.1)
        raise AssertionError(f"{event} {fields} did not come: {(self.folder / 'out').read_text()}")

    def servers(self) -> list[str]:
        """Command lines of the PostgreSQL processes of this folder."""
        listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if f"-D {self.folder}/data/postgres" in line]

    def launch(self, out: Any, errors: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(self._command("up"), stdout=out, stderr=errors, env=self._environment)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "patriot.cli.main", "--json", "--data-dir", str(self.folder / "data"), *words]


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    with tempfile.TemporaryDirectory(prefix="patriot-cli-") as folder:
        Path(folder).chmod(0o755)
        made = Installation(Path(folder))
        yield made
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


@pytest.mark.requirement("T3")
def test_a_newcomers_first_day(installation: Installation) -> None:
    """One test, for one thing leads to the next: that is what is tested."""
    trade_on_the_first_day(installation)
    before = installation.run("portfolio"), installation.run("order", "list", "--limit", "1000")
    assert installation.servers()
    assert installation.stop(signal.SIGINT) == 0
    assert installation.said("stopped")
    assert not installation.servers()
    mend_while_it_is_stopped(installation)
    find_everything_again(installation, *before)
    assert installation.stop(signal.SIGTERM) == 0
    assert not installation.servers()


def trade_with_leverage(installation: Installation) -> None:
    ether = "BINANCE:ETH/USDT:USDT"
    assert installation.run("account", "leverage", ether, "5")["leverages"] == {ether: 5}
    assert installation.run("order", "create", ether, "buy", "1", "--wait", "20")["status"] == "filled"
    (held,) = [row for row in installation.run("portfolio")["positions"] if row["instrument"] == ether]
    assert held["leverage"] == 5
    refused = installation.run("account", "leverage", ether, "3", code=1)
    assert refused["detail"]["code"] == "leverage_in_use"


def trade_on_the_first_day(installation: Installation) -> None:
    installation.start()
    first = installation.wait_for("order", status="filled")
    assert first["instrument"] == PERPETUAL
    order = installation.run("order", "create", PERPETUAL, "buy", "0.01", "--wait", "20")
    assert order["status"] == "filled"
    assert installation.run("order", "show", order["order_id"][:13])["order_id"] == order["order_id"]
    events = installation.run("events", order["order_id"])
    assert (events[0]["type"], events[-1]["type"]) == ("order.created", "order.filled")
    resting = installation.run("order", "create", PERPETUAL, "buy", "0.01", low_price(installation), "--wait", "20")
    assert resting["status"] == "accepted"
    assert installation.run("order", "modify", "last", "--quantity", "0.02", "--wait", "20")["quantity"] == "0.02"
    assert installation.run("order", "cancel", "last", "--wait", "20")["status"] == "cancelled"
    assert len(installation.run("trades")["trades"]) >= 2
    assert PERPETUAL in {row["instrument"] for row in installation.run("portfolio")["positions"]}
    assert installation.run("account", "list")["accounts"][0]["mode"] == "paper"
    trade_with_leverage(installation)
    assert installation.run("order", "show", "00000000-0000-0000-0000-000000000000", code=4)["error"]
    assert "already runs" in installation.run("up", code=1)["error"]
    assert "already runs" in installation.run("rebuild", code=1)["error"]
    assert not [check for check in installation.run("doctor") if check["state"] == "wrong"]


def low_price(installation: Installation) -> str:
    (price,) = installation.run("prices", PERPETUAL)["prices"]
    return str(int(float(price["bid"]) * 0.97))


def mend_while_it_is_stopped(installation: Installation) -> None:
    assert installation.run("portfolio", code=3)["error"]
    assert installation.run("migrate")["migrated"]
    rebuilt = installation.run("rebuild")
    assert rebuilt["events"] > 20
    assert not any(table["different"] for table in rebuilt["tables"]) or rebuilt["behind"]
    assert {check["check"]: check["state"] for check in installation.run("doctor")}["database"] == "well"
    assert not installation.servers()


def find_everything_again(installation: Installation, portfolio: Any, orders: Any) -> None:
    installation.start()
    known = {order["order_id"]: order for order in orders["orders"]}
    again = {order["order_id"]: order for order in installation.run("order", "list", "--limit", "1000")["orders"]}
    assert {name: again[name]["status"] for name in known} == {name: known[name]["status"] for name in known}
    assert {name: again[name]["version"] for name in known} == {name: known[name]["version"] for name in known}
    now = installation.run("portfolio")
    assert now["accounts"] == portfolio["accounts"]
    if len(again) == len(known):  # else the strategy has traded meanwhile
        assert now["balances"] == portfolio["balances"]
    assert installation.run("order", "create", PERPETUAL, "sell", "0.01", "--wait", "20")["status"] == "filled"


def test_closed_terminal_leaves_nothing_running(installation: Installation) -> None:
    installation.start()
    assert installation.stop(signal.SIGHUP) == 0
    assert not installation.servers()


@pytest.mark.parametrize("seconds", [0.0, 0.3, 0.6, 1.0, 2.0])
def test_ctrl_c_while_it_starts_leaves_nothing_running(installation: Installation, seconds: float) -> None:
    process = installation.launch(subprocess.DEVNULL, subprocess.DEVNULL)
    lock = installation.folder / "data" / LOCK
    while lock.read_text() != f"{process.pid}\n":  # before that it is imported, and holds nothing
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(seconds)
    process.send_signal(signal.SIGINT)
    assert process.wait(60) == 0
    assert not installation.servers()
