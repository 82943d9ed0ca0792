"""Under which system account the embedded PostgreSQL runs: our own, except for root, which PostgreSQL refuses."""

import os
import pwd
import stat
from pathlib import Path
from typing import Any, NamedTuple

_PREFERRED = ("postgres", "nobody")


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
    raise LookupError("PostgreSQL does not run as root, and this system has neither an account postgres nor nobody")


def can_reach(account: Account, folder: Path) -> bool:
    """Tell whether the account may enter every existing folder from / down to `folder`."""
    if not account.other:
        return True
    existing = [path for path in (folder, *folder.parents) if path.exists()]
    return all(_can_enter(account, path.stat()) for path in existing)


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
