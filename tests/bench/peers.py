"""Interpreters that have the peers. Rule: peers live in environments of their own, made once from PyPI, never in ours.

A benchmark reads the interpreter's path from its variable and leaves the peer out where there is none. `find` sets the
variables that are not set: from the cache, or by making the environment. What cannot be had is told, and skipped.
"""

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "patriot" / "peers"
UV = str(Path(sys.executable).with_name("uv"))
INSTALL_SECONDS_MAX = 240


class NotFound(Exception):
    """Peers that this machine cannot have, with the reason."""


@dataclass(frozen=True, slots=True)
class Peers:
    """`packages` are pinned: a ratio to a peer means one version of it."""

    variable: str
    python: str
    packages: tuple[str, ...]

    @property
    def folder(self) -> Path:
        digest = hashlib.sha256(" ".join((self.python, *self.packages)).encode()).hexdigest()[:8]
        return CACHE / f"python{self.python}-{digest}"


OF_311 = Peers(
    "PATRIOT_PEERS",
    "3.11",
    (
        "cryptofeed==2.4.1",
        "eventsourcing[postgres]==9.5.6",
        "lightmatchingengine==2019.1.4",
        "order-matching==0.12.0",
        "pyorderbook==0.4.9",
    ),
)
OF_312 = Peers(
    "PATRIOT_PEERS_312",
    "3.12",
    (
        "fastapi==0.165.0",
        "httptools==0.9.0",
        "matching-engine==0.1.1",
        "nautilus_trader==1.231.0",
        "uvicorn==0.54.0",
        "uvloop==0.22.1",
    ),
)


def find(tell: Callable[[str], None]) -> dict[str, str]:
    """The variables for the benchmarks' processes; `tell` hears what is made and what is missing."""
    found: dict[str, str] = {}
    for peers in (OF_311, OF_312):
        try:
            found[peers.variable] = os.environ.get(peers.variable) or _python_of(peers, tell)
        except NotFound as reason:
            tell(f"peers of Python {peers.python} are left out: {reason}")
    return found


def _python_of(peers: Peers, tell: Callable[[str], None]) -> str:
    python = peers.folder / "bin" / "python"
    if not python.exists():
        base = interpreter(peers.python)
        tell(f"installing peers into {peers.folder}: {', '.join(peers.packages)}")
        building = peers.folder.with_name(f"{peers.folder.name}.{os.getpid()}")
        try:
            _uv("venv", "--python", base, str(building))
            _uv("pip", "install", "--python", str(building / "bin" / "python"), *peers.packages)
            building.rename(peers.folder)
        finally:
            shutil.rmtree(building, ignore_errors=True)
    return str(python)


def interpreter(version: str) -> str:
    """Path of an installed Python of this minor version. Raises NotFound."""
    for candidate in _candidates(version):
        if _runs(candidate):
            return candidate
    raise NotFound(f"there is no Python {version} on this machine (for one: uv python install {version})")


def _candidates(version: str) -> Iterator[str]:
    if version == f"{sys.version_info.major}.{sys.version_info.minor}":
        yield sys.executable
    yield from filter(None, [shutil.which(f"python{version}")])
    folders = (Path.home() / ".pyenv" / "versions", Path.home() / ".local" / "share" / "uv" / "python")
    for folder in folders:
        yield from (str(path) for path in sorted(folder.glob(f"*{version}.*/bin/python{version}")))


def _runs(python: str) -> bool:
    """A name on the path may be a version manager's stand-in for nothing."""
    return subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0


def _uv(*arguments: str) -> None:
    try:
        subprocess.run(
            [UV, "--quiet", *arguments], check=True, capture_output=True, text=True, timeout=INSTALL_SECONDS_MAX
        )
    except FileNotFoundError:
        raise NotFound("uv is missing") from None
    except subprocess.TimeoutExpired:
        raise NotFound(f"the installation took more than {INSTALL_SECONDS_MAX} s") from None
    except subprocess.CalledProcessError as error:
        raise NotFound((error.stderr or str(error)).strip().splitlines()[-1]) from None
