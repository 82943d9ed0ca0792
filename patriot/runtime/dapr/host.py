"""One process behind one sidecar: the Dapr twin of `embedded.Host`. Its first part gives the app its id.

A function is alone in its process. Feeds that share the `ticks` port share one, and its sidecar.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from patriot.runtime.access import Access
from patriot.runtime.breaker import BreakingInvoker
from patriot.runtime.clock import Clock, Ids
from patriot.runtime.dapr.door import Door
from patriot.runtime.dapr.kafka import DirectKafka
from patriot.runtime.dapr.ports import DaprInvoker, DaprSecrets, DaprState
from patriot.runtime.dapr.publisher import DaprPublisher
from patriot.runtime.dapr.sidecar import Sidecar
from patriot.runtime.edge import Edge
from patriot.runtime.embedded import LocalTicks, LoopScheduler, StoreLeases
from patriot.runtime.function import Feed, Function
from patriot.runtime.ports import Random, Runtime
from patriot.runtime.reference import References
from patriot.runtime.schedules import start_schedules
from patriot.runtime.settings import Settings
from patriot.runtime.states import StateCache
from patriot.runtime.supervision import supervise
from patriot.store.api import Store


@dataclass(frozen=True, slots=True)
class Ground:
    """What every host stands on, whichever parts it has."""

    settings: Settings
    store: Store
    access: Access
    clock: Clock
    ids: Ids
    random: Random


class DaprHost:
    """Wires the ports over `sidecar`. `app` is what the sidecar calls, with `app_token`."""

    def __init__(self, parts: Sequence[Function], sidecar: Sidecar, ground: Ground, *, app_token: str = "") -> None:
        settings, clock, ids, store = ground.settings, ground.clock, ground.ids, ground.store
        self.parts = parts
        self._kafka = DirectKafka(settings.kafka) if settings.kafka else None
        self.publisher = DaprPublisher(
            sidecar.publish, store, clock, settings.broker_queue_max, self._kafka.send if self._kafka else None
        )
        self.scheduler = LoopScheduler(clock)
        self.runtime = Runtime(
            settings=settings,
            clock=clock,
            ids=ids,
            random=ground.random,
            store=store,
            publisher=self.publisher,
            invoker=BreakingInvoker(DaprInvoker(sidecar, ids, settings.call_timeout_seconds), clock.monotonic),
            state=DaprState(sidecar),
            secrets=DaprSecrets(sidecar),
            scheduler=self.scheduler,
            leases=StoreLeases(store, clock, str(ids.uuid())),
            ticks=LocalTicks(),
            access=ground.access,
            references=References(store, clock.monotonic),
            states=StateCache(alone=False),
        )
        self.edges = {part.name: Edge(part.served, self.runtime, part.name) for part in parts}
        self.app = Door(parts, self.edges, self.runtime, token=app_token)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to publish and run the feeds' tasks; the sidecar must be ready."""
        self.publisher.start()
        start_schedules((schedule for part in self.parts for schedule in part.schedules), self.runtime)
        self._tasks = [
            asyncio.create_task(supervise(self.runtime, feed, action), name=f"{feed.name}.{action.__name__}")
            for feed in self.parts
            if isinstance(feed, Feed)
            for action in feed.tasks
        ]

    async def stop(self) -> None:
        """Feeds first, then schedules, then what waits to be published; sidecar and store belong to the caller."""
        running = (*self._tasks, *self.runtime.tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await self.scheduler.stop()
        await self.publisher.stop()
        if self._kafka is not None:
            await self._kafka.close()
        for adapter in self.runtime.venues.values():
            await adapter.close()
