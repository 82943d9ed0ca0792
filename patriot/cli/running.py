"""What `patriot up` does. Rule: however it ends (Ctrl-C, SIGTERM, a closed terminal), nothing is left running.

stdout is for what happens: the live screen, lines (`--plain`), or one JSON document a line (`--json`). Logs go to
stderr, and to a file in the data folder while the screen is shown.
"""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

import msgspec
import uvloop
from pydantic import ValidationError
from rich.console import Console
from rich.status import Status

from patriot.cli.common import State
from patriot.cli.instance import AlreadyRuns, only_one, require_free
from patriot.cli.operate import STOP_SIGNALS
from patriot.cli.output import REFUSED, USAGE, console, done, fail, show_line
from patriot.cli.screen import follow, watch
from patriot.cli.session import Session, load, save
from patriot.cli.view import View
from patriot.protocols.errors import ProtocolError
from patriot.runtime.dapr.components import ComponentsError
from patriot.runtime.dapr.processes import NotReady, ToolMissing
from patriot.runtime.demo import Demo
from patriot.runtime.edge import system_context
from patriot.runtime.platform import Platform, platform
from patriot.runtime.settings import Settings
from patriot.runtime.users import first_admin
from patriot.security.errors import SecurityError
from patriot.store.api import StoreError
from patriot.store.migrate import MigrationRefused, MigrationsPending
from patriot.store.place import EmbeddedError
from patriot.telemetry.correlation import working_as
from patriot.telemetry.logs import Format, configure_logs, set_level

LOG_FILE = "patriot.log"
START_ERRORS = (
    AlreadyRuns,
    ComponentsError,
    EmbeddedError,
    MigrationRefused,
    MigrationsPending,
    NotReady,
    OSError,
    ProtocolError,
    SecurityError,
    StoreError,
    ToolMissing,
)


def up(state: State, given: Mapping[str, Any], seconds: float | None, *, plain: bool, broker: str = "") -> None:
    """Run until a signal, or for so many seconds. With a `broker`: beside Dapr."""
    settings = settings_of(state, given)
    on_screen = console.is_terminal and not plain and not state.as_json
    try:
        with only_one(settings.data_dir), _logs(settings, on_screen=on_screen):
            require_free(settings.host, settings.port, "PATRIOT_PORT")
            if settings.execution == "wire" and not settings.venue_at:
                require_free("127.0.0.1", settings.venue_port, "PATRIOT_VENUE_PORT")
            opened = _opened(settings, broker)
            run = Run(settings, opened, as_json=state.as_json, on_screen=on_screen)
            _until_done(run.until_stopped(seconds))
    except START_ERRORS as error:
        fail(_reason(error), REFUSED, as_json=state.as_json)


def _opened(settings: Settings, broker: str) -> contextlib.AbstractAsyncContextManager[Platform]:
    if not broker:
        return platform(settings)
    from patriot.runtime.dapr.machine import dapr_platform

    return dapr_platform(settings, broker)


def _until_done(job: Coroutine[Any, Any, None]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(job)


def serve_parts(state: State, parts: Sequence[str]) -> None:
    """Serve until a signal."""
    from patriot.runtime.dapr.serve import ServeError, serve
    from patriot.runtime.dapr.sidecar import SidecarError

    settings = settings_of(state, {})

    async def run() -> None:
        stop = asyncio.Event()
        for name in STOP_SIGNALS:
            asyncio.get_running_loop().add_signal_handler(name, stop.set)
        await serve(parts, settings, stop)

    configure_logs(level=settings.log_level, form=settings.log_format)
    try:
        with working_as(parts[0]):
            _until_done(run())
    except (*START_ERRORS, ServeError, SidecarError) as error:
        fail(_reason(error), REFUSED, as_json=state.as_json)


def settings_of(state: State, given: Mapping[str, Any]) -> Settings:
    """The settings; a wrong one ends the command and is named."""
    try:
        return Settings(data_dir=state.data_dir, **given)
    except ValidationError as error:
        wrong = [f"PATRIOT_{str(one['loc'][0]).upper()}: {one['msg']}" for one in error.errors()]
        fail("; ".join(wrong), USAGE, wrong, as_json=state.as_json)


class Run:
    """One run of the platform, from the first signal handler to the last word."""

    def __init__(
        self,
        settings: Settings,
        opened: contextlib.AbstractAsyncContextManager[Platform],
        *,
        as_json: bool,
        on_screen: bool,
    ) -> None:
        self._settings = settings
        self._opened = opened
        self._as_json = as_json
        self._on_screen = on_screen
        self._stop = asyncio.Event()
        self._is_up = False

    async def until_stopped(self, seconds: float | None) -> None:
        """Start, show what happens, stop. A signal that comes while it starts ends the start."""
        serving = asyncio.create_task(self._serve())
        loop = asyncio.get_running_loop()

        def end() -> None:
            self._stop.set()
            if not self._is_up:
                serving.cancel()

        for name in STOP_SIGNALS:
            loop.add_signal_handler(name, end)
        if seconds is not None:
            loop.call_later(seconds, end)
        with contextlib.suppress(asyncio.CancelledError):
            await serving
        self._say("stopped", f"stopped; the data stays in {self._settings.data_dir}")

    async def _serve(self) -> None:
        with self._spinner() as spinner:
            async with self._opened as running:
                demo = await self._prepare(running)
                self._is_up = True
                spinner.stop()
                await self._first_admin(running)
                self._say(
                    "running", f"patriot runs at {running.url} (API: {running.url}/docs); Ctrl-C stops it",
                    url=running.url, account_id=demo.account_id,
                )  # fmt: skip
                async with _in_background(demo.first_order()):
                    await self._show(running, demo)
                set_level("error")  # connections that end now are no news
                spinner.update("stopping")
                spinner.start()

    async def _show(self, running: Platform, demo: Demo) -> None:
        view = View(running, demo.get)
        if self._on_screen:
            await watch(view, self._stop)
        else:
            await follow(view, self._stop, as_json=self._as_json)

    async def _prepare(self, running: Platform) -> Demo:
        """Make the demo user, and write down for the other commands where the platform is and who they are."""
        folder, known = self._settings.data_dir, _known(self._settings.data_dir)
        demo = Demo(running.host, known.username, known.password)
        if self._settings.demo:
            save(folder, Session(running.url, demo.username, demo.password))  # a start cut off now loses no password
            await demo.prepare()
            known = Session(running.url, demo.username, demo.password, demo.account_id)
        save(folder, msgspec.structs.replace(known, url=running.url))
        return demo

    async def _first_admin(self, running: Platform) -> None:
        admin = await first_admin(system_context(running.host.runtime, "user-commands"))
        if admin is not None:
            text = (
                f"administrator {admin.username!r}, for `patriot user`; the password, shown only now: {admin.password}"
            )
            self._say("admin", text, **admin._asdict())

    def _spinner(self) -> Status:
        shown = console if console.is_terminal and not self._as_json else Console(quiet=True)
        return Status("starting", console=shown)

    def _say(self, event: str, text: str, **fields: Any) -> None:
        """A closed terminal is no reason to stop in the middle."""
        with contextlib.suppress(OSError):
            if self._as_json:
                show_line({"event": event, **fields})
            elif not (self._on_screen and event == "running"):
                console.print(done(text), soft_wrap=True)


@contextlib.asynccontextmanager
async def _in_background(job: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(job)
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _known(folder: Path) -> Session:
    """The session of the last run; a damaged file is as good as none."""
    try:
        return load(folder) or Session("")
    except msgspec.DecodeError:
        return Session("")


@contextlib.contextmanager
def _logs(settings: Settings, *, on_screen: bool) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        stream: TextIO = sys.stderr
        if on_screen:
            stream = stack.enter_context((settings.data_dir / LOG_FILE).open("a"))
        form: Format = "json" if on_screen else settings.log_format
        configure_logs(level=settings.log_level, form=form, stream=stream)
        yield


def _reason(error: Exception) -> str:
    if isinstance(error, PermissionError):
        return f"{error.filename} is not writable; choose another folder with --data-dir"
    if isinstance(error, FileExistsError | NotADirectoryError):
        return f"{error.filename} is not a folder; choose another one with --data-dir"
    return str(error)
