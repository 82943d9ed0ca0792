"""Ten times more orders than the platform takes, over the wire, for seconds. Prints its figures.

Case 26: every queue keeps to its bound, memory stays flat, and a cancel is hardly slower than on a quiet day.
"""

import asyncio
import resource
import time
from pathlib import Path
from statistics import quantiles

import pytest

from patriot.runtime.broker import BrokerLimits
from patriot.store.api import Store
from tests.integration.risk.test_kill_switch import Desk, make_desk
from tests.support.host import until_idle

SECONDS, CANCELS, CROWD = 6.0, 60, 320  # a crowd of ten times the clients that fill the platform
CANCEL_MS_MIN = 500.0  # below it a ratio of two latencies on a crowded machine says nothing
MEMORY_MIB_MAX = 256
PAUSE_SECONDS = SECONDS / CANCELS


async def resting(desk: Desk, count: int) -> list[str]:
    return [(await desk.user.json("POST", "/orders", desk.order(), 201))["order_id"] for _ in range(count)]


async def cancels(desk: Desk, order_ids: list[str]) -> list[float]:
    """Milliseconds of each cancel, one after the other."""
    times: list[float] = []
    for order_id in order_ids:
        started = time.perf_counter()
        await desk.user.json("DELETE", f"/orders/{order_id}")
        times.append((time.perf_counter() - started) * 1000)
        await asyncio.sleep(PAUSE_SECONDS)
    return times


def p99(times: list[float]) -> float:
    return quantiles(times, n=100)[98]


def resident_mib() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


async def crowd(desk: Desk, until: float, answers: dict[int, int]) -> None:
    async def one() -> None:
        while time.monotonic() < until:
            answer = await desk.user.call("POST", "/orders", desk.order())
            answers[answer.status] = answers.get(answer.status, 0) + 1

    await asyncio.gather(*(one() for _ in range(CROWD)))


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.requirement("B13", "P19")
async def test_overload_leaves_queues_bounded_and_cancels_quick(postgres_store: Store):
    async with make_desk(postgres_store) as desk:
        quiet, busy = await resting(desk, CANCELS), await resting(desk, CANCELS)
        await until_idle(desk.host, 30)
        baseline = p99(await cancels(desk, quiet))
        await until_idle(desk.host, 30)
        before, deepest, answers = resident_mib(), 0, dict[int, int]()

        async def look() -> None:
            nonlocal deepest
            while True:
                deepest = max(deepest, desk.host.broker.pending)
                await asyncio.sleep(0.05)

        watching = asyncio.create_task(look())
        storm = asyncio.create_task(crowd(desk, time.monotonic() + SECONDS, answers))
        await asyncio.sleep(0.5)
        under_load = p99(await cancels(desk, busy))
        await storm
        watching.cancel()
        grown = resident_mib() - before
        print(
            f"overload of {CROWD} clients for {SECONDS:.0f} s: {answers} answers, cancel p99 {baseline:.0f} ms quiet,"
            f" {under_load:.0f} ms under load ({under_load / baseline:.1f} times), at most {deepest} messages queued,"
            f" {grown:.0f} MiB more"
        )
        assert set(answers) <= {201, 429, 503}
        assert deepest <= BrokerLimits().queue_max
        assert grown < MEMORY_MIB_MAX
        assert under_load <= max(2 * baseline, CANCEL_MS_MIN)
