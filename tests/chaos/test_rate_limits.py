"""Case 7: a day at 95 % of what a venue allows, from several replicas. Rule: no 429, ever; a ban silences all at once.

The venue counts as the exchange does, in windows of its own that begin at a second of its own. On a virtual clock.
"""

import os
import random
from collections import defaultdict
from datetime import UTC, datetime, timedelta

import pytest

from patriot.runtime.clock import VirtualClock
from patriot.runtime.embedded import MemoryState
from patriot.venues.binance import Binance
from patriot.venues.budget import Held, SharedBudget
from patriot.venues.gate import Step

SEED = int(os.environ.get("PATRIOT_SEED", "20261107"))
REPLICAS = 4
HOURS = 24
OFFERED = 0.95
BAN_SECONDS = 120
QUESTIONS: tuple[Step, ...] = ("create", "create", "create", "open", "ended", "trades", "all_open", "balances")


class Venue:
    """Counts request weight in fixed windows; what goes beyond the limit is a 429."""

    def __init__(self, limit: float, seconds: int, offset: float) -> None:
        self._limit, self._seconds, self._offset = limit, seconds, offset
        self._used: dict[int, float] = defaultdict(float)
        self.refused = 0

    def receive(self, weight: float, now: float) -> None:
        window = int((now + self._offset) // self._seconds)
        self._used[window] += weight
        self.refused += self._used[window] > self._limit

    @property
    def shares(self) -> list[float]:
        """Of each window, how much of the limit was used."""
        return [used / self._limit for used in self._used.values()]


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.requirement("A5")
@pytest.mark.parametrize("kind", ["spot", "linear"])
async def test_a_day_at_the_limit_sees_no_429(kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    dice, clock = random.Random(f"{SEED} {kind}"), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    budget, weights, state = Binance.budgets[kind], Binance.weights[kind], MemoryState(clock)
    replicas = [SharedBudget("budget", budget, state, clock) for _ in range(REPLICAS)]
    venue = Venue(budget.weight, int(budget.seconds), dice.uniform(0, budget.seconds))
    owed, held, cancels, late_cancels = 0.0, 0, 0, 0
    for second in range(HOURS * 3600):
        clock.advance_to(clock.now() + timedelta(seconds=1))
        now = clock.now().timestamp()
        owed = min(owed + OFFERED * budget.weight / budget.seconds, budget.weight)
        while owed > 0:
            step = dice.choice(QUESTIONS)
            owed -= weights[step]
            if await dice.choice(replicas).take(weights[step], for_cancel=False) is None:
                venue.receive(weights[step], now)
            else:
                held += 1
        if second % 600 == 599:  # all that is open is cancelled at once, in the middle of the rush
            for _ in range(int(budget.kept_for_cancels / weights["cancel"])):
                cancels += 1
                if await dice.choice(replicas).take(weights["cancel"], for_cancel=True) is None:
                    venue.receive(weights["cancel"], now)
                else:
                    late_cancels += 1
    with capsys.disabled():
        print(
            f"\nrate limits: seed {SEED}, {kind}, {HOURS} h, {REPLICAS} replicas, {OFFERED:.0%} offered: 429s"
            f" {venue.refused}, used {sum(venue.shares) / len(venue.shares):.0%}, at most {max(venue.shares):.0%} of a"
            f" window; {held:,} calls held back; {cancels:,} cancels in rushes, {late_cancels} of them late"
        )
    assert venue.refused == 0
    assert sum(venue.shares) / len(venue.shares) > 0.6
    assert late_cancels == 0


@pytest.mark.requirement("A5")
async def test_a_ban_silences_every_replica_within_a_second(capsys: pytest.CaptureFixture[str]) -> None:
    dice, clock = random.Random(SEED), VirtualClock(datetime(2026, 1, 1, tzinfo=UTC))
    state, budget = MemoryState(clock), Binance.budgets["spot"]
    replicas = [SharedBudget("budget", budget, state, clock) for _ in range(20)]
    worst = 0.0
    for _ in range(100):
        for one in replicas:
            await one.take(1, for_cancel=False)
        banned_at = clock.monotonic()
        await dice.choice(replicas).silence(BAN_SECONDS)
        while clock.monotonic() < banned_at + BAN_SECONDS - 0.01:
            clock.advance_to(clock.now() + timedelta(seconds=0.05 if clock.monotonic() < banned_at + 2 else 1))
            for one in replicas:
                answer = await one.take(1, for_cancel=True)
                if answer is None and clock.monotonic() < banned_at + BAN_SECONDS:
                    worst = max(worst, clock.monotonic() - banned_at)
                assert answer is None or isinstance(answer, Held)
    with capsys.disabled():
        print(f"\nban: seed {SEED}, 100 bans, 20 replicas: the last request left {worst:.2f} s after the ban was told")
    assert worst <= 1.0
