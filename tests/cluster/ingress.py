"""Stands in for an ingress controller, which cannot be had here: marks every KIngress as ready.

python -m tests.cluster.ingress KUBECONFIG
"""

import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import yaml

GROUP = "/apis/networking.internal.knative.dev/v1alpha1"
CONDITIONS = ("LoadBalancerReady", "NetworkConfigured", "Ready")
POLL_SECONDS = 0.3


def main(kubeconfig: Path) -> None:
    config: Any = yaml.safe_load(kubeconfig.read_text(encoding="utf-8"))
    headers = {"Authorization": f"Bearer {config['users'][0]['user']['token']}"}
    server = config["clusters"][0]["cluster"]["server"]
    with httpx.Client(base_url=server, headers=headers, verify=False) as api:  # noqa: S501 - a certificate of its own
        while True:
            with suppress(httpx.HTTPError):  # a fresh API server answers 429 until it has read its storage
                for ingress in api.get(f"{GROUP}/ingresses").raise_for_status().json()["items"]:
                    mark(api, ingress)
            time.sleep(POLL_SECONDS)


def mark(api: httpx.Client, ingress: Any) -> None:
    metadata = ingress["metadata"]
    if ingress.get("status", {}).get("observedGeneration") == metadata["generation"]:
        return
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    balancer = {"ingress": [{"domainInternal": "ingress.knative-serving.svc.cluster.local"}]}
    status = {
        "observedGeneration": metadata["generation"],
        "publicLoadBalancer": balancer,
        "privateLoadBalancer": balancer,
        "conditions": [{"type": name, "status": "True", "lastTransitionTime": now} for name in CONDITIONS],
    }
    path = f"{GROUP}/namespaces/{metadata['namespace']}/ingresses/{metadata['name']}/status"
    merge = {"Content-Type": "application/merge-patch+json"}
    api.patch(path, json={"status": status}, headers=merge).raise_for_status()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
