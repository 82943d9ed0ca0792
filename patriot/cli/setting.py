"""`patriot setting …`: what may change while the platform runs. Rule: each change has an author, a reason, an end.

For administrators: set PATRIOT_USERNAME and PATRIOT_PASSWORD.
"""

import re
import uuid
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.text import Text

from patriot.cli.common import Json, State, state_of
from patriot.cli.figures import moment
from patriot.cli.output import USAGE, done, fail, show
from patriot.cli.story import story
from patriot.cli.tables import Column, is_wide, plain_text, table, time_of

app = typer.Typer(help="Change the log level or the share of traces in the running platform.", no_args_is_help=True)

Name = Annotated[str, typer.Argument(help="See `patriot setting list`.")]
Part = Annotated[str | None, typer.Option(help="Only where this part runs, order-routing for example.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept.")]
ASKED = "asked on the command line"

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}

COLUMNS = (
    plain_text("name", "setting"),
    Column("part", lambda one: one["part"] or Text("all", "dim")),
    Column("value", lambda one: Text(one["value"], "yellow" if one["source"] == "changed" else "")),
    Column("from", lambda one: one["changed_by"] or one["source"]),
    Column("since", lambda one: moment(one["since"], narrow=not is_wide()) or Text("the start", "dim")),
    time_of("until", "until"),
    plain_text("reason", wide=True),
)
CHANGE_COLUMNS = (
    time_of("occurred_at"),
    Column("by", lambda event: event["actor"].removeprefix("user:")[:8]),
    Column("what", lambda event: story(event["type"], event["data"])),
)


def list_settings(context: typer.Context, as_json: Json = False) -> None:
    """What may change while the platform runs: value, where it comes from, since when."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/settings")
    show(page, as_json=state.as_json, text=table(COLUMNS, page["settings"]))


def history(context: typer.Context, as_json: Json = False) -> None:
    """Every change that was made, and who made it."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/settings/changes")
    show(page, as_json=state.as_json, text=table(CHANGE_COLUMNS, page["events"], empty="nothing was ever changed"))


def set_value(
    context: typer.Context,
    name: Name,
    value: Annotated[str, typer.Argument(help="debug, info, warning or error; a share from 0 to 1.")],
    part: Part = None,
    lasting: Annotated[str, typer.Option("--for", help="How long: 90s, 15m, 2h, 1d. Else until it is reset.")] = "",
    reason: Reason = ASKED,
    as_json: Json = False,
) -> None:
    """Change a setting in every process, within a second: patriot setting set log_level debug --for 15m."""
    state = state_of(context, as_json)
    seconds = _seconds(lasting, as_json=state.as_json) if lasting else None
    _change(state, {"name": name, "value": value, "part": part, "seconds": seconds, "reason": reason})


def reset(context: typer.Context, name: Name, part: Part = None, reason: Reason = ASKED, as_json: Json = False) -> None:
    """Take every change of a setting back, or that of one part: it is again what the processes were started with."""
    _change(state_of(context, as_json), {"name": name, "part": part, "reason": reason})


def _change(state: State, body: Mapping[str, Any]) -> None:
    changed = state.client().call("POST", "/settings", body, Idempotency_Key=str(uuid.uuid4()))
    where = changed["part"] or "every process"
    value = changed["value"] or "what it was started with"
    until = f" until {moment(changed['until'])} UTC" if changed["until"] else ""
    show(changed, as_json=state.as_json, text=done(f"{changed['name']} is {value} in {where}{until}"))


def _seconds(text: str, *, as_json: bool) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([smhd])", text)
    if found is None:
        fail(f"--for {text}: say how long as 90s, 15m, 2h or 1d", USAGE, as_json=as_json)
    return int(found[1]) * SECONDS[found[2]]


app.command("list")(list_settings)
app.command("set")(set_value)
for command in (reset, history):
    app.command()(command)
