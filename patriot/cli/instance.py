"""One platform per data folder. Rule: who holds the lock may start the database and change what lies there."""

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

FILE = "patriot.lock"


class AlreadyRuns(Exception):
    """Another process holds the folder."""

    def __init__(self, folder: Path, holder: str) -> None:
        who = f"process {holder}" if holder else "another process"
        what = f"a platform already runs in {folder.absolute()} ({who})"
        super().__init__(f"{what}: stop it first, or name another folder with --data-dir")


@contextlib.contextmanager
def only_one(folder: Path) -> Iterator[None]:
    """Hold the folder, made if need be, for the block. Raises AlreadyRuns, OSError (not writable)."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / FILE).open("a+") as lock:
        lock.seek(0)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AlreadyRuns(folder, lock.read(20).strip()) from None
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
        lock.truncate(0)


def require_free(address: str, port: int, variable: str) -> None:
    """Raise OSError with what to do where another process listens on the port: seen before anything is started."""
    if not port:
        return
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise OSError(f"port {port} of {address} is taken; set {variable} to a free one (0 = any)") from None
            raise OSError(f"cannot listen on {address}:{port}: {error.strerror}; see PATRIOT_HOST") from None
