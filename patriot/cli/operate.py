"""Running it: `patriot up`, `doctor`, `migrate`, `rebuild`. Rule: only what runs the platform imports it."""

import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from patriot.cli.common import Json, quiet_logs, state_of
from patriot.cli.output import UNSOUND, done, show
from patriot.cli.tables import Column, plain_text, table


class Broker(StrEnum):
    """What `up --dapr` may run on."""

    REDIS = "redis"
    NATS = "nats"
    KAFKA = "kafka"
    RABBITMQ = "rabbitmq"
    ALL = "all"


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def up(
    context: typer.Context,
    live: Annotated[bool, typer.Option("--live", help="Prices of the real exchanges, not synthetic ones.")] = False,
    seed: Annotated[int | None, typer.Option(help="Of the synthetic market.")] = None,
    port: Annotated[int | None, typer.Option(help="Of the public edge; 0 = any free one.")] = None,
    demo: Annotated[bool, typer.Option(help="Make the demo user, account, strategy and first order.")] = True,
    plain: Annotated[bool, typer.Option("--plain", help="Print lines instead of the live screen.")] = False,
    seconds: Annotated[float | None, typer.Option(help="Stop by itself after so long.")] = None,
    dapr: Annotated[bool, typer.Option("--dapr", help="Every part a process beside its own Dapr sidecar.")] = False,
    broker: Annotated[Broker, typer.Option(help="With --dapr; `all` = each topic on the broker that suits it.")] = (
        Broker.REDIS
    ),
    as_json: Json = False,
) -> None:
    """Run the platform: market, orders, portfolio. Ctrl-C stops everything, the database too."""
    listen()
    from patriot.cli import running

    given = {"seed": seed, "port": port, "market": "live" if live else None, "demo": None if demo else False}
    state = state_of(context, as_json)
    chosen = {name: value for name, value in given.items() if value is not None}
    running.up(state, chosen, seconds, plain=plain, broker=broker.value if dapr else "")


def serve(
    context: typer.Context,
    parts: Annotated[list[str], typer.Argument(help="Functions and feeds; the first gives the app its id.")],
) -> None:
    """Serve some parts beside a Dapr sidecar: one process of a cluster."""
    listen()
    from patriot.cli import running

    running.serve_parts(state_of(context, as_json=False), parts)


def topics(
    context: typer.Context,
    components: Annotated[Path, typer.Argument(help="A folder of Dapr components.")],
    make: Annotated[bool, typer.Option("--make", help="Make what is missing; without it, only look.")] = False,
    as_json: Json = False,
) -> None:
    """Check, or make, every topic on the brokers of these components; check the components' settings, too."""
    from patriot.cli import upkeep

    quiet_logs()
    state = state_of(context, as_json)
    found = upkeep.topics(state, components, make=make)
    show({"wrong": found}, as_json=state.as_json, text="\n".join(found) or done("every topic is as it should be"))
    if found:
        raise typer.Exit(UNSOUND)


def listen() -> None:
    """A signal that comes before there is anything to stop just ends the command."""
    for name in STOP_SIGNALS:
        signal.signal(name, _end)


def _end(_number: int, _frame: object) -> NoReturn:
    raise SystemExit(0)


def migrate(context: typer.Context, as_json: Json = False) -> None:
    """Bring the database to the newest schema, and check its roles."""
    from patriot.cli import upkeep

    quiet_logs()
    state = state_of(context, as_json)
    version = upkeep.migrate(state)
    show({"migrated": True, "version": version}, as_json=state.as_json, text=done(f"the schema is current: {version}"))


def rebuild(context: typer.Context, as_json: Json = False) -> None:
    """Empty the read models, fold every event again, and tell whether the rows are what they were."""
    from patriot.cli import upkeep

    quiet_logs()
    state = state_of(context, as_json)
    result = upkeep.rebuild(state)
    different = [row for row in result["tables"] if row["different"]]
    columns = (
        plain_text("table"),
        Column("rows", lambda row: f"{row['rows']:,}", right=True),
        Column("", lambda row: f"{row['different']:,} different" if row["different"] else "equal"),
    )
    if not state.as_json:
        show({}, as_json=False, text=table(columns, result["tables"]))
    text = f"rebuilt from {result['events']:,} events in {result['seconds']:.1f} s"
    text += f"; {result['behind']:,} of them the rows did not have yet" if result["behind"] else ""
    show(result, as_json=state.as_json, text=done(text))
    if different and not result["behind"]:
        raise typer.Exit(UNSOUND)


def doctor(context: typer.Context, as_json: Json = False) -> None:
    """Check what the platform needs and how it is; say what to do about what is wrong."""
    from patriot.cli import doctor as checks

    quiet_logs()
    state = state_of(context, as_json)
    found = checks.run(state.data_dir)
    columns = [plain_text(name) for name in ("state", "check", "finding")]
    if any(finding["advice"] for finding in found):
        columns.append(plain_text("advice"))
    show(found, as_json=state.as_json, text=table(columns, found))
    if any(check["state"] == "wrong" for check in found):
        raise typer.Exit(UNSOUND)


def register(app: typer.Typer) -> None:
    for command in (up, serve, topics, doctor, migrate, rebuild):
        app.command()(command)
