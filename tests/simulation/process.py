"""One process of the platform that may be killed at any moment. Rule: what is dead reaches nothing any more.

Each of its ports looks whether the process still lives before and after it does anything, and takes its time in
between. `Dead` is no Exception: no handler may catch it.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from feeds.venue.halls import PaperVenue
from patriot.domain.venue import OrderState
from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import Clock, Ids
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.delivery import Verdict
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.function import Feed
from patriot.runtime.settings import Settings
from patriot.store.api import Commit, StoreUnavailable
from patriot.store.memory import MemoryStore
from tests.simulation.network import Network
from tests.simulation.odds import Dice

FUNCTIONS = discovery.functions()
ALWAYS = ("relay", "account-data", "triggers")
SETTINGS = Settings(execution="in_process", delivery_concurrency=4)


def feeds_with(more: str | None) -> list[Feed]:
    """The feeds that every world has, and one more."""
    return [feed for feed in discovery.feeds() if feed.name in (*ALWAYS, more)]


class Dead(BaseException):
    """The process was killed."""


class Life:
    def __init__(self) -> None:
        self.over = False

    def check(self) -> None:
        if self.over:
            raise Dead


class MortalStore:
    """The database behind a connection that is slow, and sometimes gone before anything was done.

    A process has one writer: its commits arrive one after the other, in the order in which they were handed in.
    """

    def __init__(self, store: MemoryStore, life: Life, dice: Dice) -> None:
        self._store, self._life, self._dice = store, life, dice
        self._writer = asyncio.Lock()

    async def commit(self, commit: Commit) -> Any:
        async with self._writer:
            await self._arrive()
            recorded = await self._store.commit(commit)
        await self._dice.pause()
        self._life.check()
        return recorded

    async def read(self, *arguments: Any, **named: Any) -> AsyncIterator[Any]:
        async for event in self._store.read(*arguments, **named):
            self._life.check()
            yield event

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = partial(self._call, getattr(self._store, name))
        setattr(self, name, call)  # asked for once
        return call

    async def _call(self, method: Callable[..., Awaitable[Any]], *arguments: Any, **named: Any) -> Any:
        self._reach()
        result = await method(*arguments, **named)
        await self._dice.pause()
        self._life.check()
        return result

    async def _arrive(self) -> None:
        self._life.check()
        await self._dice.pause()
        self._reach()

    def _reach(self) -> None:
        self._life.check()
        if self._dice.happens(self._dice.odds.store_fails):
            raise StoreUnavailable("the connection is gone")


class MortalVenue:
    """The way to the venue and back. `sent` is told every command before it leaves."""

    def __init__(self, venue: PaperVenue, life: Life, dice: Dice, sent: Callable[[str, str], None]) -> None:
        self._venue, self._life, self._dice, self._sent = venue, life, dice, sent

    async def create(self, order: Any) -> Any:
        return await self._send("create", order.client_order_id, partial(self._venue.create, order))

    async def modify(self, ref: Any, *change: Any) -> Any:
        return await self._send("modify", ref.client_order_id, partial(self._venue.modify, ref, *change))

    async def cancel(self, ref: Any) -> Any:
        return await self._send("cancel", ref.client_order_id, partial(self._venue.cancel, ref))

    async def query(self, ref: Any) -> Any:
        return await self._asked(partial(self._venue.query, ref))

    async def open_orders(self, account_id: Any) -> Any:
        return await self._asked(partial(self._venue.open_orders, account_id))

    async def balances(self, account_id: Any) -> Any:
        return await self._asked(partial(self._venue.balances, account_id))

    async def positions(self, account_id: Any) -> Any:
        return await self._asked(partial(self._venue.positions, account_id))

    async def set_leverage(self, account_id: Any, *leverage: Any) -> Any:
        return await self._send("leverage", str(account_id), partial(self._venue.set_leverage, account_id, *leverage))

    async def leverages(self, account_id: Any, instruments: Any) -> Any:
        return await self._asked(partial(self._venue.leverages, account_id, instruments))

    async def close(self) -> None:
        """Nothing is held."""

    def subscribe(self, listener: Callable[[OrderState], None]) -> None:
        """The private stream: late, with losses, ended by death."""

        def hear(state: OrderState) -> None:
            if not self._dice.happens(self._dice.odds.silent):
                loop = asyncio.get_running_loop()
                loop.call_later(self._dice.odds.slow_seconds * self._dice.rng.random(), tell, state)

        def tell(state: OrderState) -> None:
            if not self._life.over:
                listener(state)

        self._venue.subscribe(hear)

    async def _send(self, command: str, name: str, call: Callable[[], Awaitable[Any]]) -> Any:
        self._life.check()
        self._sent(command, name)
        return await self._asked(call)

    async def _asked(self, call: Callable[[], Awaitable[Any]]) -> Any:
        self._life.check()
        await self._dice.pause()  # a command on its way arrives, whatever becomes of its sender
        answer = await call()
        await self._dice.pause()
        self._life.check()
        return answer


class NetworkPublisher:
    """Publisher of one process, where the broker lies outside."""

    def __init__(self, network: Network, process: "Process") -> None:
        self._network, self._process = network, process

    async def publish(self, topic: str, *messages: Any) -> None:
        self._process.life.check()
        await self._network.publish(topic, messages)
        self._process.life.check()

    def publish_recorded(self, events: Sequence[Any]) -> None:
        self._process.life.check()
        self._process.start(self._network.publish_recorded(events, self._process.store))


class Process:
    """One incarnation: all functions, and the feeds in the first one. With a `network` its broker lies outside."""

    def __init__(
        self,
        number: int,
        *,
        store: MemoryStore,
        venue: PaperVenue,
        access: Access,
        clock: Clock,
        ids: Ids,
        dice: Dice,
        feeds: Sequence[Feed],
        network: Network | None,
        sent: Callable[[str, str], None],
    ) -> None:
        self.life = Life()
        self._tasks: dict[asyncio.Task[Any], None] = {}  # in order: a set's order hangs on addresses
        self.store: Any = MortalStore(store, self.life, dice)
        self.host = Host(
            Parts(FUNCTIONS, [] if number else feeds),
            settings=SETTINGS,
            store=self.store,
            access=access,
            clock=clock,
            ids=ids,
            random=random.Random(dice.rng.getrandbits(64)),
            secrets={},
        )
        self.host.runtime.states.alone = network is None
        self.host.runtime.venues["paper"] = MortalVenue(venue, self.life, dice, sent)
        if network is not None:
            self.host.runtime.publisher = NetworkPublisher(network, self)
        self.hears = frozenset(part.name for part in self.host.parts.all)
        self._deliver = self.host.broker._deliver
        self.host.broker._deliver = self.deliver

    async def deliver(self, consumer: str, path: str, event: CloudEvent) -> Verdict:
        self.life.check()
        verdict = await self._deliver(consumer, path, event)
        self.life.check()
        return verdict

    def start(self, job: Any) -> asyncio.Task[Any]:
        """Run something that dies with the process."""
        task = asyncio.get_running_loop().create_task(job)
        self._tasks[task] = None
        task.add_done_callback(self._tasks.pop)
        return task

    async def answer(self, job: Any) -> Any:
        """What the job returns; None where it failed or the process died."""
        try:
            return await self.start(job)
        except (Exception, Dead, asyncio.CancelledError):  # noqa: BLE001 - who asked from outside hears nothing more
            return None

    async def kill(self) -> None:
        self.life.over = True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(self.host.stop(), *self._tasks, return_exceptions=True)
