"""Runs every benchmark and writes `docs/benchmarks.md`: figures, ratios, the machine they were taken on.

A benchmark is a module `tests/bench/bench_<name>.py` with `run() -> list[dict]`; each row has name, value, unit, and
where they exist ratio, peer (what the ratio is to) and target.
"""

import importlib
import os
import pkgutil
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

import tests.bench

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

Measured by `make bench`. Each ratio compares with a limit or a peer measured in the same run, interleaved. Machines
are noisy: read ratios, not single times. Peers are measured where `PATRIOT_PEERS` names a Python that has them.
"""

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


def _lines(path: str) -> list[str]:
    try:
        return Path(path).read_text().splitlines()
    except OSError:
        return []


def markdown(results: Mapping[str, Rows]) -> str:
    parts = [INTRODUCTION, f"Machine: {machine()}. Taken {datetime.now(UTC):%Y-%m-%d}.\n"]
    for name, rows in results.items():
        parts.append(f"## {name.removeprefix('bench_').replace('_', ' ')}\n")
        parts.append("| what | value | unit | ratio | compared with | target |\n|---|---|---|---|---|---|")
        parts += ["| " + " | ".join(_cells(row)) + " |" for row in rows]
        parts.append("")
    return "\n".join(parts)


def _cells(row: Mapping[str, Any]) -> list[str]:
    return [_text(row.get(key)) for key in ("name", "value", "unit", "ratio", "peer", "target")]


def _text(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return "" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def show(console: Console, name: str, rows: Rows) -> None:
    table = Table("what", "value", "unit", "ratio", "compared with", "target", title=name.removeprefix("bench_"))
    for row in rows:
        table.add_row(*_cells(row))
    console.print(table)


def main(chosen: Sequence[str]) -> int:
    console = Console()
    wanted = [name for name in names() if not chosen or name.removeprefix("bench_") in chosen]
    if not wanted:
        console.print(f"no such benchmark; there are: {', '.join(name.removeprefix('bench_') for name in names())}")
        return 2
    results: dict[str, Rows] = {}
    columns = (TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("benchmarks", total=len(wanted))
        for name in wanted:
            progress.update(task, description=name)
            results[name] = importlib.import_module(f"tests.bench.{name}").run()
            show(console, name, results[name])
            progress.advance(task)
    if not chosen:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(markdown(results))
        console.print(f"written to {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
