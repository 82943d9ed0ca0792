"""What every command gets: the data folder and the wanted form of output."""

from dataclasses import dataclass
from pathlib import Path

import typer

from patriot.cli.session import Client, connect


@dataclass(frozen=True, slots=True)
class State:
    data_dir: Path
    as_json: bool


def state_of(context: typer.Context) -> State:
    state = context.obj
    assert isinstance(state, State)
    return state


def client_of(context: typer.Context) -> Client:
    state = state_of(context)
    return connect(state.data_dir, as_json=state.as_json)


def wants_json(context: typer.Context, here: bool) -> bool:
    """`--json` may stand before the command or after it."""
    return here or state_of(context).as_json
