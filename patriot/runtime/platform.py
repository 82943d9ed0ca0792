"""The whole platform in one process: store, keys, host and the public port, started in order, stopped in reverse."""

import asyncio
import contextlib
import gc
import random
import secrets
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import uvicorn

from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.embedded import Host, Parts
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import Store
from patriot.store.open import open_store
from patriot.venues.opening import open_venues

KEY_FILE = "keys.json"
HOUSEKEEPING_SECONDS = 60.0
GARBAGE_THRESHOLDS = (20_000, 20, 100)


@dataclass(frozen=True, slots=True)
class Platform:
    host: Host
    url: str


@asynccontextmanager
async def platform(settings: Settings) -> AsyncIterator[Platform]:
    """Run everything until the block ends.

    Raises:
        EmbeddedError, MigrationRefused, StartRefused, StoreUnavailable, KeyRingError, OSError (port in use).
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    if not settings.venue_port:
        settings = settings.model_copy(update={"venue_port": _free_port()})
    async with open_store(settings.data_dir / "postgres", settings.database_url or "") as store:
        host = make_host(settings, store)
        host.runtime.spawn(open_venues(host.runtime), "open venues")
        async with serving(host, settings) as url:
            await host.start()
            try:
                with _short_collections():
                    yield Platform(host, url)
            finally:
                await host.stop()


@contextmanager
def _short_collections() -> Iterator[None]:
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
    ring = KeyRing.load_or_create(settings.data_dir / KEY_FILE)
    access = Access(
        ring,
        clock,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        app_ids=[part.name for part in parts.all],
    )
    return Host(
        parts,
        settings=settings,
        store=store,
        access=access,
        clock=clock,
        ids=SystemIds(),
        random=random.Random(secrets.randbits(64)),
        secrets={},
    )


@asynccontextmanager
async def serving(host: Host, settings: Settings) -> AsyncIterator[str]:
    """Serve the public edge on one port; the block gets its URL. Signals stay with the caller."""
    listener = _listen(settings.host, settings.port)
    config = uvicorn.Config(host.public, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listener]))  # noqa: SLF001 - `serve` would take the signals
    address, port = listener.getsockname()[:2]
    try:
        while not server.started:
            if task.done():
                task.result()
            await asyncio.sleep(0.01)
        yield f"http://{address}:{port}"
    finally:
        server.should_exit = True
        with contextlib.suppress(asyncio.CancelledError):
            await task
        listener.close()


def _free_port() -> int:
    """A loopback port that is free now: the venue serves on it, market data and orders go there."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


def _listen(address: str, port: int) -> socket.socket:
    # asyncio turns Nagle's delay off only where the protocol is named: it would cost 40 ms a request
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((address, port))
    except OSError as error:
        listener.close()
        raise OSError(
            error.errno, f"cannot listen on {address}:{port} ({error.strerror}); set PATRIOT_PORT to a free port"
        ) from None
    return listener
