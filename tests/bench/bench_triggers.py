"""Triggers: what a tick costs while stops rest, and the time from a tick to its order at the venue.

Method: a walk of 0.05 permille a tick passes 1,000, 100,000 and 1,000,000 resting stops (a quarter fixed near the
market, a quarter far from it, a quarter trailing by percent, a quarter by price), rounds interleaved; the limit is a
scan that looks at each stop at each tick, as engines with a list do. Tick to order: PostgreSQL with fsync, one trade
fires one trailing stop; it is over when the venue's adapter is called, `submit_started` durable.
"""

import asyncio
import random
import time
from collections.abc import Callable
from statistics import median, quantiles
from typing import Any
from uuid import UUID

from feeds.triggers.domain import Terms
from feeds.triggers.ladder import Ladder, Resting
from patriot.domain.venue import Outcome, VenueOrder
from patriot.protocols.market import Trade
from tests.bench.world import AtOnce, World, opened

SIZES = (1_000, 100_000, 1_000_000)
TICKS = 20_000
ROUNDS = 3
PRICE = 6_000_000
SCANNED = 20
SHOTS = 200

Row = dict[str, Any]


def run() -> list[Row]:
    walks = [_walk(seed) for seed in range(ROUNDS)]
    ladders = {size: _resting(size) for size in SIZES}
    microseconds: dict[int, list[float]] = {size: [] for size in SIZES}
    for walk in walks:
        for size in SIZES:
            microseconds[size].append(_cost(ladders[size], walk))
    scan = _scan_cost(SIZES[-1])
    small = median(microseconds[SIZES[0]])
    rows: list[Row] = [
        {
            "name": f"tick past {size:,} resting stops, worst {max(microseconds[size]):.2f}",
            "value": median(microseconds[size]),
            "unit": "µs",
            "ratio": median(microseconds[size]) / small,
            "peer": "with 1,000 resting",
        }
        for size in SIZES
    ]
    rows[-1] |= {"ratio": scan / median(microseconds[SIZES[-1]]), "peer": "a scan of all (times faster)"}
    rows.append({"name": "stops checked a tick", "value": SIZES[-1], "unit": "stops"})
    return rows + asyncio.run(_shots())


def _walk(seed: int) -> list[int]:
    chance, price, walk = random.Random(seed), PRICE, []
    for _ in range(TICKS):
        price += chance.randrange(-300, 301)
        walk.append(price)
    return walk


def _resting(size: int) -> Ladder:
    chance, ladder = random.Random(size), Ladder()
    for number in range(size):
        ladder.add(_kind(number, chance), PRICE)
    return ladder


def _kind(number: int, chance: random.Random) -> Resting:
    identifier = UUID(int=number)
    match number % 4:
        case 0:
            return Resting(identifier, PRICE - chance.randrange(50_000, 500_000))
        case 1:
            return Resting(identifier, PRICE - chance.randrange(1_000_000, 3_000_000))
        case 2:
            return Resting(identifier, terms=Terms("percent", chance.randrange(20_000, 200_000)))
        case _:
            return Resting(identifier, terms=Terms("offset", chance.randrange(100_000, 1_000_000)))


def _cost(ladder: Ladder, walk: list[int]) -> float:
    move: Callable[[int], object] = ladder.move
    started = time.perf_counter()
    for price in walk:
        move(price)
    return (time.perf_counter() - started) / len(walk) * 1e6


def _scan_cost(size: int) -> float:
    stops = [PRICE - 1_000_000 - number for number in range(size)]
    started = time.perf_counter()
    for price in range(PRICE, PRICE + SCANNED):
        [stop for stop in stops if stop >= price]
    return (time.perf_counter() - started) / SCANNED * 1e6


class Watched(AtOnce):
    """Notes when the order of a shot has come."""

    def __init__(self) -> None:
        super().__init__()
        self.arrived = asyncio.Event()
        self.at = 0.0

    async def create(self, order: VenueOrder) -> Outcome:
        self.at = time.perf_counter()
        self.arrived.set()
        return await super().create(order)


async def _shots() -> list[Row]:
    async with opened(symbols=1) as world:
        venue = Watched()
        world.host.runtime.venues["paper"] = venue  # type: ignore[assignment]  # nothing else is asked of it
        seconds = sorted([await _shot(world, venue, number) for number in range(SHOTS)])
    cut = quantiles(seconds, n=100)
    return [
        {"name": "tick to the order at the venue, p50", "value": cut[49] * 1e3, "unit": "ms"},
        {"name": "tick to the order at the venue, p99", "value": cut[98] * 1e3, "unit": "ms", "target": "50"},
    ]


async def _shot(world: World, venue: Watched, number: int) -> float:
    order = {
        "account_id": world.accounts[0], "instrument": world.instruments[0], "side": "sell", "quantity": "0.002",
        "order_type": "trailing_stop", "trailing": {"rule": "offset", "distance": "10"},
    }  # fmt: skip
    await world.client.json("POST", "/orders", order, 201)
    await world.until_idle()
    _tick(world, 600_000, 2 * number)
    venue.arrived.clear()
    await asyncio.sleep(0)
    started = time.perf_counter()
    _tick(world, 599_000, 2 * number + 1)
    await asyncio.wait_for(venue.arrived.wait(), 10)
    await world.until_idle()
    return venue.at - started


def _tick(world: World, price: int, number: int) -> None:
    world.host.runtime.ticks.publish(Trade(world.instruments[0], price, 1, False, str(number), 0))
