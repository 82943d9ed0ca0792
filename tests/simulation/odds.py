"""What may go wrong, and how often. Rule: every draw comes from the seed, so a run can be repeated to the byte."""

import asyncio
import random
from dataclasses import dataclass

from feeds.venue.faults import Decision, Fault, FaultPlan, Rule

COMMAND_FAULTS = (
    Rule(Fault.TIMEOUT_BEFORE),
    Rule(Fault.TIMEOUT_AFTER),
    Rule(Fault.ERROR_BEFORE),
    Rule(Fault.ERROR_AFTER),
    Rule(Fault.DISCONNECT_AFTER),
    Rule(Fault.RATE_LIMITED),
)
QUERY_FAULT = Rule(Fault.TIMEOUT_BEFORE)


@dataclass(slots=True)
class Odds:
    """Probabilities per occasion, and how slow things are at most. `calm` ends all faults; things stay slow."""

    processes: int
    lost: float  # a message, a delivery or its acknowledgement is lost, and comes again
    twice: float  # a message is delivered a second time, at once or late
    store_fails: float
    venue_fails: float
    silent: float  # a message of the venue's private stream is lost
    crash_seconds: float  # mean time between two crashes
    slow_seconds: float

    def calm(self) -> None:
        self.lost = self.twice = self.store_fails = self.venue_fails = self.silent = 0.0
        self.crash_seconds = float("inf")


def drawn(rng: random.Random) -> Odds:
    """The odds of one seed: most faults are absent in some runs, so that each is also met alone."""

    def sometimes(worst: float) -> float:
        return rng.choice((0.0, worst / 5, worst))

    return Odds(
        processes=rng.choice((1, 1, 2, 3)),
        lost=sometimes(0.10),
        twice=sometimes(0.20),
        store_fails=sometimes(0.03),
        venue_fails=sometimes(0.25),
        silent=sometimes(0.3),
        crash_seconds=rng.choice((float("inf"), 4.0, 1.5)),
        slow_seconds=rng.choice((0.002, 0.05, 0.4)),
    )


class Dice:
    """Draws for one run."""

    def __init__(self, rng: random.Random, odds: Odds) -> None:
        self.rng = rng
        self.odds = odds

    def happens(self, probability: float) -> bool:
        return self.rng.random() < probability

    async def pause(self) -> None:
        """Mostly short, sometimes long: what is called later may so come earlier."""
        await asyncio.sleep(self.odds.slow_seconds * self.rng.random() ** 4)


class RandomFaults(FaultPlan):
    """The venue's faults, by the dice instead of by rules."""

    def __init__(self, dice: Dice) -> None:
        super().__init__()
        self._dice = dice

    def decide(self, operation: str, account: str = "") -> Decision | None:
        if not self._dice.happens(self._dice.odds.venue_fails):
            return None
        rule = QUERY_FAULT if operation == "query" else self._dice.rng.choice(COMMAND_FAULTS)
        self.struck.append((operation, account, rule.fault))
        return Decision(rule)
