"""Each alert fires when it should and stays silent when it should, asked of the real rule engine."""

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
RULES = ROOT / "charts/patriot/files/alerts.yaml"
CASES = Path(__file__).parent / "alerts/cases.yaml"

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def promtool() -> str:
    found = shutil.which("promtool")
    if found is None:
        pytest.skip("NOT RUN: promtool is not on this machine; install the package prometheus")
    return found


def test_each_alert_has_a_case_where_it_fires_and_one_where_it_is_silent():
    alerts = {rule["alert"] for group in load(RULES)["groups"] for rule in group["rules"]}
    asked = [case for test in load(CASES)["tests"] for case in test["alert_rule_test"]]
    assert {case["alertname"] for case in asked if case["exp_alerts"]} == alerts
    assert {case["alertname"] for case in asked if not case["exp_alerts"]} == alerts


@pytest.mark.requirement("P16", "T9")
def test_alerts_behave(promtool: str, tmp_path: Path):
    assert run(promtool, tmp_path, RULES.read_text(encoding="utf-8")) == ""


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("> 5\n", "> 50\n"), ("> 0.0006", "> 0.00006"), ("for: 30s", "for: 30m"), ("[5m]", "[5h]"), ("== 0", "== 1")],
)
def test_planted_mistake_is_found(promtool: str, tmp_path: Path, right: str, wrong: str):
    text = RULES.read_text(encoding="utf-8")
    assert right in text
    assert "FAILED" in run(promtool, tmp_path, text.replace(right, wrong))


def run(promtool: str, folder: Path, rules: str) -> str:
    """What promtool complains about."""
    (folder / "alerts.yaml").write_text(rules, encoding="utf-8")
    (folder / "cases.yaml").write_text(CASES.read_text(encoding="utf-8"), encoding="utf-8")
    done = subprocess.run(
        [promtool, "test", "rules", "cases.yaml"], cwd=folder, check=False, capture_output=True, text=True
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text(encoding="utf-8"))
