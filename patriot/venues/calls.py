"""Every call to a venue. Rule: what is held back was not sent; what has no answer in time is unknown."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Final, TypeVar

import ccxt
import structlog

from patriot.runtime.clock import Clock
from patriot.runtime.ports import State
from patriot.telemetry.tracing import traced
from patriot.telemetry.work import finished
from patriot.venues.budget import Held, SharedBudget
from patriot.venues.connections import Connections
from patriot.venues.dialect import Dialect
from patriot.venues.gate import Gate, Step
from patriot.venues.outcomes import Meaning, judge

CALLS_MAX = 64
UNLIMITED = 1e9
WAIT_SECONDS_MAX = 0.8
"""How long a command may wait to leave: what is sent later than this could outlive the platform's arrival window."""

COMMANDS: Final = frozenset({"create", "modify", "cancel", "leverage"})
QUESTION_SECONDS_MAX = 20.0
"""Questions wait in a queue: one that gives up halfway through its calls has spent its weight for nothing."""

SILENCING: Final = frozenset({"-1003", "10018", "DDoSProtection", "RateLimitExceeded"})
"""Codes that are about our address and not about one account or endpoint."""

SILENCE_SECONDS: Final = {"binance": 60.0, "bybit": 600.0, "coinbase": 10.0}
"""Silence after a 429, 418 or 403 that does not say how long."""

Result = TypeVar("Result")

log = structlog.get_logger(service="venues")


class NotSent(Exception):
    """The gate held a call back."""

    def __init__(self, held: Held) -> None:
        super().__init__(f"{held.code}: {held.reason}")
        self.held = held


class Calls:
    """The gates of one adapter, one per budget, and the number of calls at once. `address` is ours as venues see it:
    who shares it shares its budgets. Not `is_limited`: the venue counts nothing, so there is nothing to keep within.
    """

    def __init__(
        self, connections: Connections, clock: Clock, state: State, address: str, *, is_limited: bool = True
    ) -> None:
        self._connections, self._clock, self._state, self._address = connections, clock, state, address
        self._is_limited = is_limited
        self._gates: dict[str, Gate] = {}
        self._slots = asyncio.Semaphore(CALLS_MAX)

    def gate(self, dialect: Dialect, kind: str) -> Gate:
        budget = dialect.budgets[kind]
        if not self._is_limited:
            budget = replace(budget, weight=UNLIMITED)
        key = f"budget:{self._address}:{dialect.venue}:{budget.name}"
        if key not in self._gates:
            self._gates[key] = Gate(SharedBudget(key, budget, self._state, self._clock), self._clock.monotonic)
        return self._gates[key]

    async def ask(
        self, step: Step, dialect: Dialect, exchange: Any, kind: str, call: Callable[[], Awaitable[Result]]
    ) -> Result:
        """One call through the gate. Raises NotSent, and whatever the call raises."""
        gate = self.gate(dialect, kind)
        await self._enter(gate, step, dialect.weights[kind][step])
        name, started = f"{dialect.venue} {step}", self._clock.monotonic()
        try:
            async with asyncio.timeout(self._connections.timeout_seconds):
                result = await traced(call(), name)
        except Exception as error:
            finished(name, self._clock.monotonic() - started, failed=True, error=type(error).__name__)
            await self._failed(gate, dialect, exchange, kind, error)
            raise
        else:
            finished(name, self._clock.monotonic() - started)
            gate.answered()
            return result
        finally:
            self._slots.release()

    async def _enter(self, gate: Gate, step: Step, weight: float) -> None:
        """Take budget and a slot, or raise NotSent after a wait."""
        if step in COMMANDS:
            await self._admitted(gate, step, weight, self._clock.monotonic() + WAIT_SECONDS_MAX)
        else:
            deadline = self._clock.monotonic() + QUESTION_SECONDS_MAX
            async with gate.questions:
                await self._admitted(gate, step, weight, deadline)
        try:
            async with asyncio.timeout(WAIT_SECONDS_MAX):
                await self._slots.acquire()
        except TimeoutError:
            raise NotSent(Held("rate_limited", WAIT_SECONDS_MAX)) from None

    async def _admitted(self, gate: Gate, step: Step, weight: float, deadline: float) -> None:
        while held := await gate.admit(step, weight):
            if held.code != "rate_limited" or self._clock.monotonic() + held.seconds > deadline:
                raise NotSent(held)
            await self._clock.sleep(held.seconds)

    async def _failed(self, gate: Gate, dialect: Dialect, exchange: Any, kind: str, error: Exception) -> None:
        verdict = judge(exchange.id, error)
        if verdict.meaning is not Meaning.UNPROVED:
            gate.answered()
        elif gate.unanswered():
            log.warning("venue does not answer: no new orders for a while", venue=dialect.venue, market=kind)
        if verdict.meaning is Meaning.LIMITED and verdict.code in SILENCING:
            seconds = _retry_after(exchange) or SILENCE_SECONDS[exchange.id]
            await gate.silence(seconds)
            log.warning("venue asks for silence", venue=dialect.venue, market=kind, seconds=seconds)
        if verdict.meaning is Meaning.STALE:
            await self._synchronise(dialect, kind)

    async def _synchronise(self, dialect: Dialect, kind: str) -> None:
        try:
            await self._connections.synchronise(dialect, kind)
        except ccxt.BaseError as error:
            log.warning("the venue's clock could not be read", venue=dialect.venue, reason=repr(error))


def _retry_after(exchange: Any) -> float | None:
    """Seconds that the newest answer asks for."""
    headers = {name.lower(): value for name, value in (exchange.last_response_headers or {}).items()}
    value = str(headers.get("retry-after", ""))
    return float(value) if value.isdecimal() else None
