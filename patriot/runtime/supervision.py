"""Running the tasks of feeds. Rule: they work where their lease is held, and stop before anybody else can hold it.

A duty is what one lease is for. Who does not hold it stands by and asks for it. Who holds it renews it, and stops when
two thirds of it have passed without an answer: the last third is for clocks that differ. Who ends in order gives it
back. What a duty writes carries the lease's epoch, so the store refuses who was overtaken
without knowing.

A task that fails is logged and started again, with backoff; one that ends is done.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import structlog

from patriot.runtime.context import RequestContext
from patriot.runtime.edge import system_context
from patriot.runtime.function import Feed
from patriot.runtime.ports import Runtime
from patriot.runtime.sharding import Shard
from patriot.store.api import Lease, LeaseCheck, StoreUnavailable
from patriot.telemetry.correlation import correlated

RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 30.0
LEASE_SECONDS = 6.0
KEPT_SECONDS = LEASE_SECONDS * 2 / 3
RENEW_SECONDS = LEASE_SECONDS / 6
ASK_SECONDS = 0.25

log = structlog.get_logger()

Task = Callable[[RequestContext], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Duty:
    """Feeds that work in one process at a time. `lease` is empty where every process does it."""

    feeds: Sequence[Feed]
    lease: str = ""

    @property
    def name(self) -> str:
        return self.feeds[0].name


def duties_apart(feeds: Sequence[Feed], shard: Shard) -> list[Duty]:
    """Where events and ticks stay in the process: every feed by itself, and each process has its own sources."""
    return [Duty([feed], "" if feed.everywhere or feed.source else _lease_of(feed, shard)) for feed in feeds]


def duties_together(feeds: Sequence[Feed], shard: Shard) -> list[Duty]:
    """Where a process is what the sidecar sees: its feeds lead or stand by as one."""
    led = [feed for feed in feeds if not feed.everywhere]
    everywhere = [Duty([feed]) for feed in feeds if feed.everywhere]
    return [*everywhere, Duty(led, _lease_of(led[0], shard))] if led else everywhere


def _lease_of(feed: Feed, shard: Shard) -> str:
    return f"feed:{feed.name}:{shard}"


async def perform(runtime: Runtime, duty: Duty) -> None:
    """Perform a duty until cancelled, whenever its lease is ours. Alone on a store there is nobody to ask."""
    if not duty.lease or runtime.states.alone:
        await _work(runtime, duty.feeds, None)
        return
    while True:
        asked, lease = await _won(runtime, duty.lease)
        working = asyncio.create_task(_work(runtime, duty.feeds, LeaseCheck(lease.name, lease.epoch)))
        try:
            log.info("leads", duty=duty.lease, epoch=lease.epoch)
            await _hold(runtime, lease, asked)
            log.warning("leads no longer", duty=duty.lease, epoch=lease.epoch)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            with suppress(StoreUnavailable):
                await runtime.leases.release(lease)


async def _won(runtime: Runtime, name: str) -> tuple[float, Lease]:
    """The lease, and when we asked for it."""
    runtime.waits_for.add(name)
    while True:
        asked = runtime.clock.monotonic()
        with suppress(StoreUnavailable):
            lease = await runtime.leases.acquire(name, LEASE_SECONDS)
            if lease is not None:
                runtime.waits_for.discard(name)
                return asked, lease
        await runtime.clock.sleep(ASK_SECONDS)


async def _hold(runtime: Runtime, lease: Lease, asked: float) -> None:
    """Return once the lease is lost, or may be: a process that slept looks at the clock before anything else."""
    clock = runtime.clock
    while True:
        await clock.sleep(RENEW_SECONDS)
        asking = clock.monotonic()
        left = asked + KEPT_SECONDS - asking
        if left <= 0:
            return
        try:
            async with asyncio.timeout(left):
                held = await runtime.leases.acquire(lease.name, LEASE_SECONDS)
        except StoreUnavailable:
            continue  # the lease lasts while the store cannot give it to anybody else
        except TimeoutError:
            return
        if held is None or held.epoch != lease.epoch:
            return
        asked = asking


async def _work(runtime: Runtime, feeds: Sequence[Feed], lease: LeaseCheck | None) -> None:
    await asyncio.gather(*(_keep(runtime, feed, action, lease) for feed in feeds for action in feed.tasks))


async def _keep(runtime: Runtime, feed: Feed, action: Task, lease: LeaseCheck | None) -> None:
    """Run one task of a feed for ever."""
    pause = RESTART_SECONDS
    while True:
        started = runtime.clock.monotonic()
        context = system_context(runtime, feed.name)
        context.lease = lease
        with correlated(context.origin.correlation_id, feed.name):
            try:
                await action(context)
            except Exception:
                log.exception("feed failed", feed=feed.name, task=action.__name__, restart_seconds=pause)
            else:
                return
        long_lived = runtime.clock.monotonic() - started > RESTART_SECONDS_MAX
        pause = RESTART_SECONDS if long_lived else min(pause * 2, RESTART_SECONDS_MAX)
        await runtime.clock.sleep(pause)
