"""What is generated is what is committed, and what it names exists."""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from patriot import __version__
from patriot.deploy.__main__ import CHART, ROOT, files
from patriot.deploy.dashboards import DASHBOARDS, OTHERS
from patriot.deploy.parts import RANGES
from patriot.telemetry.metrics import Metrics
from schemas.gateway import POLICY

ENVIRONMENTS = ("dev", "staging", "production")
VALUES: dict[str, Any] = yaml.safe_load((ROOT / CHART / "values.yaml").read_text(encoding="utf-8"))
SCHEMA: dict[str, Any] = json.loads((ROOT / CHART / "values.schema.json").read_text(encoding="utf-8"))
ALERTS: dict[str, Any] = yaml.safe_load((ROOT / CHART / "files/alerts.yaml").read_text(encoding="utf-8"))
GENERATED = dict(files())
PROCESS = {"process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"}


@pytest.mark.requirement("C2")
@pytest.mark.parametrize("path", GENERATED, ids=str)
def test_committed_file_is_what_discovery_gives(path: Path):
    assert (ROOT / path).read_text(encoding="utf-8") == GENERATED[path], "run `make generate`"


@pytest.mark.parametrize("folder", ["dashboards", "components"])
def test_nothing_generated_outlives_its_source(folder: str):
    present = {path.relative_to(ROOT) for path in (ROOT / CHART / "files" / folder).rglob("*.*") if path.is_file()}
    assert present
    assert present <= GENERATED.keys(), "run `make generate`"


@pytest.mark.requirement("P14")
def test_components_of_the_chart_read_secrets_and_no_environment():
    texts = [text for path, text in GENERATED.items() if "files/components/" in str(path)]
    assert any("secretKeyRef" in text for text in texts)
    assert not [text for text in texts if "envRef" in text or "secretstores.kubernetes" in text]


def test_readme_has_a_meaning_for_every_value():
    rows = [line for line in GENERATED[CHART / "README.md"].splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert not [row for row in rows if row.endswith("|  |")]


# --- values ---
def merged(base: Any, over: Any) -> Any:
    if not (isinstance(base, dict) and isinstance(over, dict)):
        return over
    return {**base, **{name: merged(base.get(name), value) for name, value in over.items()}}


def environment(name: str) -> Any:
    return merged(VALUES, yaml.safe_load((ROOT / CHART / f"values-{name}.yaml").read_text(encoding="utf-8")))


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_values_of_every_environment_are_valid(name: str):
    jsonschema_rs.validator_for(SCHEMA).validate(environment(name))


@pytest.mark.parametrize(
    ("path", "bad"),
    [
        ("functions.classes.order-path.concurrency", 5000),
        ("functions.classes.order-path.scaleDownDelay", "soon"),
        ("functions.overrides", {"auth": {"replica": 3}}),
        ("feeds.shards.market", 0),
        ("feeds.shards.marke", 2),
        ("dapr.metricsPort", 9090),
        ("gateway.origins", ["*"]),
        ("gateway.publicKeys", {"a": "-----BEGIN EC PRIVATE KEY-----"}),
        ("secrets.provider", "file"),
        ("settings", {"database_url": "postgres://user:password@host/patriot"}),
        ("image.digest", "latest"),
        ("restore.to", "yesterday"),
        ("scale", "huge"),
    ],
)
def test_bad_value_is_refused_by_the_schema(path: str, bad: Any):
    *folders, name = path.split(".")
    over: Any = {name: bad}
    for folder in reversed(folders):
        over = {folder: over}
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(merged(VALUES, over))


@pytest.mark.requirement("B14")
def test_feeds_of_production_lie_in_the_ranges_of_their_roles():
    """A host's pods are shards times replicas, and count for each feed inside."""
    feeds = environment("production")["feeds"]
    hosts = yaml.safe_load(GENERATED[CHART / "files/parts.yaml"])["hosts"]
    for host in hosts:
        elastic = feeds["autoscale"].get(host["name"])
        pods = feeds["shards"].get(host["name"], 1) * feeds["replicas"]
        for role in (RANGES[name] for name in host["feeds"] if name in RANGES):
            assert (elastic["least"], elastic["most"]) == role if elastic else role.least <= pods <= role.most
    assert (feeds["autoscale"]["stream"]["least"], feeds["autoscale"]["stream"]["most"]) == RANGES["stream"]


def test_origins_are_those_of_the_policy():
    assert VALUES["gateway"]["origins"] == list(POLICY.cross_origin.origins)


# --- alerts and dashboards ---
def known_metrics() -> set[str]:
    """Every series name that the code can export."""
    found = set(PROCESS)
    for family in Metrics().registry.collect():
        total = f"{family.name}_total" if family.type == "counter" else family.name
        found |= {total, f"{family.name}_bucket", f"{family.name}_sum", f"{family.name}_count"}
    return found


def asked_metrics(query: str) -> set[str]:
    """Names in a query that are neither functions nor labels."""
    without_labels = re.sub(r"\{[^}]*\}|\b(?:by|without)\s*\([^)]*\)|\[[^\]]*\]|\"[^\"]*\"", " ", query)
    return {
        name for name in re.findall(r"[a-z_][a-z0-9_]*(?!\w*\s*\()\b", without_labels) if "_" in name or name == "up"
    }


QUERIES = {
    **{f"dashboard {name}: {panel.title}": panel.query for name, panels in DASHBOARDS.items() for panel in panels},
    **{f"alert {rule['alert']}": rule["expr"] for group in ALERTS["groups"] for rule in group["rules"]},
}


@pytest.mark.requirement("P16")
@pytest.mark.parametrize("name", QUERIES)
def test_query_names_only_metrics_that_exist(name: str):
    asked = asked_metrics(QUERIES[name]) - {"histogram_quantile"}
    assert asked
    assert {metric for metric in asked if not metric.startswith(OTHERS)} <= known_metrics()


@pytest.mark.requirement("P16", "A8")
def test_every_metric_is_on_a_dashboard_or_in_an_alert():
    asked = {metric for query in QUERIES.values() for metric in asked_metrics(query)}
    for family in Metrics().registry.collect():
        names = {family.name, f"{family.name}_total", f"{family.name}_bucket"}
        assert names & asked, f"nobody looks at {family.name}"


def test_a_metric_that_does_not_exist_would_be_found():
    assert asked_metrics('sum by (a_b) (rate(nobody_counts_total{x_y="1_2"}[5m]))') == {"nobody_counts_total"}
    assert "nobody_counts_total" not in known_metrics()


@pytest.mark.requirement("P16")
def test_the_named_alerts_keep_their_definitions():
    rules = {rule["alert"]: rule for group in ALERTS["groups"] for rule in group["rules"]}
    named = {
        "OrderProcessingLatencyHigh": (
            "histogram_quantile(0.95, rate(order_processing_duration_seconds_bucket[5m])) > 5",
            "2m",
        ),
        "FailedOrdersHigh": ("rate(orders_failed_total[5m]) > 0.1", "1m"),
        "CorrelationIDMissing": ("rate(http_requests_without_correlation_id_total[5m]) > 0", "30s"),
    }
    assert {name: (rules[name]["expr"], rules[name]["for"]) for name in named} == named


@pytest.mark.requirement("P16")
def test_the_named_panels_are_there():
    titles = {panel.title: panel.kind for panel in DASHBOARDS["requests"]}
    assert (
        titles.items()
        >= {
            "Request Volume by Correlation ID": "timeseries",
            "End-to-End Latency Distribution": "heatmap",
            "Error Rate by Service": "stat",
            "Trace Completeness": "gauge",
        }.items()
    )
    assert set(DASHBOARDS) == {"requests", "trading", "feeds", "risk", "infrastructure"}


@pytest.mark.requirement("T10")
def test_every_alert_names_a_runbook_that_exists():
    text = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    anchors = {
        re.sub(r"[^\w -]", "", line.lstrip("# ").lower()).replace(" ", "-")
        for line in text.splitlines()
        if line.startswith("#")
    }
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            page, anchor = rule["annotations"]["runbook"].split("#")
            assert page == "docs/operations.md"
            assert anchor in anchors, rule["alert"]


# --- the image ---
@pytest.mark.requirement("T10")
def test_image_gets_the_versions_that_are_tested():
    locks = [(ROOT / name).read_text(encoding="utf-8") for name in ("requirements.lock", "requirements.runtime.lock")]
    tested, shipped = (dict(re.findall(r"^([\w.-]+)==([\w.]+)", text, re.MULTILINE)) for text in locks)
    assert shipped.items() <= tested.items(), "run `make lock`"
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert {re.split(r"[\[>=<;]", name)[0] for name in project["dependencies"]} <= set(shipped)
    assert not {"pytest", "mypy", "ruff"} & set(shipped)


def test_chart_is_made_for_the_version_of_this_code():
    """Else every process that the chart starts would refuse to."""
    chart = yaml.safe_load((ROOT / CHART / "Chart.yaml").read_text(encoding="utf-8"))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert chart["version"] == chart["appVersion"] == project["version"] == __version__


# --- skaffold ---
@pytest.mark.requirement("C2")
def test_skaffold_names_only_what_exists():
    document: Any = yaml.safe_load(GENERATED[Path("skaffold.yaml")])
    [artifact] = document["build"]["artifacts"]
    assert artifact["image"] == VALUES["image"]["repository"]
    assert (ROOT / artifact["docker"]["dockerfile"]).is_file()
    for entry in artifact["sync"]["manual"]:
        assert (ROOT / entry["src"].removesuffix("/**/*.py")).is_dir()
    releases = [
        document["deploy"]["helm"]["releases"],
        *(p["deploy"]["helm"]["releases"] for p in document["profiles"]),
    ]
    for [release] in releases:
        assert (ROOT / release["chartPath"] / "Chart.yaml").is_file()
        assert all((ROOT / name).is_file() for name in release["valuesFiles"])
    assert [profile["name"] for profile in document["profiles"]] == list(ENVIRONMENTS)
    assert document["test"][0]["custom"][0]["command"] == "make check"
