"""The image, built by buildah without a daemon: the same bytes twice, not run as root, and a function answers from it.

Where the registry of the base image cannot be reached, Debian's own packages make one: the same release and Python, but
with more in it. It is kept in the cache folder, so only the first run waits for it.
"""

import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from patriot import __version__
from patriot.runtime.serving import free_port
from tests.cluster.conftest import ROOT
from tools.build import CACHE

pytestmark = [pytest.mark.cluster, pytest.mark.alone, pytest.mark.timeout(1500)]

BASE = "docker.io/library/python:3.11-slim-bookworm"
OWN_BASE = "localhost/python:3.11"
DEBIAN = ("--variant=minbase", "--include=python3-minimal,python3-venv,ca-certificates", "bookworm")
HERE = ("/etc/pip.conf", "/etc/hosts", "/etc/resolv.conf", "/etc/ssl/certs")
"""How this machine reaches a package index. Mounted while building, never copied."""
USER, PYTHON = "10001:0", ("/opt/venv/bin/python", "-m", "patriot.cli.main")
SOURCES = (
    "Containerfile",
    "pyproject.toml",
    "requirements.runtime.lock",
    "components",
    "schemas",
    "patriot",
    "feeds",
    "functions",
)
BYTES_MAX = 750_000_000
ANSWER_SECONDS = 90.0


class Store:
    """Images in a folder of its own."""

    def __init__(self, folder: Path) -> None:
        self._place = ["--root", str(folder / "images"), "--runroot", str(folder / "run")]

    def command(self, *arguments: str) -> list[str]:
        return ["buildah", *self._place, *arguments]

    def run(self, *arguments: str) -> str:
        done = subprocess.run(self.command(*arguments), check=False, capture_output=True, text=True)
        assert done.returncode == 0, f"buildah {arguments[0]}: {done.stderr[-2000:]}"
        return done.stdout.strip()

    def base(self, rootfs: Path | None) -> str:
        """The base image; from `rootfs` where the registry's own is out of reach."""
        if rootfs is None:
            self.run("pull", "--quiet", BASE)
            return BASE
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(rootfs), "/")
        self.run("commit", "--quiet", "--rm", "--timestamp", "0", container, OWN_BASE)
        return OWN_BASE

    def build(self, rootfs: Path | None, sources: Path) -> dict[str, Any]:
        """The image's description."""
        mounts = [word for path in HERE if Path(path).exists() for word in ("--volume", f"{path}:{path}:ro")]
        options = ["--isolation", "chroot", "--network", "host", "--timestamp", "0", "--pull-never", *mounts]
        base = self.base(rootfs)
        options += ["--build-arg", f"BASE={base}", "--file", str(sources / "Containerfile"), "--tag", "patriot"]
        self.run("build", *options, str(sources))
        found: dict[str, Any] = orjson.loads(self.run("inspect", "--type", "image", "patriot"))
        return found

    def container(self) -> str:
        return self.run("from", "--pull-never", "patriot")

    def inside(self, container: str, *words: str, environment: dict[str, str] | None = None) -> list[str]:
        told = [word for name, text in (environment or {}).items() for word in ("--env", f"{name}={text}")]
        return self.command(
            "run", "--isolation", "chroot", "--network", "host", "--user", USER, *told, container, "--", *words
        )


def copied(folder: Path) -> Path:
    """The sources as they are at one moment: somebody may be at work on them."""
    for name in SOURCES:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def own_base() -> Path | None:
    """None where the registry has it."""
    if subprocess.run(["buildah", "manifest", "inspect", BASE], check=False, capture_output=True).returncode == 0:
        return None
    rootfs = CACHE / "image-base-bookworm.tar"
    if not rootfs.exists():
        if shutil.which("mmdebstrap") is None:
            pytest.skip(f"NOT RUN: {BASE} is out of reach, and mmdebstrap is not here")
        CACHE.mkdir(parents=True, exist_ok=True)
        part = rootfs.with_name(f"{os.getpid()}.tar")
        made = subprocess.run(
            ["mmdebstrap", "--quiet", *DEBIAN, str(part)], check=False, capture_output=True, text=True
        )
        if made.returncode:
            pytest.skip(f"NOT RUN: no way to Debian's packages either: {made.stderr[-300:]}")
        part.rename(rootfs)
    return rootfs


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, list[dict[str, Any]]]:
    """One of the stores, and the descriptions of two builds that know nothing of each other."""
    if shutil.which("buildah") is None:
        pytest.skip("NOT RUN: buildah is not here (apt-get install buildah)")
    if subprocess.run(["buildah", "info"], check=False, capture_output=True).returncode:
        pytest.skip("NOT RUN: buildah may not work here: it needs root, or user namespaces")
    stores = [Store(tmp_path_factory.mktemp("image")) for _ in range(2)]
    sources = copied(tmp_path_factory.mktemp("sources"))
    rootfs, started = own_base(), time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        descriptions = list(pool.map(lambda store: store.build(rootfs, sources), stores))
    print(f"\ntwo images in {time.monotonic() - started:.0f} s, base: {rootfs or BASE}")
    return stores[0], descriptions


@pytest.fixture
def container(built: tuple[Store, list[dict[str, Any]]]) -> Iterator[str]:
    made = built[0].container()
    yield made
    built[0].run("rm", made)


@pytest.mark.requirement("P19", "C5")
def test_two_builds_give_the_same_bytes(built: tuple[Store, list[dict[str, Any]]]):
    first, second = built[1]
    assert first["OCIv1"]["rootfs"]["diff_ids"] == second["OCIv1"]["rootfs"]["diff_ids"]
    assert first["FromImageDigest"] == second["FromImageDigest"]


@pytest.mark.requirement("P14")
def test_image_runs_as_nobody_and_writes_only_its_data(built: tuple[Store, list[dict[str, Any]]], container: str):
    store, [description, _] = built
    assert description["OCIv1"]["config"]["User"] == USER
    probe = (
        "id -u; touch /app/x /opt/venv/x /etc/x 2>/dev/null; touch /var/lib/patriot/x && ls /app/x /opt/venv/x /etc/x"
    )
    done = subprocess.run(store.inside(container, "sh", "-c", probe), check=False, capture_output=True, text=True)
    assert done.stdout.split() == [USER.partition(":")[0]]


def test_image_is_small_and_holds_no_tests_and_no_builder(built: tuple[Store, list[dict[str, Any]]], container: str):
    root = Path(built[0].run("mount", container))
    try:
        size = sum(path.lstat().st_size for path in root.rglob("*") if path.is_file() and not path.is_symlink())
        print(f"\nthe image has {size / 1e6:.0f} MB")
        assert size < BYTES_MAX
        assert sorted(path.name for path in (root / "app").iterdir()) == [
            "components",
            "feeds",
            "functions",
            "patriot",
            "pyproject.toml",
            "schemas",
        ]
        assert not (root / "venv").exists()
    finally:
        built[0].run("umount", container)


def test_version_is_told(built: tuple[Store, list[dict[str, Any]]], container: str):
    assert built[0].run(*built[0].inside(container, *PYTHON, "--version")[5:]) == f"patriot {__version__}"


@pytest.mark.requirement("P19", "C3")
def test_function_answers_its_health_route(built: tuple[Store, list[dict[str, Any]]], container: str, tmp_path: Path):
    """On a database of its own, made inside; its sidecar is missing, so it takes no work yet."""
    port, token = free_port(), secrets.token_hex(8)
    environment = {"APP_API_TOKEN": token, "DAPR_API_TOKEN": token, "DAPR_HTTP_PORT": "1", "DAPR_GRPC_PORT": "1"}
    environment |= {"PATRIOT_HOST": "127.0.0.1", "PORT": str(port)}
    told = tmp_path / "log"
    with told.open("wb") as log:
        command = built[0].inside(container, *PYTHON, "serve", "auth", environment=environment)
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        assert answers(f"http://127.0.0.1:{port}/healthz", process) == {"status": "ok"}, told.read_text()[-2000:]
    finally:
        process.terminate()
        process.wait(30)


def answers(url: str, process: subprocess.Popen[bytes]) -> object:
    """What the URL tells; None where the process ends or the time is over before."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            return httpx.get(url, timeout=2).json()
        except httpx.HTTPError:
            time.sleep(0.2)
    return None
