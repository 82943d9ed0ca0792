"""Programs beside us: what is started together stays or goes together."""

import asyncio
import sys
from pathlib import Path

import pytest

from patriot.runtime.dapr.processes import STARTS_AT_ONCE, Fleet, NotReady, Program

SLEEPS = [sys.executable, "-c", "import time; time.sleep(60)"]


async def never() -> bool:
    return False


def running(fleet: Fleet) -> list[str]:
    return [name for name, process in fleet.processes.items() if process.pid is not None]


@pytest.mark.requirement("B14")
async def test_program_that_does_not_come_up_leaves_nothing_half_started(tmp_path: Path):
    broken = Program("broken", [sys.executable, "-c", "print('no such topic'); raise SystemExit(3)"], ready=never)
    others = [Program(f"other-{number}", SLEEPS, ready=never) for number in range(3 * STARTS_AT_ONCE)]
    fleet = Fleet(tmp_path)
    with pytest.raises(NotReady, match=r"broken ended with 3:\nno such topic"):
        async with fleet:
            await fleet.start([broken, *others])
    assert running(fleet) == []
    started = len(fleet.processes)
    await asyncio.sleep(0.2)
    assert running(fleet) == []
    assert len(fleet.processes) == started < 1 + len(others)


async def test_program_that_dies_is_started_again(tmp_path: Path):
    async with Fleet(tmp_path) as fleet:
        await fleet.start([Program("sleeper", SLEEPS)])
        sleeper = fleet.processes["sleeper"]
        first = sleeper.pid
        sleeper.kill()
        async with asyncio.timeout(20):
            while sleeper.starts < 2 or sleeper.pid is None:
                await asyncio.sleep(0.01)
        assert sleeper.pid != first
    assert running(fleet) == []
