"""Brokers for the tests of one session: started at the first use, each once, ended with the session."""

import asyncio
import atexit
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

from patriot.runtime.dapr import brokers
from patriot.runtime.dapr.processes import Program, ToolMissing
from patriot.runtime.serving import free_port

START_SECONDS_MAX = 60


@cache
def redis_port() -> int:
    """A Redis of the session. Skips the test, loudly, where there is none."""
    return _served(brokers.redis)


def _served(make: Callable[[Path, int], Program]) -> int:
    folder, port = Path(tempfile.mkdtemp(prefix="patriot-broker-")), free_port()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        program = make(folder, port)
    except ToolMissing as missing:
        pytest.skip(f"NOT TESTED: {missing}")
    with (folder / "log").open("wb") as log:
        child = subprocess.Popen(
            program.command, env={**os.environ, **program.environment}, stdout=log, stderr=log, start_new_session=True
        )
    atexit.register(_end, child)
    deadline = time.monotonic() + START_SECONDS_MAX
    assert program.ready is not None
    while not _now(program.ready):
        assert child.poll() is None, (folder / "log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return port


def _now(ask: Callable[[], Awaitable[bool]]) -> bool:
    """The answer, wherever we are called from: a loop may run already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()
