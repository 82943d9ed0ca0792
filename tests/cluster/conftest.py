"""The control plane, booted once for all tests, and the chart as its users would install it."""

import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.network import NetworkMissing
from tests.cluster.plane import Plane, built
from tools.build import ToolMissing

ROOT = Path(__file__).parents[2]
CHART = str(ROOT / "charts/patriot")


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """Helm, kubeconform and the control plane's programs; the first run builds them."""
    try:
        return built()
    except ToolMissing as error:
        pytest.skip(f"NOT RUN: {error}")


@pytest.fixture(scope="session")
def plane(tools: dict[str, Path]) -> Iterator[Plane]:
    folder = Path(tempfile.mkdtemp(prefix="patriot-cluster-"))
    started = time.monotonic()
    try:
        running = Plane(folder, tools)
    except NetworkMissing as error:
        shutil.rmtree(folder)
        pytest.skip(f"NOT RUN: {error}")
    try:
        running.start()
        running.configure("config-features", {"kubernetes.podspec-topologyspreadconstraints": "enabled"})
        print(f"\nthe control plane is up after {time.monotonic() - started:.1f} s")
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def render(tools: dict[str, Path]):
    """`render("production", "scale=small")`: the manifests as text."""

    def run(environment: str, *sets: str) -> str:
        command = [str(tools["helm"] / "helm"), "template", "patriot", CHART, "--namespace", "patriot"]
        command += ["--kube-version", "1.36.3", "--values", f"{CHART}/values-{environment}.yaml"]
        command += [word for one in sets for word in ("--set", one)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    return run
