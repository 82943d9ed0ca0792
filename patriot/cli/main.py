"""The `patriot` command. One file per family of commands; this one puts them together."""

from pathlib import Path
from typing import Annotated

import typer

from patriot import __version__
from patriot.cli import (
    algorithms,
    backups,
    keys,
    operate,
    order_lists,
    orders,
    reconcile,
    recordings,
    report,
    risk,
    setting,
    simulate,
    strategy,
    trace,
    transfers,
    users,
    watch,
)
from patriot.cli.common import State

app = typer.Typer(
    help="patriot: an open trading platform. Start it with `patriot up`, then look at `patriot portfolio`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
operate.register(app)
backups.register(app)
app.add_typer(keys.app, name="keys")
app.add_typer(orders.app, name="order")
order_lists.register(app)
app.add_typer(algorithms.app, name="algo")
watch.register(app)
transfers.register(app)
app.add_typer(users.app, name="user")
app.command()(users.logout)
app.add_typer(setting.app, name="setting")
reconcile.register(app)
app.add_typer(strategy.app, name="strategy")
recordings.register(app)
risk.register(app)
report.register(app)
simulate.register(app)
trace.register(app)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"patriot {__version__}")
        raise typer.Exit


@app.callback()
def options(
    context: typer.Context,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data_dir: Annotated[
        Path, typer.Option(envvar="PATRIOT_DATA_DIR", help="Where the platform keeps its data.")
    ] = Path(".patriot"),
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="And exit.")] = False,
) -> None:
    """Options of every command."""
    del version
    context.obj = State(data_dir=data_dir, as_json=as_json)


def main() -> None:
    """The entry point of the installed command."""
    app()


if __name__ == "__main__":
    main()
