"""What is applied to the empty control plane: CRDs, nodes, volumes, and Knative without its containers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

KNATIVE, DAPR = "knative-serving", "dapr-system"
WEBHOOK = 18443
NETWORKING = ("certificate", "domain-claim", "ingress", "serverlessservice")
OPERATOR = ("servicemonitors", "podmonitors", "prometheusrules", "alertmanagerconfigs")
STAGES = (
    "node/fast/node-initialize",
    "node/heartbeat-with-lease/node-heartbeat-with-lease",
    "pod/fast/pod-ready",
    "pod/fast/pod-complete",
    "pod/fast/pod-delete",
)
Tools = Mapping[str, Path]


def crd_files(tools: Tools) -> Sequence[Path]:
    """What Knative, Dapr and the Prometheus operator add to the API."""
    knative = tools["knative"]
    operator = sorted((tools["prometheus-operator"] / "crds").glob("*.yaml"))
    return [
        *sorted((knative / "core/300-resources").glob("*.yaml")),
        *(knative / f"networking/{name}.yaml" for name in NETWORKING),
        knative / "caching/image.yaml",
        *sorted((tools["dapr"] / "chart/crds").glob("*.yaml")),
        *(path for path in operator if path.stem.endswith(OPERATOR)),
    ]


def node(number: int) -> dict[str, Any]:
    """A node that KWOK keeps; every one in a zone of its own."""
    name, room = f"node-{number}", {"cpu": "64", "memory": "256Gi", "pods": "200"}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
    metadata = {
        "name": name,
        "annotations": {"kwok.x-k8s.io/node": "fake"},
        "labels": {**labels, "topology.kubernetes.io/zone": f"zone-{number}"},
    }
    status = {"allocatable": room, "capacity": room}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": {}, "status": status}


def stages(tools: Tools) -> str:
    """How KWOK moves nodes and pods on."""
    return joined(tools["kwok"] / f"stage/{name}.yaml" for name in STAGES)


def volume(number: int) -> dict[str, Any]:
    """A volume that waits to be claimed: there is no storage to make one of."""
    modes = ["ReadWriteOnce", "ReadWriteMany"]
    spec = {"accessModes": modes, "capacity": {"storage": "1Ti"}, "hostPath": {"path": "/none"}}
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": f"volume-{number}"}, "spec": spec}


def outside(name: str, namespace: str, port: int, port_name: str) -> dict[str, Any]:
    """A Service that leads to a process beside the API server."""
    ports = [{"name": port_name, "port": 443, "targetPort": port}]
    spec = {"type": "ExternalName", "externalName": "localhost", "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def knative(tools: Tools, activator_address: str) -> str:
    """Namespace, accounts and settings; the activator is an address where nobody answers."""
    core = tools["knative"] / "core"
    metadata = {"name": "activator-service", "namespace": KNATIVE}
    ports = [{"name": "http", "port": 80, "targetPort": 8012}, {"name": "http2", "port": 81, "targetPort": 8013}]
    there = [{"name": port["name"], "port": port["targetPort"]} for port in ports]
    subsets = [{"addresses": [{"ip": activator_address}], "ports": there}]
    files = [
        core / "100-namespace.yaml",
        core / "200-serviceaccount.yaml",
        *sorted((core / "configmaps").glob("*.yaml")),
        tools["knative"] / "networking/config-network.yaml",
        core / "webhooks/secret.yaml",
    ]
    own = [
        outside("webhook", KNATIVE, WEBHOOK, "https-webhook"),
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": ports}},
        {"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": subsets},
    ]
    text = joined(files).replace("ko://knative.dev/serving/cmd/queue", "dev.local/queue:1")
    return f"{text}\n---\n{yaml.safe_dump_all(own)}"


def knative_hooks(tools: Tools) -> str:
    """Knative's admission webhooks, led to the process beside the API server."""
    names = ("configmap-validation", "defaulting", "resource-validation")
    text = joined(tools["knative"] / f"core/webhooks/{name}.yaml" for name in names)
    line = f"      namespace: {KNATIVE}"
    return text.replace(line, f"{line}\n      port: {WEBHOOK}")


def joined(files: Any) -> str:
    return "\n---\n".join(path.read_text(encoding="utf-8") for path in files)
