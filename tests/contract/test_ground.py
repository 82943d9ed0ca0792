"""The ground that the design card asks for: packages, layout, who holds connections."""

import ast
import importlib
import re
import sys
import tomllib
from pathlib import Path

import pytest

from patriot.runtime import discovery
from patriot.runtime.function import Feed

ROOT = Path(__file__).parents[2]
PACKAGES = ("dapr", "fastapi", "pydantic", "asyncpg", "ccxt", "websockets", "cloudevents", "redis", "pytest")
CONNECTORS = frozenset({"websockets", "aiohttp", "httpx", "ccxt", "asyncpg", "redis", "socket"})


@pytest.mark.requirement("C1")
@pytest.mark.parametrize("name", PACKAGES)
def test_package_of_the_design_card_is_locked_and_importable(name):
    assert re.search(rf"^{name}==", (ROOT / "requirements.lock").read_text(), re.MULTILINE)
    assert importlib.import_module(name)


@pytest.mark.requirement("C1")
def test_python_is_at_least_3_11():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["requires-python"] == ">=3.11"
    assert sys.version_info >= (3, 11)


def test_lock_pins_every_dependency_by_hash_and_names_no_host():
    lock = (ROOT / "requirements.lock").read_text()
    pinned = re.findall(r"^[a-zA-Z0-9_.\[\]-]+==\S+", lock, re.MULTILINE)
    assert len(pinned) > 50
    assert lock.count("--hash=sha256:") >= len(pinned)
    assert "://" not in lock


def imports(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    return {name.partition(".")[0] for name in names}


@pytest.mark.requirement("C3", "C4", "P20")
@pytest.mark.parametrize("function", discovery.functions(), ids=lambda one: one.name)
def test_function_holds_no_connection_and_runs_no_task(function):
    assert not isinstance(function, Feed)
    folder = ROOT / "functions" / function.name.replace("-", "_")
    for path in folder.glob("*.py"):
        assert not imports(path) & CONNECTORS, path


@pytest.mark.requirement("C4")
def test_market_data_and_account_connections_are_feeds():
    assert {"market-data", "venue", "strategies", "relay"} <= {feed.name for feed in discovery.feeds()}
    assert all(feed.tasks for feed in discovery.feeds())


@pytest.mark.requirement("C3", "P20")
@pytest.mark.parametrize("function", discovery.functions(), ids=lambda one: one.name)
def test_function_keeps_no_state_between_requests(function):
    """Module attributes of a function are constants: nothing that a request could change."""
    module = importlib.import_module(f"functions.{function.name.replace('-', '_')}.app")
    mutable = [
        name
        for name, value in vars(module).items()
        if isinstance(value, (list, dict, set)) and not name.startswith("__") and not name.isupper()
    ]
    assert mutable == []


def test_make_targets_of_the_readme_exist():
    makefile = (ROOT / "Makefile").read_text()
    for target in ("up", "test", "check", "ci", "bench", "requirements", "help"):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
    assert "make ci" in (ROOT / ".ci" / "run").read_text()
