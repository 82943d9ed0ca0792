"""Running it: `patriot up`, `doctor`, `migrate`, `rebuild`."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from patriot.cli import doctor as checks
from patriot.cli.common import State, state_of, wants_json
from patriot.cli.orders import Json
from patriot.cli.output import REFUSED, UNSOUND, console, errors, fail, rows, show
from patriot.cli.screen import watch
from patriot.cli.session import Session, load, save
from patriot.protocols.errors import ProtocolError
from patriot.runtime.clock import SystemClock
from patriot.runtime.demo import USERNAME, Demo
from patriot.runtime.platform import Platform, platform
from patriot.runtime.rebuild import Rebuild
from patriot.runtime.settings import Settings
from patriot.security.errors import SecurityError
from patriot.store.api import StoreError
from patriot.store.migrate import MigrationRefused
from patriot.store.open import open_store
from patriot.store.place import EmbeddedError
from patriot.telemetry.logs import configure_logs

LOG_FILE = "patriot.log"
START_ERRORS = (EmbeddedError, MigrationRefused, StoreError, SecurityError, ProtocolError, OSError)


def up(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="prices of the real exchanges instead of the synthetic ones")] = (
        False
    ),
    seed: Annotated[int | None, typer.Option(help="of the synthetic market")] = None,
    port: Annotated[int | None, typer.Option(help="of the public edge")] = None,
    demo: Annotated[bool, typer.Option(help="make the demo user, account, strategy and first order")] = True,
    plain: Annotated[bool, typer.Option(help="print lines instead of the live screen")] = False,
    seconds: Annotated[float | None, typer.Option(help="stop by itself after so long")] = None,
) -> None:
    """Run the platform: market, orders, portfolio. Ctrl-C stops everything, the database too."""
    state = state_of(context)
    settings = Settings(data_dir=state.data_dir, demo=demo)
    given = {"seed": seed, "port": port, "market": "live" if live else None}
    settings = settings.model_copy(update={name: value for name, value in given.items() if value is not None})
    on_screen = sys.stdout.isatty() and not plain and not state.as_json
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        with _logs(settings, on_screen=on_screen):
            asyncio.run(_run(settings, seconds, on_screen=on_screen))
    except START_ERRORS as error:
        fail(str(error), REFUSED, as_json=state.as_json)


@contextlib.contextmanager
def _logs(settings: Settings, *, on_screen: bool) -> Iterator[None]:
    """On the screen the logs would be in the way: they go to a file in the data folder."""
    if not on_screen:
        configure_logs(level=settings.log_level, form=settings.log_format)
        yield
        return
    with (settings.data_dir / LOG_FILE).open("a") as stream:
        configure_logs(level=settings.log_level, form="json", stream=stream)
        yield


async def _run(settings: Settings, seconds: float | None, *, on_screen: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, stop.set)
    if seconds is not None:
        loop.call_later(seconds, stop.set)
    async with platform(settings) as running:
        account_id = await _demo(settings, running)
        if not on_screen:
            console.print(f"patriot runs at {running.url} (API: {running.url}/docs); Ctrl-C stops it", soft_wrap=True)
        await watch(running, account_id, stop, on_screen=on_screen)


async def _demo(settings: Settings, running: Platform) -> str:
    known = load(settings.data_dir)
    if not settings.demo:
        return ""
    demo = Demo(running.host, known.password if known and known.username == USERNAME else "")
    await demo.prepare()
    save(settings.data_dir, Session(running.url, USERNAME, demo.password, demo.account_id))
    return demo.account_id


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Bring the database to the newest schema, and check its roles."""
    state = state_of(context)
    settings = Settings(data_dir=state.data_dir)

    async def run() -> None:
        async with open_store(settings.data_dir / "postgres", settings.database_url or ""):
            pass

    _attempt(run, wants_json(context, as_json))
    show({"migrated": True}, as_json=wants_json(context, as_json), table="[green]✓[/] the schema is current")


def rebuild(context: typer.Context, as_json: Json = False) -> None:
    """Empty the read models and fold every event again. Stop the platform first."""
    state = state_of(context)
    settings = Settings(data_dir=state.data_dir)
    count = 0

    async def run() -> None:
        nonlocal count
        async with open_store(settings.data_dir / "postgres", settings.database_url or "") as store:
            columns = (SpinnerColumn(), TextColumn("{task.completed} events"), TimeElapsedColumn())
            with Progress(*columns, console=errors, transient=True) as progress:
                task = progress.add_task("", total=None)
                job = Rebuild(store)
                count = await job.run(SystemClock().now(), lambda done: progress.update(task, completed=done))

    _attempt(run, wants_json(context, as_json))
    show({"events": count}, as_json=wants_json(context, as_json), table=f"[green]✓[/] rebuilt from {count:,} events")


def _attempt(run: Callable[[], Coroutine[None, None, None]], as_json: bool) -> None:
    try:
        asyncio.run(run())
    except START_ERRORS as error:
        fail(str(error), REFUSED, as_json=as_json)


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check what the platform needs and how it is; say what to do about what is wrong."""
    state: State = state_of(context)
    found = checks.run(state.data_dir)
    columns = ("state", "check", "finding", "advice")
    show(found, as_json=wants_json(context, as_json), table=rows("doctor", columns, found))
    if any(check["state"] == "wrong" for check in found):
        raise typer.Exit(UNSOUND)


def register(app: typer.Typer) -> None:
    for command in (up, doctor, migrate, rebuild):
        app.command()(command)
