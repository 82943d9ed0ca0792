"""Base backups, the log between them, and the way back to any moment. Rule: a backup that was not verified is none.

    <backup>/base-20260301T020000Z/     a base backup, named by the moment it was complete
    <backup>/log/                       the write-ahead log since the oldest, as `follow` receives it

A restore copies the newest base backup that was complete before the wanted moment, replays the log up to it, and
leaves a folder that `EmbeddedServer`, or any PostgreSQL of the same major version, starts from.

BackupError
└── every reason why there is no backup or no restore, with the end of what the program said
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

import asyncpg

from patriot.store.embedded import EmbeddedServer
from patriot.store.place import Account, EmbeddedError, account_for, installation

SLOT = "patriot_backup"
MOMENT = "%Y%m%dT%H%M%SZ"
BASE, LOG = "base-", "log"
SEGMENT_CHARACTERS = 24
PARTIAL = ".partial"


class BackupError(Exception):
    """There is no backup, or no restore."""


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore brought back. `unbalanced`: assets whose ledger entries do not sum to zero; there must be none."""

    base: str
    events: int
    last_event_at: datetime | None
    unbalanced: tuple[str, ...]


def base_backup(url: str, folder: Path, now: datetime) -> Path:
    """A verified base backup of the server at `url`, whose login may replicate. Raises BackupError."""
    unfinished = folder / f"{BASE}unfinished"
    shutil.rmtree(unfinished, ignore_errors=True)
    folder.mkdir(parents=True, exist_ok=True)
    address, environment = _without_password(url)
    command = ["--dbname", address, "--pgdata", str(unfinished), "--checkpoint", "fast", "--wal-method", "stream"]
    _run("pg_basebackup", [*command, "--manifest-checksums", "SHA256"], environment)
    _run("pg_verifybackup", ["--quiet", str(unfinished)])
    return unfinished.rename(folder / f"{BASE}{now.strftime(MOMENT)}")


def follow(url: str, folder: Path) -> "subprocess.Popen[bytes]":
    """Receive the log as it is written, from where the last receiver ended; the caller ends it. Raises BackupError.

    The server keeps what was not received: nothing is missed while nobody follows.
    """
    log = folder / LOG
    log.mkdir(parents=True, exist_ok=True)
    address, environment = _without_password(url)
    target = ["--dbname", address, "--directory", str(log), "--slot", SLOT]
    _run("pg_receivewal", [*target, "--create-slot", "--if-not-exists"], environment)
    command = [_program("pg_receivewal"), *target, "--synchronous", "--no-password"]
    return subprocess.Popen(command, env={**os.environ, **environment})  # noqa: S603


def forget(folder: Path, keep: int) -> Sequence[Path]:
    """Remove all but the newest `keep` base backups, and the log that none of them needs; what was removed."""
    bases = bases_in(folder)
    old = bases[:-keep] if keep else []
    for base in old:
        shutil.rmtree(base)
    kept = bases[len(old) :]
    needed = _first_segment(kept[0]) if kept else ""
    segments = [path for path in _segments(folder) if _place(path) < needed]
    for path in segments:
        path.unlink()
    return [*old, *segments]


def bases_in(folder: Path) -> Sequence[Path]:
    """Finished base backups, oldest first."""
    return sorted(path for path in folder.glob(f"{BASE}*Z") if path.is_dir())


async def restore(folder: Path, into: Path, to: datetime | None) -> Restored:
    """Bring back the state at the moment `to`, or as far as the log goes, into the new folder `into`.

    Raises:
        BackupError: no base backup is old enough, `into` is in use, the log ends before the moment, or it is damaged.

    """
    base = _base_before(folder, to)
    _run("pg_verifybackup", ["--quiet", str(base)])
    with _copied(folder, base, into) as log:
        settings = {"restore_command": f'cp "{log}/%f" "%p" || cp "{log}/%f{PARTIAL}" "%p"'}
        settings |= {"hot_standby": "off"}  # nobody is let in before the moment is reached
        if to is not None:
            settings |= {"recovery_target_time": to.astimezone(UTC).isoformat(), "recovery_target_action": "promote"}
        server = EmbeddedServer(into, settings)
        try:
            server.start()
            return await _looked_at(server, base)
        except EmbeddedError as error:
            raise BackupError(_reason(str(error), to)) from error
        finally:
            server.stop()


@contextlib.contextmanager
def _copied(folder: Path, base: Path, into: Path) -> Iterator[Path]:
    """The base backup and its log in `into`, owned by the server's account; the log goes again at the end."""
    into.mkdir(parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise BackupError(f"{into} is not empty: restore into a new folder")
    account = account_for(into / "data")
    log = into / LOG
    shutil.copytree(base, into / "data", symlinks=True)
    log.mkdir()
    first = _first_segment(base)
    for path in (folder / LOG).glob("*"):
        if path.suffix == ".history" or _place(path) >= first:
            shutil.copy2(path, log)
    (into / "data" / "recovery.signal").touch()
    (into / "data").chmod(0o700)
    _give(account, into)
    yield log
    shutil.rmtree(log)


async def _looked_at(server: EmbeddedServer, base: Path) -> Restored:
    """Ask the restored server what it has."""
    connection = await asyncpg.connect(server.url())
    try:
        events = await connection.fetchval("select count(*) from event_store")
        last = await connection.fetchval("select max(occurred_at) from event_store")
        sums = await connection.fetch("select asset, sum(amount) as off from ledger_entries group by asset")
    finally:
        await connection.close()
    return Restored(base.name, events, last, tuple(sorted(row["asset"] for row in sums if row["off"] != Decimal(0))))


def _base_before(folder: Path, to: datetime | None) -> Path:
    bases = bases_in(folder)
    fitting = [base for base in bases if to is None or _moment(base) <= to]
    if fitting:
        return fitting[-1]
    oldest = f"the oldest is of {_moment(bases[0]):%Y-%m-%d %H:%M:%S} UTC" if bases else "there is none"
    raise BackupError(f"no base backup in {folder} was complete by then: {oldest}")


def _moment(base: Path) -> datetime:
    return datetime.strptime(base.name.removeprefix(BASE), MOMENT).replace(tzinfo=UTC)


def _first_segment(base: Path) -> str:
    """Place in the log of the first segment that a base backup needs."""
    label = (base / "backup_label").read_text(encoding="utf-8")
    return label.partition("(file ")[2][8:SEGMENT_CHARACTERS]


def _segments(folder: Path) -> Iterator[Path]:
    return (path for path in (folder / LOG).glob("*") if len(path.name.removesuffix(PARTIAL)) == SEGMENT_CHARACTERS)


def _place(segment: Path) -> str:
    """A segment's place in the log, whatever its timeline."""
    return segment.name[8:SEGMENT_CHARACTERS]


def _give(account: Account, folder: Path) -> None:
    account.give(folder)
    if account.other:
        for path in folder.rglob("*"):
            account.give(path)


def _reason(said: str, to: datetime | None) -> str:
    if "before configured recovery target was reached" in said:
        return f"the log ends before {to}: leave the moment out to go as far as the log goes"
    return said


def _program(name: str) -> str:
    return str(installation(account_for(Path("/nonexistent"))) / "bin" / name)


def _without_password(url: str) -> tuple[str, Mapping[str, str]]:
    """The address, and the password as an environment variable: arguments are for every user of the machine to read."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, {}
    login, _, host = parts.netloc.rpartition("@")
    netloc = f"{login.partition(':')[0]}@{host}"
    return urlunsplit(parts._replace(netloc=netloc)), {"PGPASSWORD": unquote(parts.password)}


def _run(name: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    done = subprocess.run(  # noqa: S603 (PostgreSQL's own program)
        [_program(name), *arguments],
        check=False,
        capture_output=True,
        text=True,
        env={**os.environ, **(environment or {}), "LC_ALL": "C"},
    )
    if done.returncode:
        raise BackupError(f"{name}: {(done.stderr or done.stdout).strip()[-2000:]}")
