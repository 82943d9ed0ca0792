"""Case 1, the kill storm: SIGKILL of the whole platform and of PostgreSQL while orders flow.

The platform runs as its users run it, as a process of its own, with PostgreSQL and the built-in venue; paper orders go
over the wire in one half of the storm, in process in the other. Orders come at 50 a second from eight accounts at two
venues. About half of the platform's kills strike while it starts. In the end every acknowledged order stands as the
venue's own journal proves. Prints its seed and its zeros; PATRIOT_SEED and PATRIOT_KILLS choose another storm.
"""

import asyncio
import os
import random
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from patriot.store.open import open_store
from tests.chaos.audit import differences, read_journals
from tests.chaos.books import check_books
from tests.chaos.process import PlatformProcess
from tests.chaos.traffic import Traffic

SEED = int(os.environ.get("PATRIOT_SEED", "20261121"))
KILLS = int(os.environ.get("PATRIOT_KILLS", "100")) // 2  # in each half
DATABASE_SHARE = 0.3
STRUCK_AGAIN = 0.65
ORDERS_PER_SECOND = 50
RECOVERY_SECONDS_MAX = 5.0
SETTLE_SECONDS_MAX = 90.0
COMPARED_SECONDS = 6.0
UNSETTLED = {"pending", "submitted", "unknown"}


class Recovery(NamedTuple):
    """Seconds until an order was acknowledged again, since the part was ready and since the kill."""

    target: str
    since_ready: float
    since_kill: float


@pytest.fixture(params=["wire", "in_process"])
def platform(request: pytest.FixtureRequest) -> Iterator[PlatformProcess]:
    with tempfile.TemporaryDirectory(prefix="patriot-storm-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        folder.chmod(0o755)
        running = PlatformProcess(folder, request.param)
        try:
            yield running
        finally:
            running.clean_up()


@pytest.mark.slow
@pytest.mark.postgres
@pytest.mark.alone
@pytest.mark.timeout(900)
@pytest.mark.requirement("B11", "B12", "A6", "P2")
async def test_kill_storm_loses_nothing_and_doubles_nothing(platform, capsys):
    platform.start()
    await platform.ready()
    traffic = Traffic(platform.url, SEED, ORDERS_PER_SECOND)
    try:
        await traffic.prepare()
        traffic.begin()
        recoveries = await storm(platform, traffic, random.Random(SEED))
        await traffic.end()
        stuck = await settled(platform, traffic)
    finally:
        await traffic.close()
    exit_code = platform.interrupt()
    left_running = platform.processes()
    async with open_store(platform.folder / "postgres") as store:
        await check_books(store)
        wrong = await differences(store, read_journals(platform.folder), traffic.orders)
    with capsys.disabled():
        counts = {**{kind: len(found) for kind, found in wrong.items()}, "stuck": len(stuck)}
        print(summary(platform, traffic, recoveries, counts))
    assert {kind: found[:5] for kind, found in wrong.items() if found} == {}
    assert stuck == {}
    assert (exit_code, left_running) == (0, [])
    assert len(traffic.orders) > 5 * KILLS
    assert quantile([one.since_ready for one in recoveries], 0.99) <= RECOVERY_SECONDS_MAX


async def storm(platform: PlatformProcess, traffic: Traffic, dice: random.Random) -> list[Recovery]:
    """Kill until it is enough; after each group of kills wait for the next acknowledged order."""
    recoveries = []
    while platform.kills < KILLS:
        await asyncio.sleep(dice.uniform(0.1, 1.0))
        at = time.monotonic()
        if dice.random() < DATABASE_SHARE:
            target, ready = "database", await strike_database(platform)
        else:
            target = "platform"
            platform.kill()
            platform.start()
            while dice.random() < STRUCK_AGAIN and platform.kills < KILLS:
                await asyncio.sleep(dice.uniform(0.1, 2.5))
                at = time.monotonic()
                platform.kill()
                platform.start()
            ready = await platform.ready()
        recoveries.append(await recovered(traffic, target, at, ready))
    return recoveries


async def strike_database(platform: PlatformProcess) -> float:
    """Kill the server; returns the moment when its successor is ready."""
    async with asyncio.timeout(60):
        while (pid := platform.database_pid()) is None:
            await asyncio.sleep(0.01)
        os.kill(pid, signal.SIGKILL)
        platform.kills += 1
        platform.database_kills += 1
        while platform.database_pid(ready=True) in {None, pid}:
            await asyncio.sleep(0.01)
    return time.monotonic()


async def recovered(traffic: Traffic, target: str, at: float, ready: float) -> Recovery:
    async with asyncio.timeout(60):
        while traffic.newest_acknowledged <= ready:
            await asyncio.sleep(0.005)
    return Recovery(target, traffic.newest_acknowledged - ready, traffic.newest_acknowledged - at)


async def settled(platform: PlatformProcess, traffic: Traffic) -> dict[str, str]:
    """Orders that have no proof after a while, with their status. The start in the end compares both sides once."""
    waiting = dict.fromkeys(traffic.orders, "")
    deadline = time.monotonic() + SETTLE_SECONDS_MAX
    while waiting and time.monotonic() < deadline:
        asked = list(waiting)
        for order_id, status in zip(asked, await traffic.statuses(asked), strict=True):
            waiting[order_id] = status
            if status not in UNSETTLED:
                del waiting[order_id]
        await asyncio.sleep(0.5)
    platform.interrupt()
    platform.start()
    await platform.ready()
    await asyncio.sleep(COMPARED_SECONDS)
    return waiting


def summary(platform: PlatformProcess, traffic: Traffic, recoveries: list[Recovery], wrong: dict[str, int]) -> str:
    since_ready = [one.since_ready for one in recoveries]
    since_kill = [one.since_kill for one in recoveries]
    return (
        f"\nkill storm: seed {SEED}, {platform.execution}, {platform.kills} kills, {platform.database_kills} of them of"
        f" PostgreSQL; {len(traffic.orders)} orders acknowledged, {traffic.cancels} cancels, {traffic.repeated} sent"
        f" again, refused {dict(traffic.refused)}; "
        + ", ".join(f"{kind} {count}" for kind, count in wrong.items())
        + f"; ledger 0, balances 0 off; recovery from readiness p50 {quantile(since_ready, 0.5):.2f} s, "
        f"p99 {quantile(since_ready, 0.99):.2f} s; from the kill p50 {quantile(since_kill, 0.5):.2f} s, "
        f"p99 {quantile(since_kill, 0.99):.2f} s"
    )


def quantile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
