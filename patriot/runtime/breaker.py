"""Circuit breakers on calls between parts. Rule: who does not answer is left alone for a moment; one call then tries.

A caller sees an open circuit as it sees a timeout, only at once: it must be able to live without the other part anyway.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from patriot.runtime.ports import Invoker, Response
from patriot.telemetry.metrics import metrics

FAILURES_MAX = 5
OPEN_SECONDS = 1.0
NO_ANSWER = frozenset({502, 503, 504})


class CircuitOpen(TimeoutError):
    """The part has not answered for a while, and was not asked."""


@dataclass(slots=True)
class Circuit:
    """Of one part: how often it has failed in a row, and until when it is left alone."""

    failures: int = 0
    open_until: float = float("-inf")

    def admits(self, now: float) -> bool:
        """Lets one caller try when the time is over; those beside it wait for another moment."""
        if self.failures < FAILURES_MAX:
            return True
        if now < self.open_until:
            return False
        self.open_until = now + OPEN_SECONDS
        return True

    def failed(self, now: float) -> None:
        self.failures += 1
        if self.failures >= FAILURES_MAX:
            self.open_until = now + OPEN_SECONDS

    def succeeded(self) -> None:
        self.failures = 0


class BreakingInvoker:
    """The Invoker port over another one, with a circuit per part."""

    def __init__(self, invoker: Invoker, monotonic: Callable[[], float]) -> None:
        self._invoker, self._monotonic = invoker, monotonic
        self._circuits: dict[str, Circuit] = {}

    async def invoke(
        self, app_id: str, method: str, path: str, body: bytes = b"", *, headers: Mapping[str, str] | None = None
    ) -> Response:
        """Raises CircuitOpen, or what the call itself raises."""
        circuit = self._circuits.setdefault(app_id, Circuit())
        if not circuit.admits(self._monotonic()):
            raise CircuitOpen(f"{app_id} does not answer")
        try:
            answer = await self._invoker.invoke(app_id, method, path, body, headers=headers)
        except Exception:
            self._failed(app_id, circuit)
            raise
        if answer.status in NO_ANSWER:
            self._failed(app_id, circuit)
        elif circuit.failures:
            circuit.succeeded()
            metrics.circuit_open(app_id).set(0)
        return answer

    def _failed(self, app_id: str, circuit: Circuit) -> None:
        circuit.failed(self._monotonic())
        metrics.circuit_open(app_id).set(circuit.failures >= FAILURES_MAX)
