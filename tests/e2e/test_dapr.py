"""`patriot up --dapr` as its users run it: from nothing to a filled order over real sidecars, then Ctrl-C."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from patriot.cli.output import UNSOUND
from tests.support.servers import broker

pytestmark = [pytest.mark.dapr, pytest.mark.slow, pytest.mark.timeout(400)]
START_SECONDS_MAX = 240


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="patriot-dapr-up-", ignore_cleanup_errors=True) as name:
        path = Path(name)
        path.chmod(0o755)
        yield path


def command(folder: Path, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "patriot.cli.main", "--json", "--data-dir", str(folder), *arguments]


def running_in(folder: Path) -> list[str]:
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line]


@pytest.mark.requirement("C3", "C4", "C5")
async def test_order_is_filled_over_real_sidecars_and_ctrl_c_leaves_nothing_running(folder: Path):
    broker("redis")  # skips where there is none
    environment = {**os.environ, "PATRIOT_VENUE_PORT": "0", "PATRIOT_LOG_LEVEL": "error"}
    process = await asyncio.create_subprocess_exec(
        *command(folder, "up", "--dapr", "--plain", "--port", "0"), env=environment, stdout=asyncio.subprocess.PIPE
    )
    statuses: list[str] = []
    assert process.stdout is not None
    deadline = time.monotonic() + START_SECONDS_MAX
    try:
        while "filled" not in statuses and time.monotonic() < deadline:
            line = json.loads(await asyncio.wait_for(process.stdout.readline(), START_SECONDS_MAX))
            statuses.append(line.get("status", line["event"]))
        assert statuses[0] == "running"
        assert "filled" in statuses, statuses
        assert sum("daprd" in line for line in running_in(folder)) > 10
    finally:
        process.send_signal(signal.SIGINT)
        code = await asyncio.wait_for(process.wait(), 60)
    assert code == 0
    assert running_in(folder) == []


def test_unsafe_component_ends_the_command_with_file_and_line(tmp_path: Path):
    (tmp_path / "redis.yaml").write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Component\nmetadata: {name: events}\n"
        "spec:\n  type: pubsub.redis\n  version: v1\n  metadata:\n    - {name: maxLenApprox, value: '10'}\n"
    )
    done = subprocess.run(command(tmp_path, "topics", str(tmp_path)), capture_output=True, text=True, check=False)
    assert done.returncode == UNSOUND
    assert any(
        line.startswith(f"{tmp_path}/redis.yaml:8: maxLenApprox: 10") for line in json.loads(done.stdout)["wrong"]
    )


def test_part_that_is_not_there_is_named(tmp_path: Path):
    done = subprocess.run(command(tmp_path, "serve", "nobody"), capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "there is no part nobody" in done.stdout + done.stderr


@pytest.mark.requirement("P14")
def test_process_without_an_app_token_does_not_serve(tmp_path: Path):
    environment = {name: text for name, text in os.environ.items() if name != "APP_API_TOKEN"}
    done = subprocess.run(
        command(tmp_path, "serve", "auth"), env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "APP_API_TOKEN is not set" in done.stdout + done.stderr
