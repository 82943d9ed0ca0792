"""The whole platform in one process: store, keys, host and the public port, started in order, stopped in reverse."""

import gc
import random
import secrets
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import structlog
from starlette.applications import Starlette
from starlette.routing import Route

from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import Clock, SystemClock, SystemIds
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.function import metrics_page
from patriot.runtime.ports import Random
from patriot.runtime.serving import Served, free_port, listen, serving
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import Store
from patriot.store.open import open_store
from patriot.telemetry.otlp import exporting
from patriot.venues.opening import open_venues

KEY_FILE = "keys.json"
HOUSEKEEPING_SECONDS = 60.0
GARBAGE_THRESHOLDS = (20_000, 20, 100)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Platform:
    host: Served
    url: str


@asynccontextmanager
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """Run everything until the block ends.

    Raises:
        EmbeddedError, MigrationRefused, StartRefused, StoreUnavailable, KeyRingError, OSError (port in use).
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not settings.venue_port:
        settings = settings.model_copy(update={"venue_port": free_port()})
    async with (
        exporting(settings, SystemIds()),
        open_store(settings.data_dir / "postgres", settings.database_url or "", replica=settings.reports_from) as store,
    ):
        host = make_host(settings, store)
        host.runtime.spawn(open_venues(host.runtime), "open venues")
        async with serving(host.public, listen(settings.host, settings.port)) as url, metrics_served(settings):
            await host.start()
            try:
                with short_collections():
                    yield Platform(host, url)
            finally:
                await host.stop()


@asynccontextmanager
async def metrics_served(settings: Settings) -> AsyncIterator[None]:
    """What Prometheus asks for, on a port of its own: the public one does not show it."""
    if not settings.metrics_port:
        yield
        return
    app = Starlette(routes=[Route("/metrics", metrics_page)])
    async with serving(app, listen(settings.host, settings.metrics_port, "PATRIOT_METRICS_PORT")) as url:
        log.info("metrics served", url=f"{url}/metrics")
        yield


@contextmanager
def short_collections() -> Iterator[None]:
    """Keep garbage collections short: what is here after the start stays for good, so never look at it again.

    With Python's defaults orders cost many young collections a second and a full one of 200 ms every few seconds, a
    third of their time. Nearly all garbage goes by reference counts; cycles can wait.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*GARBAGE_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def make_host(settings: Settings, store: Store) -> Host:
    """The host with the system's clock, ids and randomness and the installation's keys."""
    clock = SystemClock()
    parts = Parts(discovery.functions(), discovery.feeds())
    access = open_access(settings, clock, [part.name for part in parts.all])
    return Host(
        parts,
        settings=settings,
        store=store,
        access=access,
        clock=clock,
        ids=SystemIds(),
        random=system_random(),
        secrets={},
    )


def open_access(settings: Settings, clock: Clock, app_ids: Collection[str]) -> Access:
    """With the installation's keys, made at the first start. Raises KeyRingError."""
    ring = KeyRing.load_or_create(settings.data_dir / KEY_FILE)
    return Access(ring, clock, issuer=settings.jwt_issuer, audience=settings.jwt_audience, app_ids=app_ids)


def system_random() -> Random:
    """Seeded anew at each start."""
    return random.Random(secrets.randbits(64))
