"""How many new orders are worked on at once. Rule: what lessens risk never waits for what adds to it.

New orders take turns; beyond a bounded queue they are turned away. While a cancel is under way no further order begins,
for a moment at most, so that a crowd of orders cannot make cancels slow and a crowd of cancels cannot stop orders.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError

WAITING_MAX = 2_000
STEP_BACK_SECONDS = 0.1
ADDS_RISK = frozenset({"orders:create", "orders:modify"})
LESSENS_RISK = "orders:cancel"


class Admission:
    """Of one process: `Admission.of(runtime)`. Those who wait go in the order in which they came."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Admission":
        found = runtime.local.get("admission")
        if not isinstance(found, Admission):
            found = runtime.local["admission"] = cls(runtime.settings.orders_at_once)
        return found

    def __init__(self, at_once: int) -> None:
        self._free = asyncio.Semaphore(at_once)
        self._calm = asyncio.Event()
        self._calm.set()
        self._urgent = 0
        self.waiting = 0

    @asynccontextmanager
    async def admitted(self, permission: str | None) -> AsyncIterator[None]:
        """Work on what needs this permission. Raises the 503 problem where too many wait."""
        if permission in ADDS_RISK:
            await self._wait()
            try:
                yield
            finally:
                self._free.release()
        elif permission == LESSENS_RISK:
            self._urgent += 1
            self._calm.clear()
            try:
                yield
            finally:
                self._urgent -= 1
                if not self._urgent:
                    self._calm.set()
        else:
            yield

    async def _wait(self) -> None:
        if self.waiting >= WAITING_MAX:
            raise ProblemError(503, "overloaded", "too many orders wait; nothing was done, send it again in a moment")
        self.waiting += 1
        try:
            await self._free.acquire()
        finally:
            self.waiting -= 1
        if self._urgent:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._calm.wait(), STEP_BACK_SECONDS)
