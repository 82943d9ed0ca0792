"""`patriot simulate`: the whole platform in virtual time, with everything that may go wrong. Rule: a seed is a run."""

import importlib
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress
from rich.table import Table

from patriot.cli.common import Json, state_of
from patriot.cli.output import UNSOUND, USAGE, errors, fail, show

SHOWN_MAX = 20


def run(
    context: typer.Context,
    seeds: Annotated[int, typer.Option(min=1, help="How many.")] = 1000,
    first: Annotated[int, typer.Option(min=0, help="The first seed; with --seeds 1 it plays that one again.")] = 0,
    orders: Annotated[int, typer.Option(min=1, max=100, help="Orders per seed.")] = 3,
    as_json: Json = False,
) -> None:
    """Lose, double, delay and kill from many seeds; every rule of the platform must hold after every step."""
    as_json = state_of(context, as_json).as_json
    sys.path.insert(0, str(Path.cwd()))
    try:
        many = importlib.import_module("tests.simulation.many")
    except ModuleNotFoundError:
        fail("the simulation is part of the checkout: run this in its folder", USAGE, as_json=as_json)
    started = time.perf_counter()
    results = []
    with Progress(console=errors, transient=True, disable=as_json) as progress:
        task = progress.add_task("seeds", total=seeds)
        for result in many.run_many(range(first, first + seeds), orders):
            results.append(result)
            progress.advance(task)
    data = _summary(results, time.perf_counter() - started)
    show(data, as_json=as_json, text=_table(data))
    if data["problems"]:
        raise typer.Exit(UNSOUND)


def _summary(results: Sequence[Any], seconds: float) -> dict[str, Any]:
    names = ("orders", "children", "signals", "events", "crashes", "faults")
    sums: dict[str, Any] = {name: sum(getattr(one, name) for one in results) for name in names}
    return {
        "seeds": len(results),
        **sums,
        "virtual_seconds": round(sum(one.seconds for one in results), 1),
        "seconds": round(seconds, 1),
        "journeys_per_second_and_core": round(sums["orders"] / seconds / (os.cpu_count() or 1)),
        "problems": {str(one.seed): list(one.problems) for one in results if one.problems},
    }


def _table(data: dict[str, Any]) -> Table:
    table = Table.grid(padding=(0, 2))
    for name, value in data.items():
        if name != "problems":
            table.add_row(name.replace("_", " "), f"{value:,}")
    table.add_row("problems", str(len(data["problems"])))
    for seed, problems in list(data["problems"].items())[:SHOWN_MAX]:
        table.add_row(f"  seed {seed}", "\n".join(problems))
    return table


def register(app: typer.Typer) -> None:
    app.command("simulate")(run)
