"""What commands print and how they end. With `--json` a command prints one JSON document and nothing else.

Exit codes, stable for scripts:
    0  done                             3  the platform does not run, or cannot be reached
    1  refused: the reason is printed   4  there is no such thing
    2  wrong usage                      5  a check found something wrong (doctor, replay)
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console
from rich.table import Table

from patriot.domain.money import plain

REFUSED, USAGE, UNREACHABLE, NOT_FOUND, UNSOUND = 1, 2, 3, 4, 5

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def show(data: Any, *, as_json: bool, table: Table | str) -> None:
    """Print `data` as JSON, or the table."""
    if as_json:
        sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
    else:
        console.print(table)


def rows(title: str, columns: Sequence[str], entries: Iterable[Mapping[str, Any]]) -> Table:
    """A table of the named keys; missing values stay empty."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column.replace("_", " "), justify="right" if column in NUMBERS else "left")
    for entry in entries:
        table.add_row(*(_cell(column, entry.get(column)) for column in columns))
    return table


NUMBERS = frozenset(
    {"quantity", "price", "filled_quantity", "average_price", "fees", "bid", "ask", "last", "total", "reserved"}
    | {"margin", "available", "mark_price", "unrealised_pnl", "realised_pnl", "version"}
)
_COLOURS = {"buy": "green", "sell": "red", "filled": "green", "rejected": "red", "unknown": "yellow"}


def _cell(column: str, value: Any) -> str:
    text = "" if value is None else plain(value) if isinstance(value, Decimal) else str(value)
    if column.endswith(("_at", "as_of")):
        text = text.partition("T")[2][:12].rstrip("Z") or text  # the day is seldom asked for, the width is
    if column.endswith("pnl") and text:
        return f"[{'red' if text.startswith('-') else 'green'}]{text}[/]"
    colour = _COLOURS.get(text)
    return f"[{colour}]{text}[/]" if colour else text


def fail(message: str, code: int, detail: Any = None, *, as_json: bool = False) -> NoReturn:
    """Say what is wrong and end the command."""
    if as_json:
        sys.stdout.write(orjson.dumps({"error": message, "detail": detail}, default=str).decode() + "\n")
    else:
        errors.print(f"[red]✗[/] {message}")
    raise typer.Exit(code)
