"""Brokers for the tests of one session: started at the first use, each once, ended with the session."""

import asyncio
import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from patriot.runtime.dapr import brokers, topics
from patriot.runtime.dapr.backing import ALL, backing, write_components
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.processes import Program, ToolMissing
from patriot.runtime.serving import free_ports

START_SECONDS_MAX = 120


@cache
def broker(name: str) -> Mapping[str, str]:
    """What components read from the environment to find it. Skips the test, loudly, where it cannot be had."""
    folder, port = Path(tempfile.mkdtemp(prefix="patriot-broker-")), free_ports(3)
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    try:
        made = brokers.BROKERS[name](folder, port)
    except ToolMissing as missing:
        pytest.skip(f"NOT TESTED: {missing}")
    for program in made.programs:
        _run(program, folder)
    return made.environment


def require(name: str) -> None:
    """Skip the test, loudly, where a broker (or "all") cannot be had; start nothing."""
    with tempfile.TemporaryDirectory(prefix="patriot-broker-") as folder:
        try:
            backing(name, Path(folder))
        except ToolMissing as missing:
            pytest.skip(f"NOT TESTED: {missing}")


def redis_port() -> int:
    return int(broker("redis")["PATRIOT_REDIS"].rpartition(":")[2])


@cache
def components(name: str) -> tuple[Path, Mapping[str, str]]:
    """Components with every topic on one broker, or "all"; topics made. And what they read from the environment."""
    environment = dict(broker("redis"))
    for one in brokers.BROKERS if name == ALL else (name,):
        environment |= broker(one)
    folder = Path(tempfile.mkdtemp(prefix="patriot-components-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    if name == "redis":
        return ROOT / "local", environment
    write_components(name, folder)
    _now(lambda: topics.prepare(folder, environment))
    return folder, environment


def _run(program: Program, folder: Path) -> None:
    with (folder / f"{program.name}.log").open("wb") as log:
        child = subprocess.Popen(
            program.command,
            env={**os.environ, **program.environment},
            stdout=log,
            stderr=log,
            cwd=folder,
            start_new_session=True,
        )
    atexit.register(_end, child)
    deadline = time.monotonic() + START_SECONDS_MAX
    assert program.ready is not None
    while not _now(program.ready):
        assert child.poll() is None, (folder / f"{program.name}.log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _now(ask: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
    """The answer, wherever we are called from: a loop may run already."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, ask()).result()


def _end(child: "subprocess.Popen[bytes]") -> None:
    os.killpg(child.pid, signal.SIGKILL)  # RabbitMQ's is a script with children
    child.wait()
