"""One process behind one sidecar: the Dapr twin of `embedded.Host`. Its first part gives the app its id.

A function is alone in its process. Feeds that share the `ticks` port share one, and its sidecar.
"""

import asyncio
from collections.abc import Mapping, Sequence
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
from patriot.runtime.embedded import LocalInvoker, LocalTicks, LoopScheduler, StoreLeases
from patriot.runtime.function import Feed, Function
from patriot.runtime.live_settings import follow_settings
from patriot.runtime.ports import Invoker, Random, Response, Runtime
from patriot.runtime.reference import References
from patriot.runtime.schedules import start_schedules
from patriot.runtime.settings import Settings
from patriot.runtime.sign_outs import follow_sign_outs
from patriot.runtime.states import StateCache
from patriot.runtime.supervision import duties_together, perform
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


class LocalFirst:
    """The Invoker port: a part of this process is called here, for its ticks are ours and it may have many replicas."""

    def __init__(self, edges: Mapping[str, Edge], others: Invoker, settings: Settings) -> None:
        self._edges, self._others = edges, others
        self._here = LocalInvoker(edges, settings.call_timeout_seconds)

    async def invoke(
        self,
        app_id: str,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        invoker = self._here if app_id in self._edges else self._others
        return await invoker.invoke(app_id, method, path, body, headers=headers)


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
        self.edges: dict[str, Edge] = {}
        invoker = LocalFirst(self.edges, DaprInvoker(sidecar, ids, settings.call_timeout_seconds), settings)
        self.runtime = Runtime(
            settings=settings,
            clock=clock,
            ids=ids,
            random=ground.random,
            store=store,
            publisher=self.publisher,
            invoker=BreakingInvoker(invoker, clock.monotonic),
            state=DaprState(sidecar),
            secrets=DaprSecrets(sidecar),
            scheduler=self.scheduler,
            leases=StoreLeases(store, clock, str(ids.uuid())),
            ticks=LocalTicks(),
            access=ground.access,
            references=References(store, clock.monotonic),
            states=StateCache(alone=False),
        )
        self.edges.update((part.name, Edge(part.served, self.runtime, part.name)) for part in parts)
        self.app = Door(parts, self.edges, self.runtime, sidecar.publish, token=app_token)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin to publish and run the feeds' tasks; the sidecar must be ready."""
        self.publisher.start()
        await follow_sign_outs(self.runtime)
        await follow_settings(self.runtime, [part.name for part in self.parts])
        start_schedules((schedule for part in self.parts for schedule in part.schedules), self.runtime)
        shard = self.runtime.shard
        self._tasks = [
            asyncio.create_task(perform(self.runtime, duty), name=duty.name)
            for duty in duties_together([part for part in self.parts if isinstance(part, Feed)], shard)
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
