"""The chart on a real control plane: install, upgrade, roll back, refuse, evict, switch from blue to green."""

import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.cluster.conftest import CHART
from tests.cluster.plane import Plane

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]
ROUNDS_MAX = 10
# no cloud is here to give a load balancer its address, and no operator to bring secrets
HERE = "secrets.provider=kubernetes,gateway.serviceType=ClusterIP"
PRODUCTION = ("-f", f"{CHART}/values-production.yaml", "--set", HERE, "--wait", "--timeout", "4m")
NAMESPACE = "patriot"


def upgrade(plane: Plane, namespace: str, *words: str, release: str = "patriot") -> float:
    """Seconds that `helm upgrade --install --wait` took."""
    started = time.monotonic()
    plane.helm("upgrade", "--install", release, CHART, "--namespace", namespace, *words)
    seconds = time.monotonic() - started
    print(f"\nhelm upgrade {release} in {namespace}: {seconds:.1f} s")
    return seconds


def restricted(plane: Plane, namespace: str) -> None:
    """A namespace where Kubernetes refuses every pod that is not restricted."""
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    plane.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}})


@pytest.fixture(scope="module")
def production(plane: Plane) -> Iterator[Plane]:
    restricted(plane, NAMESPACE)
    upgrade(plane, NAMESPACE, *PRODUCTION)
    yield plane
    plane.helm("uninstall", "patriot", "--namespace", NAMESPACE)


def services(plane: Plane, namespace: str = NAMESPACE) -> dict[str, Any]:
    found = plane.get("-n", namespace, "services.serving.knative.dev")["items"]
    return {service["metadata"]["name"]: service for service in found}


def pods(plane: Plane, *words: str) -> list[Any]:
    found: list[Any] = plane.get("-n", NAMESPACE, "pods", *words)["items"]
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def ready(service: Any) -> bool:
    conditions = service.get("status", {}).get("conditions", [])
    current = service.get("status", {}).get("observedGeneration") == service["metadata"]["generation"]
    return current and any(one["type"] == "Ready" and one["status"] == "True" for one in conditions)


def until(condition: Any, seconds: float = 60) -> None:
    """Knative finishes after Helm, which does not wait for it."""
    for _ in range(int(seconds * 2)):
        if condition():
            return
        time.sleep(0.5)
    raise AssertionError("it did not become true")


@pytest.mark.requirement("C2", "C3", "C5")
def test_every_knative_service_is_ready_with_its_sidecar(production: Plane):
    until(lambda: all(ready(service) for service in services(production).values()))
    parts = services(production)
    assert len(parts) > 10
    for name in parts:
        for pod in pods(production, "-l", f"app.kubernetes.io/name={name}"):
            containers = {container["name"]: container for container in pod["spec"]["containers"]}
            assert containers.keys() == {"function", "queue-proxy", "daprd"}
            assert name in containers["daprd"]["args"]
            ports = [port["containerPort"] for one in containers.values() for port in one.get("ports", [])]
            assert [port for port, times in Counter(ports).items() if times > 1] == [], "two containers, one port"


@pytest.mark.requirement("B14")
def test_replicas_are_those_of_the_roles(production: Plane):
    ranges = {"order-commands": 5, "order-routing": 3, "portfolio-queries": 3, "user-commands": 2}
    until(lambda: {n: len(pods(production, "-l", f"app.kubernetes.io/name={n}")) for n in ranges} == ranges)


@pytest.mark.requirement("C4")
def test_feeds_are_always_on_and_have_a_sidecar(production: Plane):
    feeds = pods(production, "-l", "app.kubernetes.io/component=feed")
    assert feeds
    for pod in feeds:
        assert {container["name"] for container in pod["spec"]["containers"]} == {"feed", "daprd"}
        assert pod["status"]["phase"] == "Running"


@pytest.mark.requirement("P14")
def test_no_part_gets_a_token_of_kubernetes(production: Plane):
    for pod in pods(production):
        for volume in pod["spec"].get("volumes", []):
            sources = volume.get("projected", {}).get("sources", [])
            audiences = [
                source["serviceAccountToken"]["audience"] for source in sources if "serviceAccountToken" in source
            ]
            assert all("spiffe://" in audience or audience == "dapr.io/sentry" for audience in audiences), pod[
                "metadata"
            ]["name"]


@pytest.mark.requirement("T10", "B14")
def test_upgrade_and_rollback_move_every_revision(production: Plane):
    before = {name: service["status"]["latestReadyRevisionName"] for name, service in services(production).items()}
    upgrade(production, NAMESPACE, *PRODUCTION, "--set", "image.tag=0.2.0")
    until(lambda: all(ready(service) for service in services(production).values()))
    after = services(production)
    for name, service in after.items():
        assert service["status"]["latestReadyRevisionName"] != before[name]
        [traffic] = service["status"]["traffic"]
        assert (traffic["percent"], traffic["revisionName"]) == (100, service["status"]["latestReadyRevisionName"])
        assert service["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.2.0")
    started = time.monotonic()
    production.helm("rollback", "patriot", "1", "--namespace", NAMESPACE, "--wait")
    until(lambda: all(ready(service) for service in services(production).values()))
    print(f"\nrolled back in {time.monotonic() - started:.1f} s")
    for service in services(production).values():
        assert service["spec"]["template"]["spec"]["containers"][0]["image"].endswith(":0.1.0")


def test_upgrade_that_changes_nothing_makes_no_revision(production: Plane):
    before = {name: service["metadata"]["generation"] for name, service in services(production).items()}
    upgrade(production, NAMESPACE, *PRODUCTION)
    assert {name: service["metadata"]["generation"] for name, service in services(production).items()} == before


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("functions.classes.order-path.concurrency=5000", "got 5,000, want 1,000"),  # the chart's schema
        ("scale=huge", "scale"),
        ("functions.overrides.auth.least=11", "less than min-scale=11"),  # Knative's webhook
        ("functions.classes.request.timeoutSeconds=600,functions.port=8012", "8012"),
    ],
)
def test_bad_value_is_refused_and_changes_nothing(production: Plane, value: str, reason: str):
    before = {name: service["metadata"]["generation"] for name, service in services(production).items()}
    with pytest.raises(subprocess.CalledProcessError) as refused:
        upgrade(production, NAMESPACE, *PRODUCTION, "--set", value)
    assert reason in refused.value.stderr
    assert {name: service["metadata"]["generation"] for name, service in services(production).items()} == before


def test_bad_annotation_is_refused_by_the_webhook(production: Plane):
    patch = '{"spec":{"template":{"metadata":{"annotations":{"autoscaling.knative.dev/min-scale":"many"}}}}}'
    with pytest.raises(subprocess.CalledProcessError) as refused:
        production.kubectl("-n", NAMESPACE, "patch", "ksvc", "auth", "--type", "merge", "-p", patch)
    assert "min-scale" in refused.value.stderr


@pytest.mark.requirement("T10")
def test_disruption_budget_is_honoured(production: Plane):
    """Evictions of one part at the same moment: one is granted, another has to wait.

    A pod that is gone is replaced within milliseconds here, so the next one may be granted too: then again.
    """

    def names() -> list[str]:
        return [pod["metadata"]["name"] for pod in pods(production, "-l", "app.kubernetes.io/name=order-routing")]

    def evict(name: str) -> str:
        body = (
            f'{{"apiVersion":"policy/v1","kind":"Eviction","metadata":{{"name":"{name}","namespace":"{NAMESPACE}"}}}}'
        )
        path = f"/api/v1/namespaces/{NAMESPACE}/pods/{name}/eviction"
        try:
            production.kubectl("create", "--raw", path, "-f", "-", text=body)
        except subprocess.CalledProcessError as error:
            return error.stderr
        return "granted"

    answers = set[str]()
    for _ in range(ROUNDS_MAX):
        until(lambda: len(names()) >= 3)
        with ThreadPoolExecutor(3) as pool:
            answers |= set(pool.map(evict, names()))
        if any("disruption budget" in answer for answer in answers):
            break
    assert "granted" in answers
    assert any("disruption budget" in answer for answer in answers), answers
    until(lambda: len(names()) >= 3)


@pytest.mark.requirement("T10")
def test_blue_green_switch_takes_minutes(plane: Plane):
    """As the runbook has it: green asleep, green awake, the gateway over, blue asleep. And back."""
    colours, small = (
        ("patriot-blue", "patriot-green"),
        ("--set", "scale=small,backup.enabled=false,gateway.enabled=false"),
    )
    edge = ("--set", "functions.enabled=false,feeds.enabled=false,migration.enabled=false,backup.enabled=false")
    for namespace in (*colours, "patriot-edge"):
        restricted(plane, namespace)
    upgrade(plane, "patriot-blue", *PRODUCTION, *small)
    upgrade(plane, "patriot-edge", *PRODUCTION, *edge, "--set", "blueGreen.active=blue", release="edge")
    started = time.monotonic()
    upgrade(plane, "patriot-green", *PRODUCTION, *small, "--set", "active=false,image.tag=0.2.0")
    asleep = plane.get("-n", "patriot-green", "pods", "-l", "app.kubernetes.io/component=feed")["items"]
    assert not asleep
    assert not plane.get("-n", "patriot-green", "subscriptions.dapr.io")["items"]
    upgrade(plane, "patriot-green", *PRODUCTION, *small, "--set", "image.tag=0.2.0")
    until(lambda: all(ready(service) for service in services(plane, "patriot-green").values()))
    upgrade(plane, "patriot-edge", *PRODUCTION, *edge, "--set", "blueGreen.active=green", release="edge")
    upgrade(plane, "patriot-blue", *PRODUCTION, *small, "--set", "active=false")
    seconds = time.monotonic() - started
    print(f"\nblue to green: {seconds:.1f} s")
    assert seconds < 600
    gateway = plane.get("-n", "patriot-edge", "configmap", "gateway")["data"]["kong.yml"]
    assert "order-commands.patriot-green.svc" in gateway
    assert "patriot-blue" not in gateway
    for release, namespace in (("patriot", colours[0]), ("patriot", colours[1]), ("edge", "patriot-edge")):
        plane.helm("uninstall", release, "--namespace", namespace)
