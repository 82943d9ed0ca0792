"""The whole platform on one machine, every part a process beside its own sidecar: `patriot up --dapr`.

    this process ── PostgreSQL (embedded, or yours), the broker, the public port, the demo user
      ├── <function>      ──── its daprd          one process each
      ├── market-data     ──── its daprd          with every feed that meets on the ticks port
      └── <feed>          ──── its daprd

Whatever dies is started again on the same ports; when we end, or are killed, everything ends.
"""

import json
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp

from patriot.runtime import discovery
from patriot.runtime.clock import SystemIds
from patriot.runtime.dapr.backing import Backing, backing
from patriot.runtime.dapr.components import refuse_unsafe
from patriot.runtime.dapr.daprd import Beside, Tokens, write_configuration
from patriot.runtime.dapr.gateway import Gateway
from patriot.runtime.dapr.host import DaprHost
from patriot.runtime.dapr.processes import FOLDER, Fleet, Process, Program, listens
from patriot.runtime.dapr.serve import GATEWAY, ground_of, store_of
from patriot.runtime.dapr.sidecar import connected
from patriot.runtime.edge import Edge
from patriot.runtime.embedded import Parts, public_app
from patriot.runtime.function import Feed, Function
from patriot.runtime.platform import KEY_FILE, Platform, metrics_served
from patriot.runtime.ports import Runtime
from patriot.runtime.serving import free_port, listen, serving
from patriot.runtime.settings import Settings
from patriot.security.keys import KeyRing
from patriot.telemetry.otlp import exporting

CONNECTIONS = 90  # of the embedded PostgreSQL's 100
LOOPBACK = "127.0.0.1"
TARGETS_FILE = "prometheus.json"
"""Where every process shows its metrics: a file for Prometheus' `file_sd_configs`."""


@dataclass(frozen=True, slots=True)
class Unit:
    """One process: the parts it serves, and its port."""

    parts: tuple[str, ...]
    port: int = field(default_factory=free_port)

    @property
    def app_id(self) -> str:
        return self.parts[0]

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}"


def units_of(parts: Sequence[Function]) -> list[Unit]:
    """Feeds that meet on the ticks port share a process; every other part has its own."""
    together = [part.name for part in parts if isinstance(part, Feed) and part.on_ticks]
    alone = [Unit((part.name,)) for part in parts if part.name not in together]
    return [*alone, Unit(tuple(together))] if together else alone


@dataclass(frozen=True, slots=True)
class GatewayHost:
    """What the processes look like from ours: their public routes, and a runtime behind the gateway's own sidecar."""

    runtime: Runtime
    public: ASGIApp
    processes: Mapping[str, Process]
    can_trade: bool = True


@asynccontextmanager
async def dapr_platform(settings: Settings, broker: str = "redis") -> AsyncIterator[Platform]:
    """Run everything until the block ends.

    Raises:
        UnsafeComponents, TopicsWrong, ToolMissing, NotReady, SidecarUnavailable, and what `platform` raises.

    """
    folder = settings.data_dir / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "names.db").unlink(missing_ok=True)
    KeyRing.load_or_create(settings.data_dir / KEY_FILE)
    parts = [*discovery.functions(), *discovery.feeds()]
    units = units_of(parts)
    settings = _divided(settings, len(units) + 1)
    behind = backing(broker, folder)
    refuse_unsafe(behind.resources)
    tokens = Tokens(secrets.token_urlsafe(24), secrets.token_urlsafe(24))
    maker = _Maker(settings, behind, tokens, write_configuration(folder, settings.otlp_endpoint))
    own = maker.beside(GATEWAY, 0)
    pairs = [(unit, maker.beside(unit.app_id, unit.port)) for unit in units]
    beside = [own.program(), *(one.program() for _, one in pairs)]
    async with (
        exporting(settings, SystemIds()),
        store_of(settings) as store,
        Fleet(folder) as brokers,
        Fleet(folder) as sidecars,
        Fleet(folder) as apps,
        connected(own.address) as sidecar,
    ):
        for program in behind.programs:
            await brokers.start([program])
        await behind.prepare()
        await sidecars.start(beside)
        await apps.start([maker.app(*pair) for pair in pairs])
        host = DaprHost([], sidecar, ground_of(settings, store))
        addresses = {name: unit.url for unit in units for name in unit.parts}
        gateway = Gateway(public_app(Parts(parts, [])), parts, addresses)
        public = Edge(gateway, host.runtime, GATEWAY)
        (folder / TARGETS_FILE).write_text(json.dumps(scrape_targets(units, settings), indent=1))
        async with serving(public, listen(settings.host, settings.port)) as url, metrics_served(settings):
            await host.start()
            try:
                processes = {**brokers.processes, **sidecars.processes, **apps.processes}
                yield Platform(GatewayHost(host.runtime, public, processes), url)
            finally:
                await host.stop()
                await gateway.close()


@dataclass(frozen=True, slots=True)
class _Maker:
    """Makes the programs of units."""

    settings: Settings
    behind: Backing
    tokens: Tokens
    configuration: Path

    def beside(self, app_id: str, port: int) -> Beside:
        resources = [self.behind.resources]
        return Beside(app_id, port, resources, self.configuration, self.tokens, self.behind.environment)

    def app(self, unit: Unit, beside: Beside) -> Program:
        command = [sys.executable, "-m", "patriot.cli.main", "--data-dir", str(self.settings.data_dir), "serve"]
        environment = {**environment_of(self.settings), **beside.told_to_app}
        environment |= {"PATRIOT_HOST": LOOPBACK, "PORT": str(unit.port)}
        return Program(unit.app_id, [*command, *unit.parts], environment, ready=lambda: listens(unit.port))


def scrape_targets(units: Sequence[Unit], settings: Settings) -> list[dict[str, Any]]:
    """With the labels that a cluster gives, so that the same alerts and dashboards serve here."""
    ports = {unit.app_id: unit.port for unit in units}
    if settings.metrics_port:
        ports[GATEWAY] = settings.metrics_port
    return [
        {
            "targets": [f"{LOOPBACK}:{port}"],
            "labels": {"app_kubernetes_io_part_of": "patriot", "app_kubernetes_io_name": name, "pod": name},
        }
        for name, port in ports.items()
    ]


def environment_of(settings: Settings) -> Mapping[str, str]:
    """The settings as environment variables, for a process of its own."""
    told = json.loads(settings.model_dump_json(exclude_none=True))
    return {
        f"PATRIOT_{name.upper()}": value if isinstance(value, str) else json.dumps(value)
        for name, value in told.items()
    }


def _divided(settings: Settings, processes: int) -> Settings:
    """Each process gets its share of the database's connections; the venue, orders and prices meet on one port."""
    share = max(2, CONNECTIONS // processes - 1)  # 1: its writer's own
    changes = {"pool_app": share // 2, "pool_system": share - share // 2, "processes": processes, "execution": "wire"}
    return settings.model_copy(update={**changes, "venue_port": settings.venue_port or free_port()})
