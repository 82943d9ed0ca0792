"""`patriot replay FILE…`, `patriot backtest STRATEGY --data FILE…`: recorded data through the whole platform."""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from patriot.cli.common import Json, state_of
from patriot.cli.figures import money, signed, style_of
from patriot.cli.output import REFUSED, UNSOUND, USAGE, errors, fail, show
from patriot.cli.report import Output, write

if TYPE_CHECKING:
    from patriot.replay import ReplayPlan, ReplayResult

Result = TypeVar("Result")


Files = Annotated[list[Path], typer.Argument(help="Recordings; several are played one after the other.")]
Parameters = Annotated[str, typer.Option(help="Of the strategy, as JSON.")]
Seed = Annotated[int, typer.Option(help="Two replays with one seed are equal to the byte.")]

DEFAULTS = '{"bar_seconds":1,"notional":"1000"}'


def run(
    context: typer.Context,
    files: Files,
    strategy: Annotated[str, typer.Option(help="A name of the catalogue.")] = "ema_cross",
    parameters: Parameters = DEFAULTS,
    seed: Seed = 1,
    as_json: Json = False,
) -> None:
    """Replay recordings with a strategy: orders, fills and a balanced ledger at the end."""
    from patriot.replay import replay

    as_json = state_of(context, as_json).as_json
    plan = _plan(files, strategy, parameters, seed, as_json=as_json)
    started = time.perf_counter()
    result = _attempt(plan, lambda progress: replay(plan, progress), as_json=as_json)
    seconds = time.perf_counter() - started
    data = {**asdict(result), "seconds": round(seconds, 3), "messages_per_second": int(result.messages / seconds)}
    show(data, as_json=as_json, text=_table(result, seconds))
    if result.unbalanced:
        raise typer.Exit(UNSOUND)


def backtest(
    context: typer.Context,
    strategy: Annotated[str, typer.Argument(help="A name of the catalogue: patriot strategy kinds.")],
    data: Annotated[list[Path], typer.Option("--data", help="A recording; repeat it to play several.")],
    parameters: Parameters = DEFAULTS,
    seed: Seed = 1,
    output: Output = Path("backtest.html"),
    as_json: Json = False,
) -> None:
    """Run a strategy over recorded data, with the code that trades, and write a report."""
    from patriot import backtest as tested

    as_json = state_of(context, as_json).as_json
    plan = _plan(data, strategy, parameters, seed, as_json=as_json)
    done = _attempt(plan, lambda progress: tested.backtest(plan, progress), as_json=as_json)
    names = ", ".join(path.name for path in data)
    write(done.view, output, f"{strategy} on {names}", f"back-test, parameters {parameters}", as_json=as_json)
    if done.result.unbalanced:
        raise typer.Exit(UNSOUND)


def _plan(files: list[Path], strategy: str, parameters: str, seed: int, *, as_json: bool) -> "ReplayPlan":
    from patriot.replay import ReplayPlan
    from patriot.telemetry.logs import configure_logs

    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        fail(f"no such file: {', '.join(missing)}", USAGE, as_json=as_json)
    given = _parameters(parameters, as_json=as_json)
    _check_strategy(strategy, given, as_json=as_json)
    configure_logs(level="error", form="console", stream=sys.stderr)
    return ReplayPlan(files, strategy, given, seed)


def _check_strategy(name: str, parameters: dict[str, Any], *, as_json: bool) -> None:
    from pydantic import ValidationError

    from patriot.runtime import discovery

    known = discovery.strategies()
    if name not in known:
        fail(f"there is no strategy {name!r}; there are: {', '.join(sorted(known))}", USAGE, as_json=as_json)
    try:
        known[name].Parameters.model_validate(parameters)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors())
        fail(f"--parameters: {wrong}", USAGE, as_json=as_json)


def _parameters(text: str, *, as_json: bool) -> dict[str, Any]:
    try:
        parameters = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fail(f"--parameters is no JSON: {error}", USAGE, as_json=as_json)
    if not isinstance(parameters, dict):
        fail("--parameters must be a JSON object", USAGE, as_json=as_json)
    return parameters


def _attempt(
    plan: "ReplayPlan", play: Callable[[Callable[[int], None]], Coroutine[None, None, Result]], *, as_json: bool
) -> Result:
    from patriot.protocols.errors import ProtocolError

    columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=errors, transient=True) as progress:
            task = progress.add_task("", total=sum(path.stat().st_size for path in plan.files))
            return asyncio.run(play(lambda count: progress.advance(task, count)))
    except (ProtocolError, OSError) as error:
        fail(str(error), REFUSED, as_json=as_json)


def _table(result: "ReplayResult", seconds: float) -> Table:
    table = Table(show_header=False, box=None, pad_edge=False)
    for name, text in _lines(result, seconds).items():
        table.add_row(Text(name, "dim"), text)
    return table


def _lines(result: "ReplayResult", seconds: float) -> Mapping[str, str | Text]:
    statuses = ", ".join(f"{count:,} {status}" for status, count in sorted(result.statuses.items()))
    pnl = result.realised_pnl
    return {
        "recorded": f"{result.started_at:%Y-%m-%d %H:%M:%S} to {result.ended_at:%H:%M:%S} UTC",
        "messages": f"{result.messages:,} in {seconds:.1f} s, {result.messages / seconds:,.0f} per second",
        "orders": f"{result.orders:,} ({statuses}), {result.fills:,} fills",
        "profit": Text.assemble((signed(pnl), style_of(pnl)), f" realised, {money(result.fees)} fees"),
        "ledger": Text("balanced", "green") if not result.unbalanced else Text(f"{result.unbalanced}", "bold red"),
        "events": f"{result.events:,}, hash {result.event_hash[:16]}",
    }


def register(app: typer.Typer) -> None:
    app.command("replay")(run)
    app.command()(backtest)
