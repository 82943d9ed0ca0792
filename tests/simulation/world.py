"""One seed: a platform of one to three processes, a venue, a market and clients, and everything that goes wrong.

What survives every crash: database, broker, venue, clients.
"""

import asyncio
import gc
import random
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from unittest.mock import patch
from uuid import UUID

from fastapi import FastAPI
from msgspec.structs import replace

from feeds.venue.halls import Halls, PaperVenue
from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import SeededIds
from patriot.runtime.embedded import Parts, public_app
from patriot.runtime.function import Function
from patriot.security.keys import KeyRing
from patriot.store.api import Commit
from tests.simulation.clients import FUNDS, Clients, Trader
from tests.simulation.loop import LoopClock, simulate
from tests.simulation.market import MOVE_SECONDS, Market
from tests.simulation.network import Network
from tests.simulation.odds import Dice, Odds, RandomFaults, drawn
from tests.simulation.process import FUNCTIONS, Process, feeds_with
from tests.simulation.rest import check_account, check_rebuild, check_store
from tests.simulation.robots import FEED, Robots, kind_of
from tests.simulation.watch import Watch, WatchedStore
from tests.support.host import PERPETUAL, SPOT, TENANT, define

SETTLE_SECONDS = 240
LOOK_SECONDS = 0.5
REBUILT_EVERY = 3  # seeds; it takes as long as an order's life
STOPS_SECONDS = 5  # until the market has reached some
CALM = Odds(1, 0.0, 0.0, 0.0, 0.0, 0.0, float("inf"), 0.002)

PARTS = (*discovery.functions(), *discovery.feeds())
RING = KeyRing.generate()
CLOCK = LoopClock()
ACCESS = Access(RING, CLOCK, issuer="patriot", audience="patriot-api", app_ids=[part.name for part in PARTS])
TRADERS_MAX = 2


@dataclass(frozen=True, slots=True)
class Result:
    """`problems` is empty, or there is a bug: the same seed shows it again. `digest` names the run."""

    seed: int
    problems: tuple[str, ...]
    digest: str
    orders: int
    children: int  # of execution algorithms
    signals: int  # of strategies
    events: int
    crashes: int
    faults: int
    seconds: float  # of virtual time


@dataclass(frozen=True, slots=True)
class Beginning:
    """What was there before the first order, and is the same for all seeds: accounts with money."""

    commits: Sequence[Commit]
    traders: Sequence[Trader]
    seconds: float


@cache
def opened() -> Beginning:
    """The platform itself has opened and funded these accounts, once."""
    world = World(0, Beginning((), (), 0.0))
    with _made_once():
        beginning = simulate(world.open())
    gc.collect()
    gc.freeze()
    return beginning


def play(seed: int, orders: int, beginning: Beginning) -> Result:
    """Play one seed to its end. What the platform raises is a problem like any other."""
    world = World(seed, beginning)
    with _made_once():
        try:
            simulate(world.play(orders), beginning.seconds)
        except Exception as error:  # noqa: BLE001 - whatever it is, the seed and the others' results shall be told
            world.watch.problems += traceback.format_exception(error)[-3:]
    return world.result()


@contextmanager
def _made_once() -> Iterator[None]:
    """What is the same in every process of every seed."""
    subscriptions = patch.object(Function, "dapr_subscriptions", _subscriptions)
    with patch("patriot.runtime.embedded.public_app", _public_app), subscriptions:
        yield


_subscriptions = cache(Function.dapr_subscriptions)


@cache
def _public_app_of(names: tuple[str, ...]) -> FastAPI:
    return public_app(Parts([part for part in PARTS if part.name in names], []))


def _public_app(parts: Parts) -> FastAPI:
    """The public routes hold no state: one app serves the hosts of all seeds."""
    return _public_app_of(tuple(part.name for part in parts.all))


class World:
    def __init__(self, seed: int, beginning: Beginning) -> None:
        self.seed = seed
        self.beginning = beginning
        self.kind = kind_of(seed)
        self.rng = random.Random(seed)
        self.odds = drawn(self.rng)
        self.dice = Dice(self.rng, CALM)
        self.ids = SeededIds(self.rng.getrandbits(64))
        self.faults = RandomFaults(self.dice)
        self.halls = Halls({"BINANCE": [PERPETUAL, SPOT]}, self._now_ms, None, self.faults)
        self.exchange = self.halls["BINANCE"]
        self.venue = PaperVenue(self.halls)
        self.market = Market(self.exchange, self.rng)
        self.watch = Watch(self.exchange)
        self.store = WatchedStore(CLOCK.now, self.watch.saw)
        self.processes: dict[int, Process] = {}
        self.network = Network(self.dice, lambda: list(self.processes.values()))
        self.inside = self.odds.processes == 1 and self.rng.random() < 0.5  # the broker of the embedded runtime
        self.crashes = 0
        self.seconds = 0.0
        self.traders = beginning.traders[: self.rng.choice((1, TRADERS_MAX))]
        self.feeds = feeds_with(FEED.get(self.kind))

    def _now_ms(self) -> int:
        return int(CLOCK.now().timestamp() * 1000)

    async def play(self, orders: int) -> None:
        await self._begin()
        self.dice.odds = self.odds
        moving = asyncio.create_task(self._moving())
        crashing = [asyncio.create_task(self._crashing(number)) for number in self.processes]
        traders = self.traders
        if self.kind == "strategies":  # they have an account of their own
            traders, self.traders = self.beginning.traders[:1], self.beginning.traders
        trading = (self.clients.trade(number, self.rng.choice(traders)) for number in range(orders))
        await asyncio.gather(*trading, self.robots.live(self.kind, self.traders))
        await self._calm(crashing)
        await self.robots.end()
        await self._settle("after the faults")
        if any(order.waits_for or order.stop_price is not None for order in self.watch.open):
            await asyncio.sleep(STOPS_SECONDS)
        moving.cancel()
        await self._finish()
        self.seconds = CLOCK.monotonic()
        for process in self.processes.values():
            await process.kill()

    def result(self) -> Result:
        return Result(
            seed=self.seed,
            problems=tuple(self.watch.problems),
            digest=self.watch.digest,
            orders=len(self.watch.orders),
            children=self.watch.parents.children,
            signals=self.watch.signals,
            events=self.watch.events,
            crashes=self.crashes,
            faults=len(self.faults.struck),
            seconds=self.seconds,
        )

    # --- the beginning ---
    async def open(self) -> Beginning:
        """Open accounts while nothing goes wrong, and come to rest."""
        await define(self.store, PERPETUAL, SPOT)
        await self._start(1)  # without feeds, which would compare the accounts with the venue's half way
        self._connect()
        traders = [await self.clients.open_account(self._token()) for _ in range(TRADERS_MAX)]
        await self._settle("at the beginning")
        await self.processes[1].kill()
        assert not self.watch.problems, self.watch.problems
        commits = [replace(commit, publish=False) for commit in self.store.commits]  # everybody has heard of them
        return Beginning(commits, traders, CLOCK.monotonic())

    def _token(self) -> str:
        return ACCESS.issue(self.ids.uuid(), TENANT, "user", str(self.ids.uuid()))[0]

    async def _begin(self) -> None:
        for commit in self.beginning.commits:
            await self.store.commit(commit)
        for trader in self.beginning.traders:
            self._fund(UUID(trader.account_id))
        for number in range(self.odds.processes):
            await self._start(number)
        self._connect()

    def _connect(self) -> None:
        self.network.subscribe((*FUNCTIONS, *self.feeds))
        self.clients = Clients(self.processes, self.watch, self.market, self.ids, self.rng)
        self.robots = Robots(self.clients, self.market, self.watch, self.rng)

    def _fund(self, account_id: UUID) -> None:
        """At the venue too."""
        self.halls.open("BINANCE", account_id, f"key of {account_id}", "secret")
        for asset, amount in FUNDS.items():
            self.halls.deposit(account_id, asset, Decimal(amount), f"{account_id} {asset}")

    async def _start(self, number: int) -> None:
        process = Process(
            number,
            store=self.store,
            venue=self.venue,
            access=ACCESS,
            clock=CLOCK,
            ids=self.ids,
            dice=self.dice,
            feeds=self.feeds,
            network=None if self.inside else self.network,
            sent=self.watch.sent,
        )
        await self.market.tell(process.host)
        self.processes[number] = process
        try:
            await process.host.start()
        except asyncio.CancelledError:  # the faults have ended: it starts anew
            await self.processes.pop(number).kill()
            raise

    # --- meanwhile ---
    async def _moving(self) -> None:
        while True:
            await asyncio.sleep(MOVE_SECONDS)
            self.market.move()
            for process in list(self.processes.values()):
                await self.market.tell(process.host)

    async def _crashing(self, number: int) -> None:
        while True:
            await asyncio.sleep(self.rng.expovariate(1 / self.odds.crash_seconds))
            self.crashes += 1
            await self.processes.pop(number).kill()
            await asyncio.sleep(self.rng.random() * 2)
            await self._start(number)

    async def _calm(self, crashing: list[asyncio.Task[None]]) -> None:
        """No more faults; who is dead comes back."""
        self.odds.calm()
        for task in crashing:
            task.cancel()
        await asyncio.gather(*crashing, return_exceptions=True)
        for number in range(self.odds.processes):
            if number not in self.processes:
                await self._start(number)

    # --- the end ---
    async def _finish(self) -> None:
        """Cancel what is open, come to rest, and compare everything."""
        tokens = {trader.account_id: trader.token for trader in self.traders}
        for order in self.watch.open:
            await self.clients.cancel(order.order_id, tokens[str(order.account_id)], f"{order.order_id}-end")
        await self._settle("at the end")
        self.watch.problems += self.network.refused
        lost = self.clients.acknowledged - self.watch.orders.keys()
        self.watch.require(not lost, f"acknowledged and lost: {lost}")
        self.watch.check_lists()
        self.watch.parents.check()
        self.robots.check(self.processes[0].host)
        await check_store(self.store, self.watch)
        for trader in self.traders:
            await check_account(self.store, self.exchange, trader.account_id, self.watch)
        if not self.seed % REBUILT_EVERY:
            await check_rebuild(self.store, CLOCK.now(), self.watch)

    async def _settle(self, when: str) -> None:
        deadline = CLOCK.monotonic() + SETTLE_SECONDS
        while self.watch.unsettled or self.watch.parents.running or not self._quiet():
            if CLOCK.monotonic() > deadline:
                self.watch.problems.append(f"not settled {when}: {self._restless()}")
                return
            await asyncio.sleep(LOOK_SECONDS)

    def _quiet(self) -> bool:
        brokers = all(process.host.broker.idle for process in self.processes.values())
        return brokers and self.network.idle and not self.store._outbox

    def _restless(self) -> str:
        orders = [f"{order.order_id} {order.status}" for order in self.watch.unsettled]
        return f"{orders}, outbox {len(self.store._outbox)}, network {len(self.network._tasks)}"
