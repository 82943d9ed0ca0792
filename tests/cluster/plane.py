"""A real Kubernetes control plane with Knative Serving and Dapr's injector; only the nodes are made up (KWOK).

Real: etcd, API server, controllers, scheduler, Knative's controller, webhook and autoscaler, Dapr's injector and
sentry. Made up: nodes and what runs on them, the ingress controller, the activator's address.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.cluster import manifests
from tests.cluster.manifests import DAPR, KNATIVE, WEBHOOK
from tests.cluster.network import BESIDE, HERE, HOST, Network, dying_with_us
from tools import build

START_SECONDS_MAX = 120
TOKEN, API, ETCD, INJECTOR, SENTRY = "admin-token", 16443, 23790, 14000, 15001
NODES, VOLUMES = 3, 12


class PlaneBroken(Exception):
    """A program of the control plane ended or does not answer; with the end of its log."""


class Plane:
    """Starts with `start`, ends with `stop`. `kubectl` and `helm` run against it."""

    def __init__(self, folder: Path, tools: Mapping[str, Path]) -> None:
        self.folder, self._tools = folder, tools
        self.network = Network()
        self._programs: dict[str, subprocess.Popen[bytes]] = {}
        self.kubeconfig = folder / "kubeconfig"

    # --- what the tests use ---
    def kubectl(self, *words: str, text: str | None = None) -> str:
        return self.network.run([str(self._tools["kubernetes"] / "kubectl"), *words], self._environment(), text)

    def helm(self, *words: str) -> str:
        homes = {f"HELM_{name}_HOME": str(self.folder / "helm") for name in ("CACHE", "CONFIG", "DATA")}
        return self.network.run([str(self._tools["helm"] / "helm"), *words], {**self._environment(), **homes})

    def get(self, *words: str) -> Any:
        return yaml.load(self.kubectl("get", *words, "-o", "json"), Loader=yaml.CSafeLoader)

    def apply(self, *documents: Any) -> str:
        return self.kubectl("apply", "--server-side", "-f", "-", text=yaml.safe_dump_all(documents))

    # --- life ---
    def start(self) -> None:
        self._write_certificates()
        self._start_kubernetes()
        self._apply_crds()
        self._start_nodes()
        self._start_knative()
        self._start_dapr()
        spec = {"template": {"spec": {"containers": [{"image": "dev.local/probe:1"}]}}}
        service = {
            "apiVersion": "serving.knative.dev/v1",
            "kind": "Service",
            "metadata": {"name": "probe"},
            "spec": spec,
        }
        self._until("knative's webhook", lambda: self.kubectl(
            "create", "--dry-run=server", "-f", "-", text=yaml.safe_dump(service)
        ))  # fmt: skip

    def stop(self) -> None:
        """Nothing of it is kept, so nothing has to end in order."""
        for program in self._programs.values():
            program.kill()
        for program in self._programs.values():
            program.wait()
        self.network.close()

    # --- its parts ---
    def _write_certificates(self) -> None:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
        )
        public = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        (self.folder / "sa.key").write_bytes(private)
        (self.folder / "sa.pub").write_bytes(public)
        (self.folder / "tokens.csv").write_text(f'{TOKEN},admin,admin,"system:masters"\n', encoding="utf-8")
        self._write_kubeconfig(self.kubeconfig, HOST)
        self._write_kubeconfig(self.folder / "kubeconfig-beside", HERE)

    def _write_kubeconfig(self, path: Path, address: str) -> None:
        cluster = {"server": f"https://{address}:{API}", "insecure-skip-tls-verify": True}
        context = {"cluster": "it", "user": "admin", "namespace": "default"}
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "it", "cluster": cluster}],
            "users": [{"name": "admin", "user": {"token": TOKEN}}],
            "contexts": [{"name": "it", "context": context}],
            "current-context": "it",
        }
        path.write_text(yaml.safe_dump(config), encoding="utf-8")

    def _start_kubernetes(self) -> None:
        etcd = f"http://127.0.0.1:{ETCD}"
        peer = f"http://127.0.0.1:{ETCD + 10}"
        self._run(
            "etcd", self._tools["etcd"] / "etcd",
            *("--data-dir", str(self.folder / "etcd"), "--unsafe-no-fsync", "--log-level", "error"),
            *("--listen-client-urls", etcd, "--advertise-client-urls", etcd, "--listen-peer-urls", peer),
            *("--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}"),
        )  # fmt: skip
        kubernetes, sa = self._tools["kubernetes"], self.folder / "sa"
        self._run(
            "kube-apiserver", kubernetes / "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=0.0.0.0",
            f"--secure-port={API}", f"--advertise-address={HOST}", f"--cert-dir={self.folder}/api",
            "--service-cluster-ip-range=10.96.0.0/16", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={sa}.pub", f"--service-account-signing-key-file={sa}.key",
            "--api-audiences=https://kubernetes.default.svc", f"--token-auth-file={self.folder}/tokens.csv",
            "--authorization-mode=RBAC", "--allow-privileged=true", "--endpoint-reconciler-type=none",
            "--enable-priority-and-fairness=false",
        )  # fmt: skip
        self._until("the API server", lambda: self.kubectl("get", "--raw", "/readyz"))
        common = [
            f"--{name}={self.kubeconfig}"
            for name in ("kubeconfig", "authentication-kubeconfig", "authorization-kubeconfig")
        ]
        common += ["--bind-address=127.0.0.1", "--leader-elect=false"]
        self._run(
            "kube-controller-manager", kubernetes / "kube-controller-manager", *common, "--secure-port=16457",
            f"--cert-dir={self.folder}/controllers", f"--service-account-private-key-file={sa}.key",
            "--controllers=*,-node-ipam-controller,-node-route-controller,-cloud-node-lifecycle-controller",
            "--node-monitor-grace-period=3600s",
        )  # fmt: skip
        self._run(
            "kube-scheduler",
            kubernetes / "kube-scheduler",
            *common,
            "--secure-port=16459",
            f"--cert-dir={self.folder}/scheduler",
        )

    def _apply_crds(self) -> None:
        self.kubectl(
            "apply", "--server-side", *(word for path in manifests.crd_files(self._tools) for word in ("-f", str(path)))
        )
        self.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")

    def _start_nodes(self) -> None:
        for number in range(NODES):
            self.kubectl("create", "-f", "-", text=yaml.safe_dump(manifests.node(number)))
        self.apply(*(manifests.volume(number) for number in range(VOLUMES)))
        stages = self.folder / "stages.yaml"
        stages.write_text(manifests.stages(self._tools), encoding="utf-8")
        self._run(
            "kwok", self._tools["kwok"] / "kwok", f"--kubeconfig={self.kubeconfig}", f"--config={stages}",
            "--manage-all-nodes=true", "--cidr=10.244.0.0/16", "--node-ip=10.250.1.9",
            "--node-lease-duration-seconds=40",
        )  # fmt: skip

    def _start_knative(self) -> None:
        self.kubectl("apply", "--server-side", "-f", "-", text=manifests.knative(self._tools, BESIDE))
        self.configure("config-deployment", {"registries-skipping-tag-resolving": "dev.local,ghcr.io"})
        self.kubectl("apply", "--server-side", "-f", "-", text=manifests.knative_hooks(self._tools))
        programs = self._tools["knative"]
        common = {
            "SYSTEM_NAMESPACE": KNATIVE,
            "CONFIG_LOGGING_NAME": "config-logging",
            "CONFIG_OBSERVABILITY_NAME": "config-observability",
            "METRICS_DOMAIN": "knative.dev/serving",
        }
        self._run(
            "webhook", programs / "knative-webhook", "--disable-ha", **common, POD_NAME="webhook",
            WEBHOOK_NAME="webhook", WEBHOOK_PORT=str(WEBHOOK), METRICS_PROMETHEUS_PORT="19090", PROFILING_PORT="18008",
        )  # fmt: skip
        self._run("controller", programs / "knative-controller", **common, POD_NAME="controller")
        self._run(
            "autoscaler", programs / "knative-autoscaler", beside=True, **common, POD_NAME="autoscaler",
            POD_IP=BESIDE, KUBECONFIG=str(self.folder / "kubeconfig-beside"),
        )  # fmt: skip
        self._run("ingress", Path(sys.executable), "-m", "tests.cluster.ingress", str(self.kubeconfig))

    def configure(self, name: str, data: Mapping[str, str]) -> None:
        """Set entries of one of Knative's ConfigMaps."""
        patch = yaml.safe_dump({"data": dict(data)})
        self._until(
            name, lambda: self.kubectl("-n", KNATIVE, "patch", "configmap", name, "--type", "merge", "--patch", patch)
        )

    def _start_dapr(self) -> None:
        dapr = self._tools["dapr"]
        self.helm(
            "install",
            "dapr",
            str(dapr / "chart"),
            "-n",
            DAPR,
            "--create-namespace",
            "--skip-crds",
            "--set",
            "global.tag=1.14.0",
        )
        issuer = self.folder / "dapr"
        issuer.mkdir()
        self._run(
            "sentry", dapr / "dapr-sentry", "--kubeconfig", str(self.kubeconfig), "--trust-domain", "cluster.local",
            "--issuer-credentials", str(issuer), "--listen-address", "127.0.0.1", "--port", str(SENTRY),
            "--healthz-port", "15081", "--metrics-port", "15091",
            NAMESPACE=DAPR, KUBERNETES_SERVICE_HOST="127.0.0.1", KUBERNETES_SERVICE_PORT=str(API),
        )  # fmt: skip
        anchors = self.folder / "dapr-ca.crt"
        self._until("sentry", lambda: anchors.write_text(self._trust_bundle(), encoding="utf-8"))
        token = self.folder / "dapr-token"
        self._until("the injector's pod", lambda: token.write_text(self._injector_token(), encoding="utf-8"))
        self.kubectl("-n", DAPR, "delete", "service", "dapr-sidecar-injector")
        self.apply(manifests.outside("dapr-sidecar-injector", DAPR, INJECTOR, "https"))
        patch = [
            {"op": "add", "path": "/webhooks/0/clientConfig/service/port", "value": INJECTOR},
            {"op": "replace", "path": "/webhooks/0/failurePolicy", "value": "Fail"},
        ]
        self.kubectl(
            "patch",
            "mutatingwebhookconfiguration",
            "dapr-sidecar-injector",
            "--type=json",
            "-p",
            yaml.safe_dump(patch, default_flow_style=True),
        )
        place = "/var/run/secrets/dapr.io/sentrytoken"  # where Dapr wants its token: a private mount gives it that
        script = f'mount -t tmpfs tmpfs /var/run && mkdir -p {place} && cp {token} {place}/token && exec "$@"'
        self._run(
            "injector", Path("unshare"), "--mount", "sh", "-c", script, "sh", str(dapr / "dapr-injector"),
            "--kubeconfig", str(self.kubeconfig), "--listen-address", "127.0.0.1", "--port", str(INJECTOR),
            "--healthz-port", "14081", "--metrics-port", "14091",
            NAMESPACE=DAPR, SIDECAR_IMAGE="ghcr.io/dapr/daprd:1.14.0", SIDECAR_IMAGE_PULL_POLICY="IfNotPresent",
            KUBE_CLUSTER_DOMAIN="cluster.local", DAPR_TRUST_ANCHORS_FILE=str(anchors),
            DAPR_CONTROL_PLANE_TRUST_DOMAIN="cluster.local", DAPR_SENTRY_ADDRESS=f"127.0.0.1:{SENTRY}",
            ACTORS_ENABLED="true", ACTORS_SERVICE_NAME="placement",
            ACTORS_SERVICE_ADDRESS=f"dapr-placement-server.{DAPR}.svc.cluster.local:50005",
            SIDECAR_RUN_AS_NON_ROOT="true", SIDECAR_READ_ONLY_ROOT_FILESYSTEM="true",
            ENABLE_K8S_DOWNWARD_APIS="true", SIDECAR_DROP_ALL_CAPABILITIES="true",
        )  # fmt: skip
        self._until("the injector", lambda: self.network.run(["curl", "-sf", "http://127.0.0.1:14081/healthz"]))

    def _trust_bundle(self) -> str:
        bundle: str = self.get("-n", DAPR, "configmap", "dapr-trust-bundle")["data"]["ca.crt"]
        return bundle

    def _injector_token(self) -> str:
        [pod, *_] = self.get("-n", DAPR, "pods", "-l", "app=dapr-sidecar-injector")["items"]
        return self.kubectl(
            "-n", DAPR, "create", "token", "dapr-injector", "--bound-object-kind", "Pod", "--duration", "2h",
            "--bound-object-name", pod["metadata"]["name"], "--audience", f"spiffe://cluster.local/ns/{DAPR}/dapr-sentry",
        )  # fmt: skip

    # --- programs ---
    def _environment(self) -> dict[str, str]:
        return {"KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.folder / "kubecache")}

    def _run(self, name: str, program: Path, *words: str, beside: bool = False, **environment: str) -> None:
        command = self.network.inside(dying_with_us([str(program), *words]), beside=beside)
        with (self.folder / f"{name}.log").open("wb") as output:
            self._programs[name] = subprocess.Popen(
                command, stdout=output, stderr=output, env={**os.environ, **self._environment(), **environment}
            )

    def _until(self, what: str, attempt: Callable[[], object]) -> None:
        """Repeat until it does not fail. Raises PlaneBroken."""
        last = ""
        for _ in range(START_SECONDS_MAX * 5):
            self._check_programs()
            try:
                attempt()
            except (subprocess.CalledProcessError, KeyError, ValueError) as error:
                last = getattr(error, "stderr", "") or str(error)
                time.sleep(0.2)
            else:
                return
        raise PlaneBroken(f"{what} does not answer: {last}")

    def _check_programs(self) -> None:
        for name, program in self._programs.items():
            if program.poll() is not None:
                log = (self.folder / f"{name}.log").read_bytes()[-2000:].decode(errors="replace")
                raise PlaneBroken(f"{name} ended with {program.returncode}:\n{log}")


def built() -> dict[str, Path]:
    """Every tool, built where it is missing. Raises tools.build.ToolMissing."""
    return {name: build.build(name) for name in build.TOOLS}
