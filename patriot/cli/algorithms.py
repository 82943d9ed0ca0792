"""`patriot algo …`: start an execution algorithm, watch it, pause, resume, cancel."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Account, Json, Key, State, state_of
from patriot.cli.figures import number
from patriot.cli.orders import event_table
from patriot.cli.output import USAGE, fail, show
from patriot.cli.session import Client
from patriot.cli.tables import Column, is_wide, plain_text, table

app = typer.Typer(help="Execution algorithms: twap, vwap, pov, iceberg, shortfall.", no_args_is_help=True)

ENDED = frozenset({"completed", "cancelled"})
POLL_SECONDS = 0.25
AlgorithmId = Annotated[str, typer.Argument(help="Algorithm id, its first characters, or `last`.")]


def start(
    context: typer.Context,
    algorithm: Annotated[str, typer.Argument(help="twap, vwap, pov, iceberg or shortfall; see `algo kinds`.")],
    instrument: Annotated[str, typer.Argument(help="For example BINANCE:BTC/USDT:USDT.")],
    side: Annotated[str, typer.Argument(help="buy or sell")],
    quantity: Annotated[str, typer.Argument(help="In the base asset.")],
    limit_price: Annotated[str | None, typer.Option(help="No child is worse than this.")] = None,
    set_: Annotated[list[str] | None, typer.Option("--set", help="A parameter: seconds=60, slices=10 …")] = None,
    reduce_only: Annotated[bool, typer.Option("--reduce-only", help="Never open or flip a position.")] = False,
    account: Account = None,
    key: Key = None,
    wait: Annotated[float, typer.Option(help="Seconds to wait for its end.")] = 0.0,
    as_json: Json = False,
) -> None:
    """Let an algorithm work off an order."""
    state = state_of(context, as_json)
    client = state.client()
    body = {
        "account_id": lookup.account_id(client, account),
        "algorithm": algorithm.lower(),
        "instrument": instrument.upper(),
        "side": side.lower(),
        "quantity": quantity,
        "limit_price": limit_price,
        "reduce_only": reduce_only,
        "parameters": _parameters(state, set_ or ()),
    }
    started = client.call("POST", "/algorithms", body, Idempotency_Key=key or str(uuid.uuid4()))
    _tell(state, client, _awaited(client, started["algorithm_id"], wait))


def pause(context: typer.Context, algorithm_id: AlgorithmId, as_json: Json = False) -> None:
    """Place nothing more until it is resumed; its time stands still."""
    _ask(state_of(context, as_json), "POST", algorithm_id, "/pause")


def resume(context: typer.Context, algorithm_id: AlgorithmId, as_json: Json = False) -> None:
    """Go on."""
    _ask(state_of(context, as_json), "POST", algorithm_id, "/resume")


def cancel(context: typer.Context, algorithm_id: AlgorithmId, as_json: Json = False) -> None:
    """End it; its open child is cancelled first."""
    _ask(state_of(context, as_json), "DELETE", algorithm_id, "")


def show_one(context: typer.Context, algorithm_id: AlgorithmId, as_json: Json = False) -> None:
    """One algorithm and its life."""
    state = state_of(context, as_json)
    client = state.client()
    _tell(state, client, client.call("GET", f"/algorithms/{lookup.algorithm_id(client, algorithm_id)}"))


def list_all(context: typer.Context, as_json: Json = False) -> None:
    """The newest algorithms."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/algorithms")
    show(page, as_json=state.as_json, text=table(_columns(), page["algorithms"], empty="no algorithms"))


def kinds(context: typer.Context, as_json: Json = False) -> None:
    """What algorithms there are, and their parameters."""
    state = state_of(context, as_json)
    page = state.client().call("GET", "/algorithms/kinds")
    columns = (
        plain_text("name"),
        Column("what it does", lambda kind: " ".join(kind["text"].split())),
        Column("parameters", lambda kind: ", ".join(kind["parameters"]["properties"])),
    )
    show(page, as_json=state.as_json, text=table(columns, page["algorithms"], empty="none"))


def _parameters(state: State, given: Sequence[str]) -> dict[str, str]:
    pairs = [one.partition("=") for one in given]
    if any(not sign or not value for _, sign, value in pairs):
        fail("give parameters as --set name=value", USAGE, as_json=state.as_json)
    return {name: value for name, _, value in pairs}


def _ask(state: State, method: str, text: str, action: str) -> None:
    client = state.client()
    path = f"/algorithms/{lookup.algorithm_id(client, text)}{action}"
    _tell(state, client, client.call(method, path, Idempotency_Key=str(uuid.uuid4())))


def _awaited(client: Client, algorithm_id: str, seconds: float) -> Any:
    deadline = time.monotonic() + seconds
    while True:
        shown = client.call("GET", f"/algorithms/{algorithm_id}")
        if shown["status"] in ENDED or time.monotonic() >= deadline:
            return shown
        time.sleep(POLL_SECONDS)


def _tell(state: State, client: Client, shown: Mapping[str, Any]) -> None:
    events = client.call("GET", f"/events/{shown['algorithm_id']}?kind=algorithm")["events"]
    text = Text(
        f"{shown['status']}  {shown['algorithm']} {shown['side']} {number(shown['quantity'])} {shown['instrument']}\n"
        f"  filled    {number(shown['filled_quantity'])}{_at(shown)} in {shown['children']} children\n"
        f"  algorithm {shown['algorithm_id']}"
    )
    show({**shown, "events": events}, as_json=state.as_json, text=Group(text, event_table(events)))


def _at(shown: Mapping[str, Any]) -> str:
    if not shown["average_price"]:
        return ""
    arrival, cost = number(shown["arrival_price"]), number(shown["slippage"])
    return f" at {number(shown['average_price'])}, arrival {arrival}, slippage {cost} bp"


def _columns() -> tuple[Column, ...]:
    return (
        Column("id", lambda row: row["algorithm_id"] if is_wide() else lookup.short(row["algorithm_id"])),
        plain_text("algorithm"),
        plain_text("instrument"),
        plain_text("side"),
        Column("filled", lambda row: f"{number(row['filled_quantity'])}/{number(row['quantity'])}", right=True),
        Column("slippage bp", lambda row: number(row["slippage"]) if row["slippage"] else "", right=True),
        plain_text("status"),
    )


for name, command in (
    ("start", start),
    ("pause", pause),
    ("resume", resume),
    ("cancel", cancel),
    ("show", show_one),
    ("list", list_all),
    ("kinds", kinds),
):
    app.command(name)(command)
