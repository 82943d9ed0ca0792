"""Calls through the gate: what is held back is not sent, what the venue says about itself is obeyed."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import ccxt
import pytest

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import MemoryState
from patriot.venues.calls import SILENCE_SECONDS, Calls, NotSent
from patriot.venues.ccxt_adapter import DIALECTS
from patriot.venues.connections import Connections
from patriot.venues.endpoints import VenueEndpoints
from patriot.venues.gate import Gate, Step
from tests.unit.venues.recorder import login

START = datetime(2026, 1, 1, tzinfo=UTC)
BINANCE, BYBIT = DIALECTS["BINANCE"], DIALECTS["BYBIT"]

pytestmark = pytest.mark.requirement("A5")


class Exchange:
    """What is left of an exchange object when nothing is sent."""

    def __init__(self, name: str = "binance", **headers: str) -> None:
        self.id, self.last_response_headers = name, headers


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(START)


@pytest.fixture
def calls(clock: VirtualClock) -> Calls:
    return Calls(Connections(DIALECTS, login, VenueEndpoints(9), clock.monotonic, 0.05), clock, MemoryState(clock), "")


def advance(clock: VirtualClock, seconds: float) -> None:
    clock.advance_to(clock.now() + timedelta(seconds=seconds))


async def answer() -> str:
    return "answer"


def failing(error: Exception) -> Any:
    async def call() -> str:
        raise error

    return call


async def test_answer_comes_through(calls: Calls):
    assert await calls.ask("create", BINANCE, Exchange(), "spot", answer) == "answer"


async def test_call_without_an_answer_ends_in_time(calls: Calls):
    with pytest.raises(TimeoutError):
        await calls.ask("create", BINANCE, Exchange(), "spot", asyncio.Event().wait)


@pytest.mark.parametrize(
    ("name", "headers", "seconds"),
    [
        ("binance", {"Retry-After": "7"}, 7),
        ("binance", {}, SILENCE_SECONDS["binance"]),
        ("bybit", {}, SILENCE_SECONDS["bybit"]),
    ],
)
@pytest.mark.parametrize("error", [ccxt.RateLimitExceeded("429"), ccxt.DDoSProtection("418")], ids=["429", "418"])
async def test_venue_that_wants_silence_gets_it_and_no_longer(
    calls: Calls, clock: VirtualClock, *, name: str, headers: dict[str, str], seconds: float, error: Exception
):
    dialect, exchange = DIALECTS[name.upper()], Exchange(name, **headers)
    with pytest.raises(type(error)):
        await calls.ask("create", dialect, exchange, "spot", failing(error))
    advance(clock, seconds - 0.1)
    with pytest.raises(NotSent, match="silenced"):
        await calls.ask("cancel", dialect, exchange, "spot", answer)
    advance(clock, 0.2)
    assert await calls.ask("cancel", dialect, exchange, "spot", answer) == "answer"


async def test_limit_of_one_account_silences_nobody(calls: Calls):
    with pytest.raises(ccxt.ExchangeError):
        await calls.ask("create", BYBIT, Exchange("bybit"), "spot", failing(ccxt.ExchangeError('{"retCode":10006}')))
    assert await calls.ask("create", BYBIT, Exchange("bybit"), "spot", answer) == "answer"


async def test_breaker_counts_failures_and_not_refusals(calls: Calls, clock: VirtualClock):
    for error in [ccxt.InsufficientFunds("no money")] * 9 + [ccxt.RequestTimeout("silence")] * 5:
        with pytest.raises(type(error)):
            await calls.ask("create", BINANCE, Exchange(), "spot", failing(error))
    with pytest.raises(NotSent, match="venue_unavailable"):
        await calls.ask("create", BINANCE, Exchange(), "spot", answer)
    assert await calls.ask("create", BINANCE, Exchange(), "linear", answer) == "answer", "a gate of its own"
    advance(clock, 5.1)
    assert await calls.ask("create", BINANCE, Exchange(), "spot", answer) == "answer"


async def test_call_waits_a_little_for_its_budget(calls: Calls, clock: VirtualClock):
    gate = calls.gate(BINANCE, "spot")
    while await gate.admit("create", 1) is None:
        pass
    waiting = asyncio.create_task(calls.ask("create", BINANCE, Exchange(), "spot", answer))
    await asyncio.sleep(0)
    assert not waiting.done()
    await asyncio.sleep(0)
    advance(clock, 0.2)
    assert await waiting == "answer"


async def test_questions_wait_their_turn_and_none_is_passed(calls: Calls, clock: VirtualClock):
    """A dear question is not starved by cheap ones: what has waited longest goes first."""
    await spend(calls.gate(BINANCE, "linear"), "create")
    order = []

    async def ask(step: Step) -> None:
        await calls.ask(step, BINANCE, Exchange(), "linear", answer)
        order.append(step)

    waiting = [asyncio.create_task(ask(step)) for step in ("all_open", "open", "trades", "open")]
    for _ in range(100):
        advance(clock, 0.1)
        for _ in range(8):
            await asyncio.sleep(0)
    await asyncio.gather(*waiting)
    assert order == ["all_open", "open", "trades", "open"]


async def spend(gate: Gate, step: Step) -> None:
    while await gate.admit(step, 1) is None:
        pass


async def test_call_that_would_wait_too_long_is_not_sent(calls: Calls):
    gate = calls.gate(BYBIT, "spot")
    sent = []

    async def call() -> None:
        sent.append(True)

    await spend(gate, "cancel")
    with pytest.raises(NotSent, match="rate_limited"):
        await calls.ask("create", BYBIT, Exchange("bybit"), "spot", call)
    assert sent == []
