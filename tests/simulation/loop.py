"""An event loop whose time stands still while anything can run, and jumps to the next timer when nothing can.

Rule: nothing outside the process reaches it (no sockets, no threads, no system clock), so one seed gives one run.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import Any, TypeVar

START = datetime(2026, 1, 1, tzinfo=UTC)

Result = TypeVar("Result")


class Stuck(Exception):
    """Everybody waits for something that no timer will ever bring: a deadlock."""


class Job(asyncio.TimerHandle):
    """A callback that waits for its turn. Lighter than asyncio's own: nobody debugs a million of them."""

    __slots__ = ()

    def __init__(self, callback: Callable[..., object], arguments: Any, context: Context | None, when: float) -> None:
        self._callback: Any = callback
        self._args: Any = arguments
        self._context = context if context is not None else copy_context()
        self._when = when
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = self._args = None


class SimulationLoop(asyncio.BaseEventLoop):
    """asyncio's tasks and futures on a virtual clock: first come, first served; timers when nobody else can run."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._seconds = seconds
        self._jobs: deque[Job] = deque()
        self._timers: list[tuple[float, int, Job]] = []
        self._timers_set = 0
        self.set_exception_handler(_ignore)

    def time(self) -> float:
        return self._seconds

    def call_soon(self, callback: Any, *arguments: Any, context: Context | None = None) -> Job:
        job = Job(callback, arguments, context, self._seconds)
        self._jobs.append(job)
        return job

    def call_at(self, when: float, callback: Any, *arguments: Any, context: Context | None = None) -> Job:
        job = Job(callback, arguments, context, when)
        self._timers_set += 1
        heappush(self._timers, (when, self._timers_set, job))
        return job

    def call_later(self, delay: float, callback: Any, *arguments: Any, context: Context | None = None) -> Job:
        return self.call_at(self._seconds + delay, callback, *arguments, context=context)

    def _run_once(self) -> None:
        jobs = self._jobs
        if not jobs:
            self._wait()
        while jobs and not self._stopping:
            job = jobs.popleft()
            if not job._cancelled:
                job._run()

    def _wait(self) -> None:
        """Go to the time of the next timer."""
        while self._timers:
            when, _, job = heappop(self._timers)
            if not job._cancelled:
                self._seconds = max(self._seconds, when)
                self._jobs.append(job)
                return
        raise Stuck

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


def simulate(main: Coroutine[Any, Any, Result], seconds: float = 0.0) -> Result:
    """Run `main` to its end in virtual time that begins at `seconds`."""
    loop = SimulationLoop(seconds)
    try:
        return loop.run_until_complete(main)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
