"""One process of the platform beside its sidecar: `patriot serve PART...`. Rule: it takes work only once it can do it.

Dapr's own environment variables tell where the sidecar is: DAPR_HTTP_PORT, DAPR_GRPC_PORT, DAPR_API_TOKEN (what the
sidecar wants from us) and APP_API_TOKEN (what we want from it). PORT is where we listen, as Knative tells it.

ServeError
├── UnknownPart          no folder has this name
├── TokenMissing         anybody could send us events
└── ComponentsMissing    the sidecar has not loaded what this process needs
"""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from patriot.runtime import discovery
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.dapr.host import DaprHost, Ground
from patriot.runtime.dapr.ports import SECRETS, STATE
from patriot.runtime.dapr.sidecar import Address, Sidecar, connected
from patriot.runtime.function import Function
from patriot.runtime.platform import open_access, short_collections, system_random
from patriot.runtime.serving import listen, serving
from patriot.runtime.settings import Settings
from patriot.store.api import Store
from patriot.store.open import open_store
from patriot.store.postgres import PoolSizes
from patriot.telemetry.otlp import exporting
from patriot.venues.opening import open_venues
from schemas.topics import PUBSUBS

GATEWAY = "gateway"
PORT_VARIABLE = "PORT"


class ServeError(Exception):
    """This process cannot serve; the text says why."""


class UnknownPart(ServeError):
    """No such function or feed."""


class TokenMissing(ServeError):
    """The app has no token by which it knows its sidecar."""


class ComponentsMissing(ServeError):
    """The sidecar lacks components."""


async def serve(names: Sequence[str], settings: Settings, stop: asyncio.Event) -> None:
    """Serve these parts until `stop` is set.

    Raises:
        ServeError, SidecarUnavailable, KeyRingError, OSError (port in use), and what `open_store` raises.
        MigrationsPending: on a given server, which `patriot migrate` brings up to date with rights that parts lack.

    """
    parts = [_part(name) for name in names]
    token = os.environ.get("APP_API_TOKEN", "")
    if not token:
        raise TokenMissing("APP_API_TOKEN is not set: events could come from anybody, not from our sidecar alone")
    listener = listen(settings.host, int(os.environ.get(PORT_VARIABLE, settings.port)), PORT_VARIABLE)
    address = Address.of_environment()
    opened = store_of(settings, may_change=not settings.database_url)
    async with exporting(settings, SystemIds()), opened as store, connected(address) as sidecar:
        host = DaprHost(parts, sidecar, ground_of(settings, store), app_token=token)
        if any(part.trades for part in parts):
            host.runtime.spawn(open_venues(host.runtime), "open venues")
        try:
            async with serving(host.app, listener):
                await sidecar.until_ready()
                await require_components(sidecar)
                await host.start()
                with short_collections():
                    await stop.wait()
        finally:
            await host.stop()


def ground_of(settings: Settings, store: Store) -> Ground:
    """The system's clock, ids and randomness, and the installation's keys."""
    clock = SystemClock()
    access = open_access(settings, clock, [*discovery.names(), GATEWAY])
    return Ground(settings, store, access, clock, SystemIds(), system_random())


@asynccontextmanager
async def store_of(settings: Settings, *, may_change: bool = True) -> AsyncIterator[Store]:
    sizes = PoolSizes(settings.pool_app, settings.pool_system, settings.processes)
    folder, url = settings.data_dir / "postgres", settings.database_url or ""
    async with open_store(folder, url, sizes, replica=settings.reports_from, may_change=may_change) as store:
        yield store


async def require_components(sidecar: Sidecar) -> None:
    """Raises ComponentsMissing."""
    loaded = {component["name"] for component in (await sidecar.metadata()).get("components", ())}
    missing = sorted({*PUBSUBS, STATE, SECRETS} - loaded)
    if missing:
        raise ComponentsMissing(f"the sidecar has no component {', '.join(missing)}: see components/ and its log")


def _part(name: str) -> Function:
    try:
        return discovery.part(name)
    except KeyError:
        raise UnknownPart(f"there is no part {name}; there are {', '.join(discovery.names())}") from None
