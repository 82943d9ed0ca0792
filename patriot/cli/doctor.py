"""The checks of `patriot doctor`: each returns what it found and, where something is wrong, what to do.

Rule: looking changes nothing.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx
import msgspec
from pydantic import ValidationError

from patriot.cli.instance import require_free
from patriot.cli.session import FILE, load
from patriot.runtime import discovery
from patriot.runtime.settings import Settings
from patriot.store.embedded import EmbeddedServer
from patriot.store.migrate import MigrationsPending
from patriot.store.open import open_store
from patriot.store.replica import NOT_ASKED

DISK_BYTES_MIN = 1 << 30
REPLICA_LOOKS_MAX, LOOK_SECONDS = 100, 0.1

Finding = Mapping[str, str]


def run(folder: Path) -> list[Finding]:
    """All checks. States: well, note (works, but look), wrong."""
    checks: tuple[Callable[[Path], Finding], ...] = (
        _python,
        _disk,
        _settings,
        _session_file,
        _parts,
        _platform,
        _database,
        _replica,
    )
    return [check(folder) for check in checks]


def _finding(check: str, state: str, finding: str, advice: str = "") -> Finding:
    return {"check": check, "state": state, "finding": finding, "advice": advice}


def _python(_: Path) -> Finding:
    return _finding("python", "well", ".".join(map(str, sys.version_info[:3])))


def _disk(folder: Path) -> Finding:
    existing = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        return _finding("disk", "wrong", f"{existing} is not a folder", "choose another one with --data-dir")
    free = shutil.disk_usage(existing).free
    text = f"{free / 2**30:.1f} GiB free at {existing}"
    if not os.access(existing, os.W_OK):
        return _finding("disk", "wrong", f"{existing} is not writable", "choose another folder with --data-dir")
    if free < DISK_BYTES_MIN:
        return _finding("disk", "note", text, "make room: orders need the disk")
    return _finding("disk", "well", text)


def _settings(folder: Path) -> Finding:
    try:
        settings = Settings(data_dir=folder)
    except ValidationError as error:
        names = ", ".join(f"PATRIOT_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors())
        return _finding("settings", "wrong", names, "correct it in the environment or in .env")
    return _finding("settings", "well", f"{settings.market} market, orders {settings.execution}")


def _session_file(folder: Path) -> Finding:
    path = folder / FILE
    if not path.is_file():
        return _finding("session", "note", "none yet", "start the platform once: make up")
    if path.stat().st_mode & 0o077:
        return _finding("session", "wrong", f"{path} is open to others", f"chmod 600 {path}")
    try:
        load(folder)
    except msgspec.DecodeError:
        return _finding("session", "wrong", f"{path} is damaged", "start the platform again: make up")
    return _finding("session", "well", str(path))


def _parts(_: Path) -> Finding:
    functions, feeds = discovery.functions(), discovery.feeds()
    return _finding("parts", "well", f"{len(functions)} functions, {len(feeds)} feeds")


def _platform(folder: Path) -> Finding:
    try:
        settings = Settings(data_dir=folder)
        session = load(folder)
    except (ValidationError, msgspec.DecodeError):
        return _finding("platform", "note", "not asked", "correct the settings and the session first")
    url = session.url if session else f"http://127.0.0.1:{settings.port}"
    try:
        prices = httpx.get(f"{url}/api/v1/prices", timeout=2, trust_env=False).json()["prices"]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError):
        return _not_running(settings, url)
    stale = [price["instrument"] for price in prices if price["stale"]]
    if stale:
        return _finding("platform", "wrong", f"stale prices: {', '.join(stale)}", "look into the log for the feed")
    return _finding("platform", "well", f"runs at {url}, {len(prices)} prices")


def _not_running(settings: Settings, url: str) -> Finding:
    """Could it start?"""
    try:
        require_free(settings.host, settings.port, "PATRIOT_PORT")
        require_free("127.0.0.1", settings.venue_port, "PATRIOT_VENUE_PORT")
    except OSError as error:
        return _finding("platform", "wrong", f"does not run at {url}, and could not", str(error))
    return _finding("platform", "note", f"does not run at {url}", "start it: make up")


def _database(folder: Path) -> Finding:
    try:
        settings = Settings(data_dir=folder)
        if not settings.database_url and not EmbeddedServer(folder / "postgres").folder.exists():
            return _finding("database", "note", "none yet", "start the platform once: make up")
        depth = asyncio.run(_outbox_depth(settings))
    except MigrationsPending as pending:
        return _finding("database", "note", str(pending), "bring it up to date: patriot migrate, or make up")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
        return _finding("database", "wrong", str(error), "see PATRIOT_DATABASE_URL and the server's log")
    return _finding("database", "well", f"schema current, roles right, {depth:,} events to publish")


def _replica(folder: Path) -> Finding:
    try:
        settings = Settings(data_dir=folder)
        if not settings.database_replica_url:
            return _finding("replica", "well", "none: reports are read from the database itself")
        lag_seconds, left_because = asyncio.run(_lag(settings))
    except Exception:  # noqa: BLE001 - whatever it is, the checks of settings and database tell it
        return _finding("replica", "note", "not asked", "see to the settings and the database first")
    if left_because:
        advice = "reports go to the database itself; see PATRIOT_DATABASE_REPLICA_URL and the standby's log"
        return _finding("replica", "wrong", left_because, advice)
    return _finding("replica", "well", f"answers reports, at most {lag_seconds:.1f} s behind")


async def _lag(settings: Settings) -> tuple[float, str]:
    """How old the replica's rows may be, and why it is not in use; "" while it is."""
    place, url = settings.data_dir / "postgres", settings.database_url or ""
    async with open_store(place, url, replica=settings.reports_from, may_change=False) as store:
        replica = store.replica
        assert replica is not None, "one is set"
        for _ in range(REPLICA_LOOKS_MAX):
            await asyncio.sleep(LOOK_SECONDS)
            if replica.in_use or replica.left_because != NOT_ASKED:
                break
        return replica.lag_seconds, replica.left_because


async def _outbox_depth(settings: Settings) -> int:
    async with open_store(settings.data_dir / "postgres", settings.database_url or "", may_change=False) as store:
        return await store.outbox_depth()
