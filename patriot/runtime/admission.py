"""Which requests begin, and when. Rule: what lessens risk never waits for what adds to it; no order waits long in vain.

New orders take turns, in the order in which they came. How many are worked on at once follows from how long the work
takes (`Pace`). An order is turned away, before it costs anything, where waiting does not help it:

    too many wait                    WAITING_PER_TURN for each that may be worked on
    the first of them waits long     PATIENCE_SECONDS: so would this one, and no turn is given to who has waited longer
    the platform is behind           orders taken before wait BACKLOG_SECONDS_MAX for a single step on their way

While a cancel or a kill switch is under way no order and no delivery begins, for a moment at most: a crowd of orders
cannot make cancels slow, and a crowd of cancels cannot stop orders.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from types import TracebackType

from patriot.runtime.clock import Clock
from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError

WAITING_PER_TURN = 8
PATIENCE_SECONDS = 1.0
BACKLOG_SECONDS_MAX = 10.0
STEP_BACK_SECONDS = 0.02
OVERLOADED = "overloaded"
ADDS_RISK = frozenset({"orders:create", "orders:modify"})


@dataclass(slots=True)
class Pace:
    """How many orders at once: one less for every two that took long, one more for every ten that did not.

    So about five of six are answered within SECONDS, on a fast machine and on a slow one. (Additive both ways: what
    shares a commit is slow together, and would halve the pace together.)
    """

    at_once_max: int
    at_once: float

    SECONDS = 0.1
    AT_ONCE_MIN = 8
    UP, DOWN = 0.1, 0.5

    def learn(self, seconds: float) -> None:
        """An order took so long from its turn to its answer."""
        at_once = self.at_once + (self.UP if seconds <= self.SECONDS else -self.DOWN)
        self.at_once = min(max(at_once, self.AT_ONCE_MIN), self.at_once_max)


class Admission:
    """Of one process: `Admission.of(runtime)`."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Admission":
        found = runtime.local.get("admission")
        if not isinstance(found, Admission):
            found = runtime.local["admission"] = cls(runtime.settings.orders_at_once, runtime.clock)
        return found

    def __init__(self, at_once_max: int, clock: Clock) -> None:
        self.pace = Pace(at_once_max, at_once_max)
        self.backlog_seconds: Callable[[], float] = lambda: 0.0
        self._clock = clock
        self._waiting: deque[tuple[asyncio.Future[None], float]] = deque()
        self._working = 0
        self._calm = asyncio.Event()
        self._calm.set()
        self._urgent = 0

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    @contextmanager
    def first(self) -> Iterator[None]:
        """Work on what lessens risk, at once; others step back meanwhile."""
        self._urgent += 1
        self._calm.clear()
        try:
            yield
        finally:
            self._urgent -= 1
            if not self._urgent:
                self._calm.set()

    async def step_back(self) -> None:
        """Let those go first who lessen risk."""
        if self._urgent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._calm.wait(), STEP_BACK_SECONDS)

    def turn(self) -> "_Turn":
        """`async with`: work on an order when its turn comes. Raises the 503 problem where that would take long."""
        return _Turn(self, self._clock)

    async def begin(self) -> None:
        self._refuse_in_vain()
        if self._waiting or self._working >= self.pace.at_once:
            await self._wait()
        else:
            self._working += 1
        if self._urgent:
            try:
                await self.step_back()
            except asyncio.CancelledError:
                self.end()
                raise

    def end(self) -> None:
        self._working -= 1
        now = self._clock.monotonic()
        while self._waiting and self._working < self.pace.at_once:
            turn, since = self._waiting.popleft()
            if turn.cancelled():
                continue  # its client has just gone
            if now - since > PATIENCE_SECONDS:
                turn.set_exception(_in_vain())
            else:
                self._working += 1
                turn.set_result(None)

    def _refuse_in_vain(self) -> None:
        waits = self._clock.monotonic() - self._waiting[0][1] if self._waiting else 0.0
        full = len(self._waiting) >= WAITING_PER_TURN * self.pace.at_once_max
        if full or waits > PATIENCE_SECONDS or self.backlog_seconds() > BACKLOG_SECONDS_MAX:
            raise _in_vain()

    async def _wait(self) -> None:
        turn = asyncio.get_running_loop().create_future(), self._clock.monotonic()
        self._waiting.append(turn)
        try:
            await turn[0]
        except asyncio.CancelledError:
            if turn in self._waiting:
                self._waiting.remove(turn)
            elif not turn[0].cancelled() and turn[0].exception() is None:  # its turn had come already
                self.end()
            raise


def _in_vain() -> ProblemError:
    return ProblemError(503, OVERLOADED, "too many orders wait; nothing was done, send it again in a moment")


class _Turn:
    __slots__ = ("_admission", "_clock", "_started")

    def __init__(self, admission: Admission, clock: Clock) -> None:
        self._admission, self._clock = admission, clock

    async def __aenter__(self) -> None:
        await self._admission.begin()
        self._started = self._clock.monotonic()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        del kind, error, trace
        self._admission.pace.learn(self._clock.monotonic() - self._started)
        self._admission.end()
