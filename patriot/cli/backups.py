"""`patriot backup` and `patriot restore`. Rule: a restore writes into a new folder and over nothing."""

import asyncio
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from patriot.cli.common import Json, State, quiet_logs, state_of
from patriot.cli.output import REFUSED, UNSOUND, USAGE, done, fail, show


def backup(
    context: typer.Context,
    to: Annotated[Path, typer.Option("--to", help="Folder of the backups.")],
    keep: Annotated[int, typer.Option(min=1, help="Base backups to keep; older ones go, with their log.")] = 14,
    follow: Annotated[bool, typer.Option("--follow", help="Receive the log until stopped, instead.")] = False,
    as_json: Json = False,
) -> None:
    """Take a verified base backup of the running database, or receive its log as it is written."""
    from patriot.store.backup import BackupError, base_backup, forget
    from patriot.store.backup import follow as received

    quiet_logs()
    state, started = state_of(context, as_json), time.monotonic()
    url, folder = _url(state), to.absolute()
    try:
        if follow:
            _until_it_ends(received(url, folder), state)
            return
        base = base_backup(url, folder, datetime.now(UTC))
        removed = forget(folder, keep)
    except (BackupError, OSError) as error:
        fail(str(error), REFUSED, as_json=state.as_json)
    seconds = round(time.monotonic() - started, 2)
    found = {"base": str(base), "removed": [str(path) for path in removed], "seconds": seconds}
    show(found, as_json=state.as_json, text=done(f"{base} in {seconds} s, verified; {len(removed)} old files removed"))


def restore(
    context: typer.Context,
    source: Annotated[Path, typer.Option("--from", help="Folder of the backups.")],
    into: Annotated[Path, typer.Option(help="New folder; PostgreSQL's data lies in `data` below it.")],
    to: Annotated[str, typer.Option(help="The moment, as 2026-03-01T12:00:00Z; else as far as the log goes.")] = "",
    as_json: Json = False,
) -> None:
    """Bring the database back to a moment, in a new folder, and tell whether the ledger balances."""
    from patriot.store.backup import BackupError
    from patriot.store.backup import restore as restored

    quiet_logs()
    state, started = state_of(context, as_json), time.monotonic()
    moment = _moment(to, state)
    try:
        result = asyncio.run(restored(source.absolute(), into.absolute(), moment))
    except (BackupError, OSError) as error:
        fail(str(error), REFUSED, as_json=state.as_json)
    seconds = round(time.monotonic() - started, 2)
    found = {
        "base": result.base,
        "events": result.events,
        "last_event_at": result.last_event_at,
        "unbalanced": result.unbalanced,
        "seconds": seconds,
    }
    last = f"the last of {result.last_event_at:%Y-%m-%d %H:%M:%S} UTC" if result.last_event_at else "no event"
    text = f"{result.events:,} events, {last}, from {result.base} in {seconds} s; the ledger "
    text += f"is off in {', '.join(result.unbalanced)}" if result.unbalanced else "balances"
    show(found, as_json=state.as_json, text=done(text))
    if result.unbalanced:
        raise typer.Exit(UNSOUND)


def _url(state: State) -> str:
    from patriot.cli.running import settings_of
    from patriot.store.embedded import EmbeddedServer

    settings = settings_of(state, {})
    return settings.database_url or EmbeddedServer(settings.data_dir / "postgres").url()


def _moment(text: str, state: State) -> datetime | None:
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        fail(f"{text} is no moment; write it as 2026-03-01T12:00:00Z", USAGE, as_json=state.as_json)
    if moment.tzinfo is None:
        fail(f"{text} has no time zone; write it as {text}Z", USAGE, as_json=state.as_json)
    return moment


def _until_it_ends(receiver: "subprocess.Popen[bytes]", state: State) -> None:
    """A signal to us is for the receiver too: it ends with what it has on disk."""
    try:
        code = receiver.wait()
    finally:
        receiver.terminate()
        receiver.wait()
    if code:
        fail(f"pg_receivewal ended with {code}", REFUSED, as_json=state.as_json)


def register(app: typer.Typer) -> None:
    for command in (backup, restore):
        app.command()(command)
