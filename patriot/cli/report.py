"""`patriot report`: how well it went, as a page for the browser. Rule: the page needs nothing but itself."""

from datetime import datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlencode

import typer
from rich.table import Table
from rich.text import Text

from patriot.cli import lookup
from patriot.cli.common import Json, state_of
from patriot.cli.output import REFUSED, done, fail, show
from patriot.report.figures import cell, tone

STYLES = {"up": "green", "down": "red"}
SHOWN = (
    "start_equity", "end_equity", "total_return", "net_profit", "total_fees", "sharpe_ratio", "sortino_ratio",
    "max_drawdown", "total_trades", "win_rate", "profit_factor", "expectancy",
)  # fmt: skip

Output = Annotated[Path, typer.Option("--output", "-o", help="The page to write.")]


def report(
    context: typer.Context,
    output: Output = Path("report.html"),
    account: Annotated[str | None, typer.Option(help="Only this account: its id or its beginning.")] = None,
    strategy: Annotated[str | None, typer.Option(help="Only what this strategy traded.")] = None,
    since: Annotated[datetime | None, typer.Option(help="UTC.")] = None,
    benchmark: Annotated[str | None, typer.Option(help="An instrument to compare with.")] = None,
    as_json: Json = False,
) -> None:
    """Write a report of all your trading, and show its main figures; --json prints everything that the page shows."""
    state = state_of(context, as_json)
    client = state.client()
    query = {
        "account_id": lookup.account_id(client, account) if account else None,
        "strategy": strategy,
        "since": f"{since.isoformat()}Z" if since else None,
        "benchmark": benchmark,
    }
    given = urlencode({name: value for name, value in query.items() if value is not None})
    view = client.call("GET", "/analytics/performance" + (f"?{given}" if given else ""))
    write(view, output, f"Performance of {client.session.username}", strategy or "", as_json=state.as_json)


def write(view: Any, output: Path, title: str, subtitle: str, *, as_json: bool) -> None:
    """The page as a file; its main figures, or with `as_json` the whole view, on stdout."""
    from patriot.report.page import render

    if as_json:
        show(view, as_json=True, text="")
        return
    try:
        output.write_text(render(view, title, subtitle), encoding="utf-8")
    except OSError as error:
        fail(f"cannot write {output}: {error.strerror}", REFUSED)
    show({}, as_json=False, text=_table(view))
    show({}, as_json=False, text=done(f"the whole report: {output.absolute()}"))


def _table(view: Any) -> Table:
    figures = {one["name"]: one for one in view["figures"]}
    table = Table(show_header=False, box=None, pad_edge=False)
    for name in SHOWN:
        figure = figures[name]
        table.add_row(Text(figure["title"], "dim"), Text(cell(figure), STYLES.get(tone(figure), "")))
    return table


def register(app: typer.Typer) -> None:
    app.command()(report)
