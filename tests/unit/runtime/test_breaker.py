"""A part that does not answer is left alone, tried again by one caller, and used again once it answers."""

import pytest

from patriot.runtime.breaker import FAILURES_MAX, OPEN_SECONDS, BreakingInvoker, CircuitOpen
from patriot.runtime.ports import Response
from patriot.telemetry.metrics import metrics


class Part:
    def __init__(self) -> None:
        self.calls, self.outcome = 0, 200
        self.now = 0.0

    async def invoke(
        self, app_id: str, method: str, path: str, body: bytes = b"", *, headers: object = None
    ) -> Response:
        self.calls += 1
        if self.outcome == 0:
            raise TimeoutError
        return Response(self.outcome, {}, b"")


@pytest.fixture
def part() -> Part:
    return Part()


async def fail(invoker: BreakingInvoker, part: Part, app_id: str = "a") -> None:
    part.outcome = 0
    for _ in range(FAILURES_MAX):
        with pytest.raises(TimeoutError):
            await invoker.invoke(app_id, "GET", "/")


@pytest.mark.requirement("B12", "A5")
async def test_circuit_opens_after_failures_in_a_row_and_answers_at_once(part: Part):
    invoker = BreakingInvoker(part, lambda: part.now)
    await fail(invoker, part)
    calls = part.calls
    for _ in range(100):
        with pytest.raises(CircuitOpen):
            await invoker.invoke("a", "GET", "/")
    assert part.calls == calls
    part.outcome = 200
    assert (await invoker.invoke("b", "GET", "/")).status == 200, "other parts have circuits of their own"


@pytest.mark.requirement("B12")
async def test_one_caller_tries_and_success_closes_the_circuit(part: Part):
    invoker = BreakingInvoker(part, lambda: part.now)
    await fail(invoker, part)
    assert told("a") == 1
    part.now += OPEN_SECONDS
    with pytest.raises(TimeoutError):
        await invoker.invoke("a", "GET", "/")  # it still does not answer
    with pytest.raises(CircuitOpen):
        await invoker.invoke("a", "GET", "/")
    assert told("a") == 1
    part.now, part.outcome = part.now + OPEN_SECONDS, 200
    for _ in range(3):
        assert (await invoker.invoke("a", "GET", "/")).status == 200
    assert told("a") == 0


def told(part: str) -> float | None:
    return metrics.registry.get_sample_value("circuit_open", {"part": part})


async def test_refusals_are_answers_and_unavailable_is_none(part: Part):
    invoker = BreakingInvoker(part, lambda: part.now)
    part.outcome = 422
    for _ in range(3 * FAILURES_MAX):
        await invoker.invoke("a", "GET", "/")
    part.outcome = 503
    for _ in range(FAILURES_MAX):
        await invoker.invoke("a", "GET", "/")
    with pytest.raises(CircuitOpen):
        await invoker.invoke("a", "GET", "/")
