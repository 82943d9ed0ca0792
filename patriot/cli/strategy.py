"""`patriot strategy …`: deploy, start, pause, stop, assign. Rule: a strategy is named by what its owner called it."""

import uuid
from typing import Annotated, Any

import orjson
import typer
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, state_of
from patriot.cli.output import NOT_FOUND, USAGE, done, fail, show
from patriot.cli.session import Client
from patriot.cli.tables import Column, plain_text, table

app = typer.Typer(help="Deploy strategies, start, pause and stop them.", no_args_is_help=True)

STYLES = {"running": "green", "paused": "yellow", "stopped": "dim"}
COLUMNS = (
    plain_text("name"),
    plain_text("kind"),
    Column("state", lambda row: Text(row["status"], STYLES.get(row["status"], ""))),
    Column("accounts", lambda row: str(len(row["accounts"])), right=True),
    Column("instruments", lambda row: ", ".join(row["instruments"])),
    Column("parameters", lambda row: _short(row["parameters"]), wide=True),
)
KINDS = (
    plain_text("kind"),
    plain_text("text", ""),
    Column("parameters", lambda row: _names(row["parameters"]), wide=True),
)

Name = Annotated[str, typer.Argument(help="What the strategy is called, or its id.")]
Parameters = Annotated[str, typer.Option(help="As JSON; what is left out keeps its default.")]


def kinds(context: typer.Context, as_json: Json = False) -> None:
    """What can be deployed; with --json, the schema of the parameters too."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/strategies/kinds")
    show(page, as_json=state.as_json, text=table(KINDS, page["kinds"]))


def list_strategies(context: typer.Context, as_json: Json = False) -> None:
    """Your strategies."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/strategies")
    empty = "none; see what there is: patriot strategy kinds"
    show(page, as_json=state.as_json, text=table(COLUMNS, page["strategies"], empty=empty))


def deploy(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help="One of `patriot strategy kinds`.")],
    instruments: Annotated[list[str], typer.Argument(help="The first is the one that it trades.")],
    name: Annotated[str, typer.Option(help="What you call it. Default: kind and instrument.")] = "",
    parameters: Parameters = "{}",
    start: Annotated[bool, typer.Option("--start", help="Let it trade at once.")] = False,
    account: Account = None,
    as_json: Json = False,
) -> None:
    """Deploy a strategy on one of your accounts."""
    state = state_of(context, as_json)
    client = state.client()
    body = {
        "kind": kind,
        "name": name or f"{kind} {instruments[0].partition(':')[2].partition(':')[0].replace('/', '-')}",
        "account_id": lookup.account_id(client, account),
        "instruments": instruments,
        "parameters": _parsed(parameters, as_json=state.as_json),
        "start": start,
    }
    told = client.call("POST", "/strategies", body, Idempotency_Key=str(uuid.uuid4()))
    show(told, as_json=state.as_json, text=done(f"{told['name']!r} is {told['status']} ({told['strategy_id']})"))


def start(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let it trade."""
    _tell(context, name, "start", as_json=as_json)


def pause(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """Let it follow the market without trading; its positions stay."""
    _tell(context, name, "pause", as_json=as_json)


def stop(context: typer.Context, name: Name, as_json: Json = False) -> None:
    """End it; its positions stay."""
    _tell(context, name, "stop", as_json=as_json)


def change(context: typer.Context, name: Name, parameters: Parameters = "{}", as_json: Json = False) -> None:
    """Give new parameters to a strategy that is paused or stopped."""
    state = state_of(context, as_json)
    client = state.client()
    body = {"parameters": _parsed(parameters, as_json=state.as_json)}
    told = client.call("PATCH", f"/strategies/{_id(client, name)}/parameters", body)
    show(told, as_json=state.as_json, text=done(f"{told['name']!r}: {_short(told['parameters'])}"))


def assign(
    context: typer.Context,
    name: Name,
    account: Annotated[str, typer.Argument(help="Account id or its beginning.")],
    as_json: Json = False,
) -> None:
    """Let it trade on another of your accounts too."""
    state = state_of(context, as_json)
    client = state.client()
    body = {"account_id": lookup.account_id(client, account)}
    told = client.call("POST", f"/strategies/{_id(client, name)}/assignments", body)
    show(told, as_json=state.as_json, text=done(f"{told['name']!r} trades on {len(told['accounts'])} accounts"))


def _tell(context: typer.Context, name: str, verb: str, *, as_json: bool) -> None:
    state = state_of(context, as_json)
    client = state.client()
    told = client.call("POST", f"/strategies/{_id(client, name)}/{verb}", Idempotency_Key=str(uuid.uuid4()))
    show(told, as_json=state.as_json, text=done(f"{told['name']!r} is {told['status']}"))


def _id(client: Client, name: str) -> str:
    found = [
        one for one in client.call("GET", "/strategies")["strategies"] if name in {one["name"], one["strategy_id"]}
    ]
    if not found:
        fail(f"there is no strategy {name!r}; see yours: patriot strategy list", NOT_FOUND, as_json=client.as_json)
    return str(found[0]["strategy_id"])


def _parsed(text: str, *, as_json: bool) -> dict[str, Any]:
    try:
        parsed = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        fail(f"--parameters is no JSON: {error}", USAGE, as_json=as_json)
    if not isinstance(parsed, dict):
        fail("--parameters must be a JSON object", USAGE, as_json=as_json)
    return parsed


def _short(parameters: dict[str, Any]) -> str:
    return ", ".join(f"{name} {value}" for name, value in parameters.items())


def _names(schema: dict[str, Any]) -> str:
    return ", ".join(schema["properties"])


for word, command in (
    ("kinds", kinds), ("list", list_strategies), ("deploy", deploy), ("start", start), ("pause", pause), ("stop", stop),
    ("set", change), ("assign", assign),
):  # fmt: skip
    app.command(word)(command)
