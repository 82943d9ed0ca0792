"""How long events wait for their partition, by simulation. Rule: one partition is one queue with one server.

Events are keyed by user, and users are not alike: the busiest partition is what has to be sized. Nobody is busier than
the gateway's limit on orders lets them be.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from schemas.gateway import POLICY

SEED = 20261121
SECONDS, SAMPLE = 20.0, 8
USE_MAX, WAIT_SECONDS_MAX = 0.8, 0.05
PARTITIONS = (6, 12, 24, 48, 96, 192, 384, 768)
SESSION_SECONDS = 30.0
"""A consumer that is killed keeps its partitions for so long: `sessionTimeout` of components/production/kafka.yaml."""


@dataclass(frozen=True, slots=True)
class Load:
    """Events a second of so many users, and the seconds that one event takes its consumer."""

    events: float
    users: int
    events_per_order: int
    service_seconds: float

    @property
    def busiest_user(self) -> float:
        return POLICY.orders.per_minute / 60 * self.events_per_order


@dataclass(frozen=True, slots=True)
class Sized:
    """The fewest partitions that keep up: use of the busiest, 99th percentile of the wait, seconds to recover."""

    partitions: int
    use: float
    wait_seconds: float
    recovery_seconds: float


def size(load: Load) -> Sized:
    """Raises ValueError where no number of partitions helps."""
    for partitions in PARTITIONS:
        rates = sorted(rates_of(load, partitions), reverse=True)
        use = rates[0] * load.service_seconds
        if use > USE_MAX:
            continue
        found = sorted(wait for rate in rates[:SAMPLE] for wait in waits(rate, load.service_seconds, SECONDS))
        wait = found[len(found) * 99 // 100]
        if wait <= WAIT_SECONDS_MAX:
            return Sized(partitions, use, wait, recovery(sum(rates) / partitions, load.service_seconds))
    raise ValueError(f"{PARTITIONS[-1]} partitions do not carry {load}")


def rates_of(load: Load, partitions: int) -> Sequence[float]:
    """Events a second of each partition: the nth user has an nth of the first one's, up to the limit."""
    rng = random.Random(SEED)
    total = sum(1 / number for number in range(1, load.users + 1))
    each = [min(load.busiest_user, load.events / total / number) for number in range(1, load.users + 1)]
    rest = (load.events - sum(each)) / load.users  # what the busiest may not do, all do
    rates = [0.0] * partitions
    for rate in each:
        rates[rng.randrange(partitions)] += rate + rest
    return rates


def waits(rate: float, service_seconds: float, seconds: float, pause_seconds: float = 0) -> list[float]:
    """Each event's wait, in the order of coming; nobody serves for the first `pause_seconds`."""
    rng = random.Random(SEED)
    now, free_at, found = 0.0, pause_seconds, list[float]()
    while now < seconds:
        now += rng.expovariate(rate)
        begin = max(now, free_at)
        found.append(begin - now)
        free_at = begin + rng.expovariate(1 / service_seconds)
    return found


def recovery(rate: float, service_seconds: float) -> float:
    """Seconds from the death of a consumer until its partition waits no longer than it may."""
    seconds = SESSION_SECONDS / (1 - rate * service_seconds)
    found = waits(rate, service_seconds, 2 * seconds, SESSION_SECONDS)
    return next(number for number, wait in enumerate(found) if wait <= WAIT_SECONDS_MAX) / rate
