"""`patriot up` as a process of its own, and its PostgreSQL: started, killed, asked whether it lives."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import httpx

READY_SECONDS_MAX = 60.0


class PlatformProcess:
    """One data folder; at most one platform process at a time."""

    def __init__(self, folder: Path, execution: str) -> None:
        self.folder, self.execution = folder, execution
        self.kills = self.database_kills = 0
        self.port, self.venue_port = _free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}/api/v1"
        self._process: subprocess.Popen[bytes] | None = None
        self._environment = {name: text for name, text in os.environ.items() if not name.startswith("PATRIOT_")}
        self._environment |= {
            "PATRIOT_EXECUTION": execution,
            "PATRIOT_VENUE_PORT": str(self.venue_port),
            "PATRIOT_DEMO": "false",
            "PATRIOT_LOG_LEVEL": "warning",
        }

    def start(self) -> None:
        command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(self.folder), "up", "--plain"]
        with (self.folder / "up.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--port", str(self.port)], env=self._environment, stdout=log, stderr=log
            )

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)
        self.kills += 1

    def interrupt(self) -> int:
        """Ctrl-C; the exit code."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(60)

    def database_pid(self, *, ready: bool = False) -> int | None:
        """The server's process id, where one runs, and answers if it must be `ready`."""
        with suppress(FileNotFoundError, ValueError, IndexError):
            lines = (self.folder / "postgres" / "data" / "postmaster.pid").read_text().splitlines()
            pid = int(lines[0])
            if ready and lines[7].strip() != "ready":
                return None
            if (Path("/proc") / str(pid) / "comm").read_text().strip() == "postgres":
                return pid
        return None

    def processes(self) -> Sequence[str]:
        """Command lines of everything that still runs in this folder."""
        listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        return [line for line in listed.splitlines() if str(self.folder) in line]

    def clean_up(self) -> None:
        """Leave nothing running, whatever happened."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait(10)
        pid = self.database_pid()
        if pid is not None:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGQUIT)

    async def ready(self) -> float:
        """Wait until the public edge answers; returns the moment."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        async with httpx.AsyncClient() as client:
            while time.monotonic() < deadline:
                assert self._process is not None
                assert self._process.poll() is None, (self.folder / "up.log").read_text()[-3000:]
                with suppress(httpx.HTTPError):
                    if (await client.get(f"{self.url}/prices", timeout=2)).status_code == 200:
                        return time.monotonic()
                await asyncio.sleep(0.02)
        raise AssertionError(f"not ready in time: {(self.folder / 'up.log').read_text()[-3000:]}")


def _free_ports(count: int) -> list[int]:
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports
