"""An event loop whose time stands still while anything can run, and jumps to the next timer when nothing can.

Rule: nothing outside the process reaches it (no sockets, no threads, no system clock), so one seed gives one run.
"""

import asyncio
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

START = datetime(2026, 1, 1, tzinfo=UTC)

Result = TypeVar("Result")


class Stuck(Exception):
    """Everybody waits for something that no timer will ever bring: a deadlock."""


class SimulationLoop(asyncio.BaseEventLoop):
    """asyncio's own scheduling on a virtual clock. It is its own selector: `select` is where a real loop sleeps."""

    def __init__(self) -> None:
        super().__init__()
        self._seconds = 0.0
        self._selector = self
        self._clock_resolution = 1e-9
        self.set_exception_handler(_ignore)

    def time(self) -> float:
        return self._seconds

    def select(self, timeout: float | None) -> tuple[()]:
        if timeout is None:
            raise Stuck
        self._seconds += timeout
        return ()

    def _process_events(self, event_list: object) -> None:
        """There are no sockets."""

    def _write_to_self(self) -> None:
        """There are no threads to wake this one."""


def _ignore(_loop: asyncio.AbstractEventLoop, _context: dict[str, Any]) -> None:
    """Tasks of a process that was killed end in errors that nobody will ever look at."""


class LoopClock:
    """The Clock port on the running simulation loop."""

    def now(self) -> datetime:
        return START + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def simulate(main: Coroutine[Any, Any, Result]) -> Result:
    """Run `main` to its end in virtual time."""
    loop = SimulationLoop()
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
