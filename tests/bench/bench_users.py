"""Users: what an order and a look at the portfolio cost while 10 of them are active, and while 1,000 are.

    python -m tests.bench users

All have an account and a position, on a PostgreSQL that holds all of them. In each round the few and the many do the
same by turns, one request at a time: ten place an order that is filled at once, then they look at their portfolios.
What runs on a schedule is off.
"""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from patriot.security.roles import Identity, Role
from tests.bench.world import QUANTITY, World, opened
from tests.support.host import TENANT, Client

FEW, MANY = 10, 1_000
ROUNDS, REQUESTS = 5, 200
AT_ONCE = 4

Milliseconds = list[float]


@dataclass(frozen=True, slots=True)
class Trader:
    client: Client
    account: str
    instrument: str

    async def order(self) -> None:
        body = {"account_id": self.account, "instrument": self.instrument, "side": "buy", "order_type": "market"}
        await self.client.json("POST", "/orders", {**body, "quantity": QUANTITY}, 201)

    async def look(self) -> None:
        await self.client.json("GET", "/portfolio")


async def made(world: World, count: int) -> list[Trader]:
    """Users with a token, without a password: hashing a thousand would take longer than all the rest."""
    free = asyncio.Semaphore(AT_ONCE)
    runtime = world.host.runtime

    async def make(number: int) -> Trader:
        identity = Identity.of(UUID(int=1_000_000 + number), TENANT, Role.USER, f"bench-{number}")
        client = Client(world.host, runtime.access._users.issue(identity, runtime.clock.now()))
        async with free:
            trader = Trader(client, await client.paper_account(USDT="1000000000"), world.instruments[0])
            await trader.order()
        return trader

    async with asyncio.TaskGroup() as makers:
        making = [makers.create_task(make(number)) for number in range(count)]
    return [task.result() for task in making]


async def timed(actions: Sequence[Callable[[], Awaitable[None]]]) -> Milliseconds:
    taken: Milliseconds = []
    for action in actions:
        started = time.perf_counter()
        await action()
        taken.append((time.perf_counter() - started) * 1000)
    return taken


async def turn(world: World, active: Sequence[Trader], start: int) -> tuple[Milliseconds, Milliseconds]:
    """Orders and looks of so many requests, dealt out over who is active. A look follows an order: nothing is kept."""
    orders, looks = Milliseconds(), Milliseconds()
    for first in range(start, start + REQUESTS, FEW):
        chosen = [active[number % len(active)] for number in range(first, first + FEW)]
        orders += await timed([trader.order for trader in chosen])
        await world.until_idle()
        looks += await timed([trader.look for trader in chosen])
    return orders, looks


async def measured() -> dict[int, tuple[Milliseconds, Milliseconds]]:
    async with opened(symbols=1, risk_seconds=0, snapshot_seconds=0, metrics_seconds=0) as world:
        traders = await made(world, MANY)
        await world.until_idle()
        found: dict[int, tuple[Milliseconds, Milliseconds]] = {FEW: ([], []), MANY: ([], [])}
        for number in range(ROUNDS):
            for active in (FEW, MANY):
                orders, looks = await turn(world, traders[:active], number * REQUESTS)
                found[active][0].extend(orders)
                found[active][1].extend(looks)
        return found


def row(name: str, few: Milliseconds, many: Milliseconds) -> dict[str, Any]:
    cuts = statistics.quantiles(many, n=100)
    return {
        "name": f"{name}, {MANY:,} users active: p50 (worst: p99)",
        "value": cuts[49],
        "worst": cuts[98],
        "unit": "ms",
        "ratio": statistics.median(few) / cuts[49],
        "peer": f"{FEW} users active",
        "target": 0.8,
    }


def run() -> list[dict[str, Any]]:
    found = asyncio.run(measured())
    (few_orders, few_looks), (many_orders, many_looks) = found[FEW], found[MANY]
    return [
        row("order, to its acknowledgement", few_orders, many_orders),
        row("portfolio of one account", few_looks, many_looks),
    ]
