"""What commands print and how they end. With `--json` stdout holds JSON documents and nothing else.

A command that answers once prints one document; one that follows (`--follow`, `up`) prints one document a line.

Exit codes, stable for scripts:
    0  done                             3  the platform does not run, or cannot be reached
    1  refused: the reason is printed   4  there is no such thing
    2  wrong usage                      5  a check found something wrong (doctor, rebuild, replay)
"""

import os
import sys
from typing import Any, NoReturn

import orjson
import typer
from rich.console import Console, RenderableType
from rich.text import Text

REFUSED, USAGE, UNREACHABLE, NOT_FOUND, UNSOUND = 1, 2, 3, 4, 5
PIPED_WIDTH = 200  # who greps a table wants the whole of it


def _width() -> int | None:
    return None if sys.stdout.isatty() or "COLUMNS" in os.environ else PIPED_WIDTH


console = Console(highlight=False, width=_width())
errors = Console(stderr=True, highlight=False)


def show(data: Any, *, as_json: bool, text: RenderableType) -> None:
    """Print `data` as JSON, or the text. A string is text, not markup: it may come from a venue."""
    if as_json:
        sys.stdout.write(orjson.dumps(data, option=orjson.OPT_INDENT_2, default=str).decode() + "\n")
        return
    console.print(Text(text) if isinstance(text, str) else text, soft_wrap=isinstance(text, str | Text))


def show_line(data: Any) -> None:
    """Print `data` as JSON on a line of its own, at once: somebody may be reading along."""
    sys.stdout.write(orjson.dumps(data, default=str).decode() + "\n")
    sys.stdout.flush()


def done(text: str) -> Text:
    return Text.assemble(("✓ ", "green"), text)


def fail(message: str, code: int, detail: Any = None, *, as_json: bool = False) -> NoReturn:
    """Say what is wrong and end the command."""
    if as_json:
        show_line({"error": message, "detail": detail})
    else:
        errors.print(Text.assemble(("✗ ", "red"), message), soft_wrap=True)
    raise typer.Exit(code)
