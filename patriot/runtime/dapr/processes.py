"""Programs that run beside us. Rule: none outlives us, and one that dies is started again on the same ports.

ToolMissing     a program is not on this machine; the text says how to get it
NotReady        it runs and does not answer in time, or has ended; with the end of its log
"""

import asyncio
import os
import shutil
import signal
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import structlog

FOLDER = "dapr"
"""Below the data folder: where what runs beside us has its log."""

START_SECONDS_MAX = 90.0
STOP_SECONDS_MAX = 10.0
POLL_SECONDS = 0.02
RESTART_SECONDS = 0.1
RESTART_SECONDS_MAX = 5.0
LOG_END_BYTES = 2000
STARTS_AT_ONCE = 4

log = structlog.get_logger()


class ToolMissing(Exception):
    """A program that is needed is not there."""


class NotReady(Exception):
    """A program does not come up."""


@dataclass(frozen=True, slots=True)
class Program:
    """How to run one program, in `folder`. `ready` is asked until it is true; `stop_signal` asks it to end."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] | None = None
    stop_signal: int = signal.SIGTERM
    folder: Path | None = None


class Process:
    """One program, kept running between `start` and `stop`. Its output goes to `<folder>/<name>.log`."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self.log_file = folder / f"{program.name}.log"
        self._child: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None
        self.starts = 0
        self.ready_at = float("-inf")  # by the monotonic clock; of its newest start

    @property
    def pid(self) -> int | None:
        """None while it does not run."""
        return self._child.pid if self._child is not None and self._child.returncode is None else None

    async def start(self) -> None:
        """Return when it is ready. Raises NotReady."""
        await self._launch()
        await self._until_ready()
        self._keeper = asyncio.create_task(self._keep(), name=f"keep {self.program.name}")

    async def stop(self) -> None:
        """Ask it to end; insist after some seconds."""
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        if self._child is None:
            return
        self._signal(self.program.stop_signal)
        try:
            async with asyncio.timeout(STOP_SECONDS_MAX):
                await self._child.wait()
        except TimeoutError:
            log.warning("killed, it did not stop", program=self.program.name)
            self._signal(signal.SIGKILL)
            await self._child.wait()

    def kill(self) -> None:
        """Kill it without a word; it is started again."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            if self._child is not None:
                self._child.send_signal(number)

    async def _launch(self) -> None:
        environment = {**os.environ, **self.program.environment}
        with self.log_file.open("ab") as output:
            self._child = await asyncio.create_subprocess_exec(
                *dying_with_us(self.program.command),
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=self.program.folder,
                start_new_session=True,  # Ctrl-C on the terminal is for us; we stop the others in order
            )
        self.starts += 1

    async def _until_ready(self) -> None:
        assert self._child is not None
        for _ in range(int(START_SECONDS_MAX / POLL_SECONDS)):
            if self._child.returncode is not None:
                raise NotReady(f"{self.program.name} ended with {self._child.returncode}:\n{self.log_end()}")
            if self.program.ready is None or await self.program.ready():
                self.ready_at = time.monotonic()
                return
            await asyncio.sleep(POLL_SECONDS)
        raise NotReady(f"{self.program.name} does not answer:\n{self.log_end()}")

    async def _keep(self) -> None:
        pause = RESTART_SECONDS
        while True:
            assert self._child is not None
            code = await self._child.wait()
            log.warning("started again", program=self.program.name, exit_code=code)
            await asyncio.sleep(pause)
            await self._launch()
            try:
                await self._until_ready()
                pause = RESTART_SECONDS
            except NotReady as error:
                log.warning("not ready", program=self.program.name, reason=str(error))
                pause = min(2 * pause, RESTART_SECONDS_MAX)
                self.kill()

    def log_end(self) -> str:
        try:
            return self.log_file.read_bytes()[-LOG_END_BYTES:].decode(errors="replace")
        except FileNotFoundError:
            return ""


class Fleet:
    """Processes that are started a few at a time and stopped all at once, at the end of an `async with`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._gate = asyncio.Semaphore(STARTS_AT_ONCE)
        self.processes: dict[str, Process] = {}

    async def start(self, programs: Sequence[Program]) -> None:
        """Return when all are ready; once one is not, no other starts any more. Raises NotReady."""
        starts = [asyncio.create_task(self._start(program)) for program in programs]
        try:
            await asyncio.gather(*starts)
        finally:
            for start in starts:
                start.cancel()
            await asyncio.gather(*starts, return_exceptions=True)

    async def _start(self, program: Program) -> None:
        async with self._gate:
            process = self.processes[program.name] = Process(program, self._folder)
            await process.start()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(process.stop() for process in self.processes.values()))


def dying_with_us(command: Sequence[str]) -> Sequence[str]:
    """The kernel ends the program when we are killed, where the system has the means to ask for it."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *command] if setpriv else command


async def listens(port: int) -> bool:
    """Whether something accepts connections on a loopback port."""
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def tools_folder() -> Path:
    """Where built and fetched programs lie."""
    return Path(os.environ.get("PATRIOT_CACHE") or Path.home() / ".cache" / "patriot") / "tools"


def find_tool(name: str, advice: str, *places: Path) -> str:
    """The program's path. Raises ToolMissing, with the advice."""
    for path in (*places, tools_folder() / name):
        if os.access(path, os.X_OK):
            return str(path)
    found = shutil.which(name)
    if found is None:
        raise ToolMissing(f"{name} is not on this machine: {advice}")
    return found
