"""Hosts behind real sidecars, in the test's own process: what a part's process is, without the process."""

import random
import secrets
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from patriot.runtime import discovery
from patriot.runtime.access import Access
from patriot.runtime.clock import SystemClock, SystemIds
from patriot.runtime.dapr.daprd import Beside, Tokens, write_configuration
from patriot.runtime.dapr.host import DaprHost, Ground
from patriot.runtime.dapr.processes import Process
from patriot.runtime.dapr.sidecar import Sidecar
from patriot.runtime.edge import Edge
from patriot.runtime.embedded import Parts, public_app
from patriot.runtime.function import Function
from patriot.runtime.ports import Runtime
from patriot.runtime.serving import listen, serving
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.store.api import Store

ROOT = Path(__file__).parents[2]
LOCAL = ROOT / "components" / "local"
SECRETS = {"PATRIOT_SECRET_exchange": "s3cret"}


@dataclass
class Hosts:
    """Looks like one host: every part behind a sidecar of its own. `runtime` is the first part's."""

    runtime: Runtime
    edges: Mapping[str, Edge]
    public: Edge
    sidecars: Sequence[Process]
    hosts: Sequence[DaprHost]
    tokens: Tokens
    ground: Ground


@asynccontextmanager
async def beside_sidecars(
    environment: Mapping[str, str],
    store: Store,
    *parts: Function,
    relay: bool = False,
    resources: Sequence[Path] = (LOCAL,),
    **settings: Any,
) -> AsyncIterator[Hosts]:
    """Each part behind its own daprd. Without parts: one sidecar without an app."""
    chosen = list(parts)
    if relay:
        chosen += [feed for feed in discovery.feeds() if feed.name == "relay"]
    ground = make_ground(store, chosen, settings)
    tokens = Tokens(secrets.token_hex(8), secrets.token_hex(8))
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="patriot-sidecars-")))
        configuration = write_configuration(folder)
        hosts, sidecars = [], []
        for part in chosen or [None]:
            listener = listen("127.0.0.1", 0)
            beside = Beside(
                part.name if part else "nobody",
                listener.getsockname()[1] if part else 0,
                resources,
                configuration,
                tokens,
                {**SECRETS, **environment},
            )
            sidecar = Sidecar(beside.address)
            stack.push_async_callback(sidecar.close)
            host = DaprHost([part] if part else [], sidecar, ground, app_token=tokens.app)
            await stack.enter_async_context(serving(host.app, listener))
            process = Process(beside.program(), folder)
            stack.push_async_callback(process.stop)
            await process.start()
            hosts.append(host)
            sidecars.append((process, sidecar, host))
        for host in hosts:
            stack.push_async_callback(host.stop)
            await host.start()
        for _, sidecar, host in sidecars:
            await until_subscribed(sidecar, host)
        edges = {name: edge for host in hosts for name, edge in host.edges.items()}
        public = Edge(public_app(Parts(chosen, [])), hosts[0].runtime, "gateway")
        yield Hosts(hosts[0].runtime, edges, public, [one for one, _, _ in sidecars], hosts, tokens, ground)


async def until_subscribed(sidecar: Sidecar, host: DaprHost) -> None:
    await sidecar.until_ready()
    wanted = {subscription.topic.name for part in host.parts for subscription in part.subscriptions}
    while wanted - {one["topic"] for one in (await sidecar.metadata()).get("subscriptions", [])}:
        await host.runtime.clock.sleep(0.02)


def make_ground(store: Store, parts: Sequence[Function], settings: Mapping[str, Any]) -> Ground:
    clock = SystemClock()
    access = Access(
        KeyRing.generate(), clock, issuer="patriot", audience="patriot-api", app_ids=[one.name for one in parts]
    )
    return Ground(Settings(**settings), store, access, clock, SystemIds(), random.Random(1))
