"""What the chart renders, checked without a cluster: kinds, fields, references, rights."""

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from patriot import __version__
from patriot.deploy.__main__ import CHART, ROOT
from patriot.runtime.function import WORK_PATH
from tests.cluster import schemas
from tests.cluster.manifests import crd_files

pytestmark = pytest.mark.cluster
Render = Callable[..., str]
ENVIRONMENTS = ("dev", "staging", "production")
NOT_HERE = "ExternalSecret,SecretStore"  # the External Secrets operator's own kinds


@pytest.fixture(scope="module")
def kubeconform(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], str]:
    folder = tmp_path_factory.mktemp("schemas")
    schemas.write(folder, tools["kubernetes"] / "openapi/swagger.json", crd_files(tools))
    place = str(folder) + "/{{ .ResourceKind }}{{ .KindSuffix }}.json"
    command = [str(tools["kubeconform"] / "kubeconform"), "-strict", "-schema-location", place, "-skip", NOT_HERE]

    def complaints(manifests: str) -> str:
        done = subprocess.run(command, input=manifests, check=False, capture_output=True, text=True)
        return "" if done.returncode == 0 else done.stdout + done.stderr

    return complaints


def documents(manifests: str) -> list[Any]:
    return [document for document in yaml.load_all(manifests, Loader=yaml.CSafeLoader) if document]


def pod_specs(manifests: str) -> Iterator[tuple[str, Any]]:
    for document in documents(manifests):
        spec = document.get("spec", {})
        spec = spec.get("jobTemplate", {}).get("spec", spec)
        pod = spec.get("template", {}).get("spec") if isinstance(spec.get("template"), dict) else None
        if pod and "containers" in pod:
            yield f"{document['kind']} {document['metadata']['name']}", pod


@pytest.mark.requirement("C2")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_manifests_have_no_unknown_field(render: Render, kubeconform: Callable[[str], str], environment: str):
    assert kubeconform(render(environment)) == ""
    assert kubeconform(render(environment, "active=false", "blueGreen.active=green", "functions.spread=true")) == ""
    restore = ("restore.enabled=true", "restore.dataClaim=fresh", "restore.to=2026-03-01T12:00:00Z")
    more = ("monitoring.enabled=true", "monitoring.pager.secret=pager", "gateway.serviceType=LoadBalancer")
    more = (*more, "gateway.fallback.replicas=2")
    assert kubeconform(render(environment, *restore, *more, "backup.enabled=true", "feeds.replicas=3")) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("containerConcurrency:", "containerConcurency:"),
        ("minReadySeconds:", "minReadyseconds:"),
        ("podSelector:", "podSelektor:"),
    ],
)
def test_misspelt_field_is_found(render: Render, kubeconform: Callable[[str], str], right: str, wrong: str):
    manifests = render("production")
    assert right in manifests
    assert kubeconform(manifests.replace(right, wrong, 1)) != ""


@pytest.mark.requirement("P14")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_every_container_is_restricted(render: Render, environment: str):
    everything = ("restore.enabled=true", "restore.dataClaim=fresh", "gateway.fallback.replicas=2")
    pods = list(pod_specs(render(environment, *everything)))
    assert len(pods) > 10
    for name, pod in pods:
        assert pod["automountServiceAccountToken"] is False, name
        assert "hostNetwork" not in pod, name
        for container in pod["containers"]:
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"], name
            assert security["runAsNonRoot"], name
            assert not security["allowPrivilegeEscalation"], name
            assert security["capabilities"] == {"drop": ["ALL"]}, name
            assert {"limits", "requests"} <= container["resources"].keys(), name


@pytest.mark.requirement("P14", "P21")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_chart_holds_no_secret_and_grants_no_right(render: Render, environment: str):
    kinds = {document["kind"] for document in documents(render(environment))}
    assert not kinds & {"Secret", "Role", "ClusterRole", "RoleBinding", "ClusterRoleBinding"}


@pytest.mark.requirement("P21")
def test_vault_and_external_secrets_bring_every_secret(render: Render):
    for provider in ("externalSecrets", "vault"):
        manifests = documents(
            render("production", f"secrets.provider={provider}", "secrets.vault.server=https://vault:8200")
        )
        brought = {document["metadata"]["name"] for document in manifests if document["kind"] == "ExternalSecret"}
        assert brought == {"patriot-database", "patriot-keys", "patriot-brokers", "patriot-redis", "patriot-dapr-token"}


def templates(manifests: str) -> dict[str, Any]:
    """What makes pods that stay, by kind and name."""
    found = [one for one in documents(manifests) if isinstance(one.get("spec", {}).get("template"), dict)]
    return {
        f"{one['kind']} {one['metadata']['name']}": one["spec"]["template"] for one in found if one["kind"] != "Job"
    }


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("functions.overrides.order-command.most=20", "order-commands"),
        ("feeds.overrides.markets.replicas=3", "market"),
        ("settings.marekt=live", "market"),
    ],
)
def test_name_that_does_not_exist_is_refused_and_those_that_do_are_told(render: Render, given: str, known: str):
    """Left out without a word it would look as if it were done."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        render("production", given)
    name = given.rpartition("=")[0].removesuffix(".most").removesuffix(".replicas")
    assert f"{name}: there is none of this name; there are: " in refused.value.stderr
    assert known in refused.value.stderr


@pytest.mark.requirement("P14", "T8")
def test_brokers_that_want_a_password_get_it_by_reference(render: Render):
    """What it says replaces the component's own word, and nothing but log-in and encryption can be said."""
    entry = "components.access.pubsub\\.kafka"
    login = (f"{entry}[0].name=authType", f"{entry}[0].value=password", f"{entry}[1].name=saslPassword")
    secret = (f"{entry}[1].secretKeyRef.name=kafka-login", f"{entry}[1].secretKeyRef.key=password")
    found = documents(render("production", *login, *secret))
    kafka = [one["spec"]["metadata"] for one in found if one.get("spec", {}).get("type") == "pubsub.kafka"]
    assert len(kafka) == 2
    for metadata in kafka:
        assert [one["value"] for one in metadata if one["name"] == "authType"] == ["password"]
        assert {"name": "saslPassword", "secretKeyRef": {"name": "kafka-login", "key": "password"}} in metadata
        assert {"name": "initialOffset", "value": "oldest"} in metadata
    before = [one for one in documents(render("production")) if one["kind"] in {"Component", "Resiliency"}]
    others = [one for one in found if one["kind"] in {"Component", "Resiliency"}]
    changed = [one["metadata"]["name"] for one, other in zip(before, others, strict=True) if one != other]
    assert changed == ["events", "market"]
    assert "patriot-topics" not in {one["metadata"]["name"] for one in found}, "it knows no password"
    for wrong in (f"{entry}[0].name=initialOffset", f"{entry}[0].name=saslPassword"):
        with pytest.raises(subprocess.CalledProcessError):
            render("production", wrong, f"{entry}[0].value=newest")


@pytest.mark.requirement("P5")
def test_either_gateway_serves_those_who_come_to_the_one_address(render: Render):
    found = documents(render("production", "gateway.replicas=0", "gateway.fallback.replicas=3"))
    [service] = [one["spec"] for one in found if one["kind"] == "Service" and one["metadata"]["name"] == "gateway"]
    pods = {one["metadata"]["name"]: one["spec"] for one in found if one["kind"] == "Deployment"}
    for name, replicas in (("gateway", 0), ("gateway-fallback", 3)):
        assert pods[name]["replicas"] == replicas
        template = pods[name]["template"]
        assert service["selector"].items() <= template["metadata"]["labels"].items()
        [container] = template["spec"]["containers"]
        assert service["ports"][0]["targetPort"] in {port["name"] for port in container["ports"]}
    assert "gateway-fallback" not in {one["metadata"]["name"] for one in documents(render("production"))}


@pytest.mark.requirement("P16")
def test_what_is_critical_goes_to_the_pager(render: Render):
    found = documents(render("production", "monitoring.pager.secret=pager-duty"))
    [config] = [one["spec"] for one in found if one["kind"] == "AlertmanagerConfig"]
    [route] = config["route"]["routes"]
    [pager] = [one for one in config["receivers"] if one["name"] == route["receiver"]]
    assert route["matchers"] == [{"name": "severity", "value": "critical", "matchType": "="}]
    assert pager["pagerdutyConfigs"][0]["routingKey"] == {"name": "pager-duty", "key": "routing-key"}
    [rules] = [one["spec"] for one in found if one["kind"] == "PrometheusRule"]
    labels = [rule["labels"] for group in rules["groups"] for rule in group["rules"]]
    assert {one["severity"] for one in labels} == {"critical", "warning"}
    assert {one["namespace"] for one in labels} == {"patriot"}, "the operator's Alertmanager routes by it"
    assert "AlertmanagerConfig" not in {one["kind"] for one in documents(render("production"))}


@pytest.mark.requirement("P19", "B13")
@pytest.mark.parametrize(("environment", "direct"), [("dev", set()), ("production", {"market-0"})])
def test_market_data_goes_past_the_sidecar(render: Render, environment: str, direct: set[str]):
    told = {name: environment_of(one) for name, one in containers(render(environment))}
    assert {name for name, one in told.items() if "PATRIOT_KAFKA" in one} == direct


@pytest.mark.requirement("P4")
@pytest.mark.parametrize(("environment", "made"), [("dev", False), ("staging", True), ("production", True)])
def test_topics_are_made_before_anything_publishes(render: Render, environment: str, *, made: bool):
    """Redis makes a stream with its first message; everybody else has to be told of partitions, copies and queues."""
    found = {one["metadata"]["name"]: one for one in documents(render(environment)) if one["kind"] == "Job"}
    assert ("patriot-topics" in found) == made
    if made:
        job = found["patriot-topics"]
        assert job["metadata"]["annotations"]["helm.sh/hook"] == "pre-install,pre-upgrade"
        [container] = job["spec"]["template"]["spec"]["containers"]
        command, folder, make = container["args"]
        assert (command, make) == ("topics", "--make")
        read = {
            word for path in (ROOT / Path(folder).relative_to("/app")).iterdir() for word in path.read_text().split()
        }
        brokers = {f"PATRIOT_{name}}}" for name in ("KAFKA", "NATS", "RABBITMQ")}
        assert brokers <= read
        assert {name.removesuffix("}") for name in brokers} <= environment_of(container).keys()


@pytest.mark.requirement("P14", "P21")
def test_changed_secret_is_taken_up_by_every_pod(render: Render):
    """Kubernetes starts no pod anew for a secret, and Knative knows no restart: another template does both."""
    before, after = templates(render("production")), templates(render("production", "restartedAt=1763690171"))
    assert len(before) > 20
    for name, template in after.items():
        assert template["metadata"]["annotations"].pop("patriot/restarted-at") == "1763690171", name
        assert before[name]["metadata"]["annotations"].pop("patriot/restarted-at") == ""
    assert before == after


@pytest.mark.requirement("P3", "P14")
def test_only_functions_with_reports_know_the_replica(render: Render):
    def knowing(*changes: str) -> dict[str, Any]:
        return {
            name: variable["valueFrom"]["secretKeyRef"]
            for name, pod in pod_specs(render("production", *changes))
            for variable in pod["containers"][0].get("env", ())
            if variable["name"] == "PATRIOT_DATABASE_REPLICA_URL"
        }

    reference = {"name": "patriot-database", "key": "replica-url"}
    with_reports = ("Service analytics-queries", "Service portfolio-queries")
    assert knowing("secrets.replica=patriot-database") == dict.fromkeys(with_reports, reference)
    assert knowing() == {}


@pytest.mark.requirement("P14")
def test_only_the_gateway_is_open_to_the_outside(render: Render):
    manifests = documents(render("production"))
    policies = [document for document in manifests if document["kind"] == "NetworkPolicy"]
    assert any(p["spec"]["podSelector"] == {} and p["spec"]["policyTypes"] == ["Ingress", "Egress"] for p in policies)
    open_to_all = [
        p["metadata"]["name"] for p in policies for rule in p["spec"].get("ingress", []) if "from" not in rule
    ]
    assert open_to_all == ["gateway"]
    services = [document for document in manifests if document["kind"] == "Service" and document["apiVersion"] == "v1"]
    assert [s["metadata"]["name"] for s in services if s["spec"].get("type", "ClusterIP") != "ClusterIP"] == ["gateway"]
    for service in manifests:
        if service["apiVersion"].startswith("serving.knative.dev"):
            assert service["metadata"]["labels"]["networking.knative.dev/visibility"] == "cluster-local"


@pytest.mark.requirement("C3", "B14")
@pytest.mark.parametrize("environment", ENVIRONMENTS)
def test_only_what_a_person_waits_for_may_sleep(render: Render, environment: str):
    parts = {
        part["name"]: part for part in yaml.safe_load((ROOT / CHART / "files/parts.yaml").read_text())["functions"]
    }
    for document in documents(render(environment)):
        if not document["apiVersion"].startswith("serving.knative.dev"):
            continue
        part, template = parts.pop(document["metadata"]["name"]), document["spec"]["template"]
        told = {name.partition("/")[2]: value for name, value in template["metadata"]["annotations"].items()}
        least, most = int(told["min-scale"]), int(told["max-scale"])
        assert least >= 1 or part["class"] == "request"
        assert (told.get("target-burst-capacity") == "0") == (part["class"] == "order-path")
        if environment == "production":
            assert (least, most) == (part["replicas"]["least"], part["replicas"]["most"])
    assert not parts


@pytest.mark.requirement("P5")
@pytest.mark.parametrize("colour", ["", "blue", "green"])
def test_gateway_sends_to_services_that_exist(render: Render, colour: str):
    manifests = documents(render("production", f"blueGreen.active={colour}"))
    [config] = [
        d["data"]["kong.yml"] for d in manifests if d["kind"] == "ConfigMap" and d["metadata"]["name"] == "gateway"
    ]
    kong: Any = yaml.safe_load(config)
    namespace = {"": "patriot", "blue": "patriot-blue", "green": "patriot-green"}[colour]
    services = {d["metadata"]["name"]: d["spec"] for d in manifests if d["kind"] == "Service"}
    for upstream in kong["upstreams"]:
        [target] = upstream["targets"]
        service, _, port = target["target"].partition(f".{namespace}.svc.cluster.local:")
        part = upstream["name"].rstrip("-0123456789")
        assert upstream["host_header"] == f"{part}.{namespace}.svc.cluster.local"
        if service != part:  # a feed: who stands by gets no requests
            assert upstream["healthchecks"]["active"]["http_path"] == WORK_PATH
            assert services[service]["clusterIP"] == "None", "each pod is an address with a health of its own"
            assert [str(one["port"]) for one in services[service]["ports"]] == [port]
        else:
            assert port == "80"
        assert upstream["healthchecks"]["active"]["healthy"]["interval"] == 30
        assert part in services


@pytest.mark.requirement("P6", "P20")
def test_gateway_has_a_way_to_the_pods_of_each_shard(render: Render):
    """And chooses it by the number that the shard's own pods have been told."""
    manifests = documents(render("production", "feeds.shards.market=3"))
    [config] = [d["data"]["kong.yml"] for d in manifests if d["kind"] == "ConfigMap" and "kong.yml" in d["data"]]
    kong: Any = yaml.safe_load(config)
    ways = {one["name"]: one["targets"][0]["target"].partition(".")[0] for one in kong["upstreams"]}
    services = {d["metadata"]["name"]: d["spec"] for d in manifests if d["kind"] == "Service"}
    sets = {d["metadata"]["name"]: d["spec"]["template"] for d in manifests if d["kind"] == "StatefulSet"}
    for number in range(3):
        selector = services[ways[f"market-data-{number}"]]["selector"]
        [pods] = [pod for pod in sets.values() if selector.items() <= pod["metadata"]["labels"].items()]
        assert environment_of(pods["spec"]["containers"][0])["PATRIOT_SHARD"] == f"{number}/3"
    assert config.count("% 3)") == 3


@pytest.mark.requirement("T10")
def test_a_colour_that_sleeps_takes_no_events(render: Render):
    manifests = documents(render("production", "active=false"))
    assert "Subscription" not in {document["kind"] for document in manifests}
    for document in manifests:
        assert "dapr.io/app-port" not in str(document)
        if (
            document["kind"] in {"StatefulSet", "Deployment"}
            and document["metadata"]["labels"].get("app.kubernetes.io/component") == "feed"
        ):
            assert document["spec"]["replicas"] == 0


@pytest.mark.requirement("C2")
def test_monitors_select_what_is_there(render: Render):
    manifests = documents(render("production"))
    components = [
        document["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"]
        for document in manifests
        if document["kind"] in {"StatefulSet", "Deployment"} or document["apiVersion"].startswith("serving.knative.dev")
    ]
    selected = {
        document["spec"]["selector"]["matchLabels"]["app.kubernetes.io/component"]
        for document in manifests
        if document["kind"] in {"PodMonitor", "ServiceMonitor"}
    }
    assert selected == {"function", "feed", "gateway"} == set(components) - {"backup"}


def containers(manifests: str) -> Iterator[tuple[str, Any]]:
    """Every function's and feed's own container, by its part."""
    for name, pod in pod_specs(manifests):
        for container in pod["containers"]:
            if container["name"] in {"function", "feed"}:
                yield name.split()[1], container


def environment_of(container: Any) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container["env"]}


@pytest.mark.requirement("C4", "B14")
def test_every_shard_knows_its_number_and_has_a_standby(render: Render):
    manifests = render("production", "feeds.shards.market=3")
    told = {name: environment_of(one).get("PATRIOT_SHARD") for name, one in containers(manifests)}
    assert [told[f"market-{number}"] for number in range(3)] == ["0/3", "1/3", "2/3"]
    assert told["accounts-0"] == "0/1"
    sets = {one["metadata"]["name"]: one for one in documents(manifests) if one["kind"] == "StatefulSet"}
    assert {name: one["spec"]["replicas"] for name, one in sets.items()} == {
        "market-0": 2,
        "market-1": 2,
        "market-2": 2,
        "accounts-0": 2,
        "venue": 1,  # its journal has one writer
    }
    for one in sets.values():  # who stands by takes no events: its sidecar asks
        annotations = one["spec"]["template"]["metadata"]["annotations"]
        told = {name.removeprefix("dapr.io/"): text for name, text in annotations.items()}
        assert told["enable-app-health-check"] == "true"
        assert told["app-health-check-path"] == WORK_PATH
        assert int(told["app-health-probe-timeout"]) <= 1000 * int(told["app-health-probe-interval"]), "Dapr's own rule"
        assert int(told["app-health-threshold"]) > 1, "one slow answer must not cost a rebalance of the consumers"


@pytest.mark.requirement("A6", "C4")
def test_no_sidecar_that_asks_for_health_delivers_in_bulk():
    """In daprd 1.14 a bulk subscription that was stopped with messages under way stays deaf when it starts again."""
    parts = yaml.safe_load((ROOT / CHART / "files/parts.yaml").read_text())
    assert any("bulkSubscribe" in entry for part in parts["functions"] for entry in part["subscriptions"])
    assert not [host["name"] for host in parts["hosts"] for entry in host["subscriptions"] if "bulkSubscribe" in entry]


@pytest.mark.requirement("T10", "C2")
def test_every_process_and_the_migration_before_it_know_the_version_of_the_chart(render: Render):
    manifests = render("production", "image.tag=9.9.9")
    found = [pod["containers"][0] for _, pod in pod_specs(manifests)]
    started = [one for one in found if one.get("args", [""])[0] in {"serve", "migrate"}]
    assert {one["args"][0] for one in started} == {"serve", "migrate"}
    assert {environment_of(one).get("PATRIOT_CHART_VERSION") for one in started} == {__version__}


@pytest.mark.requirement("P14", "C4")
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_built_in_exchange_is_reached_from_every_part_and_from_nowhere_else(render: Render, environment: str):
    manifests = render(environment, "feeds.venuePort=8111")
    parts = {name: environment_of(container) for name, container in containers(manifests)}
    venue = parts.pop("venue")
    assert venue["PATRIOT_VENUE_PORT"] == "8111"
    assert "PATRIOT_VENUE_AT" not in venue
    assert {told["PATRIOT_VENUE_AT"] for told in parts.values()} == {"venue:8111"}
    found = documents(manifests)
    [service] = [one for one in found if one["kind"] == "Service" and one["metadata"]["name"] == "venue"]
    assert {"name": "wire", "port": 8111, "targetPort": "wire"} in service["spec"]["ports"]
    doors = [
        rule
        for policy in found
        if policy["kind"] == "NetworkPolicy"
        for rule in policy["spec"].get("ingress", [])
        if {"port": 8111} in rule.get("ports", [])
    ]
    [component] = doors[0]["from"][0]["podSelector"]["matchExpressions"]
    assert len(doors) == 1
    assert component["values"] == ["function", "feed"]
