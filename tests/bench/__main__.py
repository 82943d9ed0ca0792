"""Runs every benchmark and writes `docs/benchmarks.md`: figures, ratios, the machine they were taken on.

    python -m tests.bench [NAME…]                      all, or these; only all of them rewrite the page

A benchmark is a module `tests/bench/bench_<name>.py` with `run() -> list[dict]`; each row has name, value, unit, and
where they exist worst, ratio, peer (what the ratio is to) and target. Each runs in a process of its own, so that none
inherits another's memory, and one that fails or hangs costs the page its rows and nothing else.
"""

import importlib
import json
import os
import pkgutil
import platform
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import tests.bench
from tests.bench import peers

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

Measured by `make bench`. Each ratio compares with a limit or a peer measured in the same run, interleaved. Machines
are noisy: read ratios, not single times. Peers come from PyPI into environments of their own (`tests/bench/peers.py`).
"""
SECONDS_MAX = 420
"""Of one benchmark; on a quiet machine all together take less than a quarter of an hour."""
LOAD_MAX = 0.5
"""Load per processor before the run: beyond it the page says that the machine was busy."""
COLUMNS = ("name", "value", "worst", "unit", "ratio", "peer", "target")
HEADINGS = ("what", "value", "worst", "unit", "ratio", "compared with", "target")

Rows = Sequence[Mapping[str, Any]]


def names() -> list[str]:
    found = (info.name for info in pkgutil.iter_modules(tests.bench.__path__))
    return sorted(name for name in found if name.startswith("bench_"))


def machine() -> str:
    cpu = next((line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if "model name" in line), "unknown")
    memory = next((line.split()[1] for line in _lines("/proc/meminfo") if line.startswith("MemTotal")), "0")
    gib = int(memory) / 2**20
    system = f"{platform.system()} {platform.release()}, Python {platform.python_version()}"
    return f"{os.cpu_count()} × {cpu}, {gib:.0f} GiB, {system}"


def busy() -> str:
    """A warning where others use the machine."""
    load = os.getloadavg()[0]
    return f" The machine was busy: load {load:.1f} before the run." if load > LOAD_MAX * (os.cpu_count() or 1) else ""


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def markdown(results: Mapping[str, Rows], warning: str) -> str:
    parts = [INTRODUCTION, f"Machine: {machine()}. Taken {datetime.now(UTC):%Y-%m-%d}.{warning}\n"]
    for name, rows in results.items():
        parts.append(f"## {name.removeprefix('bench_').replace('_', ' ')}\n")
        parts.append(f"| {' | '.join(HEADINGS)} |\n|{'---|' * len(HEADINGS)}")
        parts += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [_text(row.get(key)) for key in COLUMNS]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def show(console: Console, name: str, rows: Rows) -> None:
    table = Table(*HEADINGS, title=name.removeprefix("bench_"))
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def measure(name: str, variables: Mapping[str, str]) -> Rows:
    """Run one benchmark in a process of its own; a row that says so where it fails."""
    with tempfile.NamedTemporaryFile(suffix=".json") as answer, tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", "tests.bench", "--into", answer.name, name]
        process = subprocess.Popen(
            command, cwd=PAGE.parents[1], env={**os.environ, **variables}, stdout=errors, stderr=errors
        )
        try:
            failed = process.wait(SECONDS_MAX) != 0
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait()
            return [{"name": f"not measured: it took more than {SECONDS_MAX} s"}]
        if failed:
            errors.seek(0)
            told = errors.read().decode(errors="replace").strip().splitlines()
            return [{"name": f"not measured: {told[-1] if told else 'it ended without a word'}"}]
        return json.loads(Path(answer.name).read_bytes())  # type: ignore[no-any-return]


def main(chosen: Sequence[str]) -> int:
    console = Console()
    wanted = [name for name in names() if not chosen or name.removeprefix("bench_") in chosen]
    if not wanted:
        console.print(f"no such benchmark; there are: {', '.join(name.removeprefix('bench_') for name in names())}")
        return 2
    results: dict[str, Rows] = {}
    warning = busy()
    columns = (TextColumn("{task.completed}/{task.total} {task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("peers", total=len(wanted))
        variables = peers.find(console.print)
        for name in wanted:
            progress.update(task, description=name)
            results[name] = measure(name, variables)
            show(console, name, results[name])
            progress.advance(task)
    if not chosen:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(markdown(results, warning))
        console.print(f"written to {PAGE}")
    return 0


def run_into(path: str, name: str) -> int:
    """The other end of `measure`."""
    rows = importlib.import_module(f"tests.bench.{name}").run()
    Path(path).write_text(json.dumps(rows, default=str))
    return 0


if __name__ == "__main__":
    arguments = sys.argv[1:]
    sys.exit(run_into(*arguments[1:]) if arguments[:1] == ["--into"] else main(arguments))
