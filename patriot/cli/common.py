"""What every command gets: the data folder and the wanted form of output."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import typer

from patriot.cli.session import Client, connect

Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Account = Annotated[
    str | None,
    typer.Option("--account", envvar="PATRIOT_ACCOUNT", help="Account id or its beginning. Default: the session's."),
]
Key = Annotated[str | None, typer.Option(help="Idempotency key: with the same one nothing is done twice.")]


@dataclass(frozen=True, slots=True)
class State:
    data_dir: Path
    as_json: bool
    at_the_end: Callable[[Callable[[], None]], object] | None = None

    def client(self) -> Client:
        """Closed when the command ends."""
        client = connect(self.data_dir, as_json=self.as_json)
        if self.at_the_end is not None:
            self.at_the_end(client.close)
        return client


def quiet_logs() -> None:
    """Logs of a command that is no service: what is worth a look, on stderr."""
    from patriot.telemetry.logs import configure_logs

    configure_logs(level="warning", form="console", stream=sys.stderr)


def state_of(context: typer.Context, as_json: bool) -> State:
    """`--json` may stand before the command or after it."""
    state = context.obj
    assert isinstance(state, State)
    return replace(state, as_json=as_json or state.as_json, at_the_end=context.call_on_close)
