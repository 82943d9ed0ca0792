"""What stands behind the sidecars of one machine. Rule: settings are production's, only places differ."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from patriot.runtime.dapr import topics
from patriot.runtime.dapr.brokers import BROKERS, Broker
from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.documents import read
from patriot.runtime.dapr.processes import Program
from patriot.runtime.serving import free_ports
from schemas.topics import PUBSUBS

ALL = "all"
"""The default map: each pub/sub component on the broker that production has it on."""


@dataclass(frozen=True, slots=True)
class Backing:
    """Programs to run, what the components read from the environment, the components, and how topics are made."""

    programs: Sequence[Program]
    environment: Mapping[str, str]
    resources: Path
    prepare: Callable[[], Awaitable[None]]


def backing(broker: str, folder: Path) -> Backing:
    """Everything on one broker, with Redis for state; or on all of them. Raises ToolMissing, KeyError."""
    names = list(BROKERS) if broker == ALL else list(dict.fromkeys(("redis", broker)))
    made = [_made(name, folder / name) for name in names]
    environment = {key: value for one in made for key, value in one.environment.items()}
    resources = ROOT / "local"
    if broker != "redis":
        resources = folder / "components"
        write_components(broker, resources)
    programs = [program for one in made for program in one.programs]
    return Backing(programs, environment, resources, partial(topics.prepare, resources, environment))


def _made(name: str, folder: Path) -> Broker:
    folder.mkdir(parents=True, exist_ok=True)
    return BROKERS[name](folder, free_ports(3))


def write_components(broker: str, folder: Path) -> None:
    """Production's pub/sub components, all on `broker` or each on its own, beside this machine's other components."""
    folder.mkdir(parents=True, exist_ok=True)
    production = [one.value for one in read(ROOT / "production")[0] if one.name in PUBSUBS]
    if broker != ALL:
        pattern = next(one for one in production if _broker_of(one) == broker)
        production = [{**pattern, "metadata": {"name": name}} for name in PUBSUBS]
    local = [one.value for one in read(ROOT / "local")[0] if one.name not in PUBSUBS and one.kind == "Component"]
    with ExitStack() as stack:
        file = stack.enter_context((folder / "components.yaml").open("w"))
        yaml.safe_dump_all([*production, *local], file, sort_keys=False)
    (folder / "resiliency.yaml").write_bytes((ROOT / "local" / "resiliency.yaml").read_bytes())


def _broker_of(component: Mapping[str, Any]) -> str:
    kind = str(component["spec"]["type"]).removeprefix("pubsub.")
    return {"jetstream": "nats"}.get(kind, kind)
