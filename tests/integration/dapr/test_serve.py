"""Before a process takes work: whether it belongs to its database, and to the chart that starts it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from patriot import __version__
from patriot.cli.output import REFUSED, USAGE


def serve(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(folder), "serve", "auth"]
    given = {**os.environ, "APP_API_TOKEN": "secret", "PORT": "0", **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.postgres
@pytest.mark.requirement("T10")
def test_process_migrates_no_given_database_but_names_the_command_that_does(empty_database: str, tmp_path: Path):
    ended = serve(tmp_path, PATRIOT_DATABASE_URL=empty_database)
    assert ended.returncode == REFUSED
    assert "migrations to apply with `patriot migrate`: 0001_roles" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.requirement("T10", "C2")
def test_process_of_another_version_than_its_chart_does_not_start(tmp_path: Path):
    ended = serve(tmp_path, PATRIOT_CHART_VERSION="9.9.9")
    assert ended.returncode == USAGE
    assert f"chart is made for version 9.9.9, the image has version {__version__}: install the chart" in ended.stderr
