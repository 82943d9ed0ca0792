"""Two platforms on one PostgreSQL: of each feed one leads, and the next takes over when it ends, dies or is cut off."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from patriot.runtime import supervision
from patriot.runtime.context import RequestContext
from patriot.runtime.embedded import Host
from patriot.runtime.function import Feed
from patriot.runtime.ports import Runtime
from patriot.runtime.sharding import Shard
from patriot.runtime.supervision import Duty, duties_apart, duties_together, perform
from patriot.store.api import LeaseLost, Store, StoreUnavailable
from patriot.store.connections import urls_of
from patriot.store.postgres import PostgresStore
from tests.support.host import running_host

pytestmark = [pytest.mark.postgres, pytest.mark.requirement("A5", "C4")]

LEASE_SECONDS = 1.5


@pytest.fixture(autouse=True)
def short_leases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "LEASE_SECONDS", LEASE_SECONDS)
    monkeypatch.setattr(supervision, "KEPT_SECONDS", LEASE_SECONDS * 2 / 3)
    monkeypatch.setattr(supervision, "RENEW_SECONDS", LEASE_SECONDS / 6)
    monkeypatch.setattr(supervision, "ASK_SECONDS", 0.05)


class Probe:
    """A feed that notes which process works, and proves that never two do."""

    def __init__(self) -> None:
        self.feed = Feed("probe")
        self.feed.task(self._work)
        self.working: list[RequestContext] = []
        self.most = 0

    async def _work(self, context: RequestContext) -> None:
        self.working.append(context)
        self.most = max(self.most, len(self.working))
        try:
            await asyncio.Event().wait()
        finally:
            self.working.remove(context)

    def leader(self) -> Runtime | None:
        return self.working[0].runtime if self.working else None


@asynccontextmanager
async def replicas(database: str, count: int = 2) -> AsyncIterator[list[Host]]:
    stores = [await PostgresStore.open(urls_of(database)) for _ in range(count)]
    settings: dict[str, Any] = {"database_url": database, "feeds": ()}
    try:
        async with running_host(stores[0], **settings) as first, running_host(stores[1], **settings) as second:
            yield [first, second]
    finally:
        for store in stores:
            await store.close()


def performing(probe: Probe, host: Host, duties: Callable[..., list[Duty]] = duties_apart) -> asyncio.Task[None]:
    [duty] = duties([probe.feed], host.runtime.shard)
    return asyncio.create_task(perform(host.runtime, duty))


async def until(condition: Callable[[], object], seconds: float = 10) -> float:
    started = time.monotonic()
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)
    return time.monotonic() - started


async def end(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_one_works_and_hands_over_when_it_is_stopped(database: str):
    probe = Probe()
    async with replicas(database) as hosts:
        tasks = {host.runtime.ids: performing(probe, host) for host in hosts}
        await until(probe.leader)
        leader = probe.leader()
        await asyncio.sleep(2 * LEASE_SECONDS)  # it is renewed for as long as it is held
        assert probe.leader() is leader
        [standby] = [host.runtime for host in hosts if host.runtime is not leader]
        assert standby.waits_for == {"feed:probe:0/1"}
        assert leader is not None
        assert not leader.waits_for
        await end(tasks[leader.ids])
        assert await until(lambda: probe.leader() is standby) < LEASE_SECONDS / 2, "it was handed over, not run out"
        assert probe.most == 1
        await end(*tasks.values())


async def test_next_takes_over_when_the_holder_is_gone(database: str, monkeypatch: pytest.MonkeyPatch):
    """Killed, it neither renews nor gives back: the lease runs out."""
    probe = Probe()
    async with replicas(database) as hosts:
        first = performing(probe, hosts[0])
        await until(probe.leader)

        async def nothing(_: object) -> None:
            """As the dead do."""

        monkeypatch.setattr(hosts[0].runtime.leases, "release", nothing)
        second = performing(probe, hosts[1])
        await end(first)
        assert await until(lambda: probe.leader() is hosts[1].runtime) < LEASE_SECONDS + 1
        await end(second)


async def test_who_cannot_renew_stops_before_another_may_begin(database: str, monkeypatch: pytest.MonkeyPatch):
    probe = Probe()
    async with replicas(database) as hosts:
        first = performing(probe, hosts[0])
        await until(probe.leader)

        async def cut_off(*_: object) -> None:
            raise StoreUnavailable("the network is gone")

        monkeypatch.setattr(hosts[0].runtime.leases, "acquire", cut_off)
        second = performing(probe, hosts[1])
        await until(lambda: probe.leader() is hosts[1].runtime)
        assert probe.most == 1
        await end(first, second)


async def test_overtaken_leader_writes_nothing(database: str):
    """It has slept through its lease, and does not know."""
    probe = Probe()
    async with replicas(database) as hosts:
        first = performing(probe, hosts[0])
        await until(probe.leader)
        [context] = probe.working
        assert context.lease is not None
        later = hosts[1].runtime.clock.now().replace(year=2100)
        store: Store = hosts[1].runtime.store
        assert await store.acquire_lease(context.lease.name, "another", later, 1) is not None
        with pytest.raises(LeaseLost):
            await context.write([])
        await until(lambda: not probe.working)
        await end(first)


async def test_shards_of_a_feed_work_side_by_side(database: str):
    probe = Probe()
    async with replicas(database) as hosts:
        duties = [duties_apart([probe.feed], Shard(number, 2))[0] for number in range(2)]
        tasks = [asyncio.create_task(perform(host.runtime, duty)) for host, duty in zip(hosts, duties, strict=True)]
        await until(lambda: len(probe.working) == 2)
        await end(*tasks)


async def test_feeds_of_one_sidecar_lead_as_one():
    ticks, prices, accounts = (
        Feed("ticks", on_ticks=True),
        Feed("prices", source=True),
        Feed("accounts", everywhere=True),
    )
    together = duties_together([accounts, ticks, prices], Shard(1, 3))
    assert [(duty.name, duty.lease) for duty in together] == [("accounts", ""), ("ticks", "feed:ticks:1/3")]
    assert together[1].feeds == [ticks, prices]
    apart = duties_apart([accounts, ticks, prices], Shard(0, 1))
    assert [duty.lease for duty in apart] == ["", "feed:ticks:0/1", ""], "each embedded process has its own prices"
