"""`patriot replay FILE…`: recorded market data through the whole platform."""

import asyncio
import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from patriot.cli.common import wants_json
from patriot.cli.orders import Json
from patriot.cli.output import REFUSED, UNSOUND, USAGE, errors, fail, show
from patriot.protocols.errors import ProtocolError
from patriot.replay import ReplayPlan, ReplayResult, replay
from patriot.telemetry.logs import configure_logs


def run(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(help="recordings; several are played one after the other")],
    strategy: Annotated[str, typer.Option(help="a name of the catalogue")] = "ema_cross",
    parameters: Annotated[str, typer.Option(help="of the strategy, as JSON")] = '{"bar_seconds":1,"notional":"1000"}',
    seed: Annotated[int, typer.Option(help="two replays with one seed are equal to the byte")] = 1,
    as_json: Json = False,
) -> None:
    """Replay recordings with a strategy: orders, fills and a balanced ledger at the end."""
    as_json = wants_json(context, as_json)
    missing = [str(path) for path in files if not path.is_file()]
    if missing:
        fail(f"no such file: {', '.join(missing)}", USAGE, as_json=as_json)
    configure_logs(level="error", form="console")
    plan = ReplayPlan(files, strategy, orjson.loads(parameters), seed)
    started = time.perf_counter()
    try:
        result = _with_progress(plan)
    except ProtocolError as error:
        fail(str(error), REFUSED, as_json=as_json)
    seconds = time.perf_counter() - started
    data = {**asdict(result), "seconds": round(seconds, 3), "messages_per_second": int(result.messages / seconds)}
    show(data, as_json=as_json, table=_table(result, seconds))
    if result.unbalanced:
        fail(f"the ledger does not balance: {result.unbalanced}", UNSOUND, as_json=as_json)


def _with_progress(plan: ReplayPlan) -> ReplayResult:
    columns = (TextColumn("replaying"), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True) as progress:
        task = progress.add_task("", total=sum(path.stat().st_size for path in plan.files))
        return asyncio.run(replay(plan, lambda count: progress.advance(task, count)))


def _table(result: ReplayResult, seconds: float) -> Table:
    table = Table(show_header=False, box=None)
    statuses = ", ".join(f"{count} {status}" for status, count in sorted(result.statuses.items()))
    for name, text in (
        ("recorded", f"{result.started_at:%Y-%m-%d %H:%M:%S} to {result.ended_at:%H:%M:%S} UTC"),
        ("messages", f"{result.messages:,} in {seconds:.1f} s, {result.messages / seconds:,.0f} per second"),
        ("orders", f"{result.orders} ({statuses}), {result.fills} fills"),
        ("profit", f"{result.realised_pnl:,.2f} realised, {result.fees:,.2f} fees"),
        ("ledger", "balanced" if not result.unbalanced else f"NOT balanced: {result.unbalanced}"),
        ("events", f"{result.events:,}, hash {result.event_hash[:16]}"),
    ):
        table.add_row(f"[dim]{name}[/]", text)
    return table


def register(app: typer.Typer) -> None:
    app.command("replay")(run)
