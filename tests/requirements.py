"""Which requirement ids have a passing test, and which have none.

As a pytest plugin it remembers, per id of `@pytest.mark.requirement(...)`, the outcome of each test of the newest full
or partial run (kept in `.pytest_cache/requirements.json`, newer results replacing older ones). As a program it prints
the table.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parents[1] / ".pytest_cache" / "requirements.json"
COUNTS = {"C": 5, "P": 22, "T": 11, "B": 14, "A": 8}

PROPERTY = "requirement"

Outcomes = dict[str, dict[str, str]]
"""Requirement id -> test -> "passed", "failed" or "skipped"."""


def all_ids() -> Iterator[str]:
    for letter, count in COUNTS.items():
        yield from (f"{letter}{number}" for number in range(1, count + 1))


class Recorder:
    """Collects the outcomes of one run."""

    def __init__(self) -> None:
        self._outcomes: Outcomes = {}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = set(all_ids())
        for item in items:
            ids = tuple(one for mark in item.iter_markers("requirement") for one in mark.args)
            unknown = set(ids) - known
            if unknown:
                raise pytest.UsageError(f"{item.nodeid}: there is no requirement {', '.join(sorted(unknown))}")
            item.user_properties.extend((PROPERTY, one) for one in ids)  # travels with the reports of other processes

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for one in [value for name, value in report.user_properties if name == PROPERTY]:
            outcomes = self._outcomes.setdefault(one, {})
            if report.when == "call" or report.outcome != "passed":
                outcomes[report.nodeid] = report.outcome

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if not self._outcomes or hasattr(session.config, "workerinput"):  # a worker's reports reach the main process
            return
        merged = load()
        for one, tests in self._outcomes.items():
            merged[one] = {**merged.get(one, {}), **tests}
        RESULTS.parent.mkdir(exist_ok=True)
        RESULTS.write_text(json.dumps(merged, indent=1, sort_keys=True))


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(Recorder(), "patriot-requirements")


def load() -> Outcomes:
    try:
        found: Outcomes = json.loads(RESULTS.read_text())
    except FileNotFoundError:
        return {}
    return found


def table(outcomes: Mapping[str, Mapping[str, str]]) -> Table:
    result = Table("id", "passing tests", "failing", "an example", title="Requirements")
    for one in all_ids():
        tests = outcomes.get(one, {})
        passed = [name for name, outcome in tests.items() if outcome == "passed"]
        failed = [name for name, outcome in tests.items() if outcome == "failed"]
        style = "red" if failed else "green" if passed else "dim"
        example = passed[0].rpartition("/")[2] if passed else "none yet"
        result.add_row(one, str(len(passed)), str(len(failed)), example, style=style)
    return result


def main() -> int:
    outcomes = load()
    if not outcomes:
        sys.stderr.write("no results yet: run `make test` first\n")
        return 1
    proved = [one for one in all_ids() if "passed" in outcomes.get(one, {}).values()]
    console = Console()
    console.print(table(outcomes))
    console.print(f"{len(proved)} of {sum(COUNTS.values())} requirement ids have a passing test")
    return 0


if __name__ == "__main__":
    sys.exit(main())
