"""Tables that fit. Rule: at 80 columns no cell is cut off; what does not fit there is a `wide` column."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table
from rich.text import Text

from patriot.cli.figures import moment, money, number, signed, style_of
from patriot.cli.output import console

WIDE = 120

STYLES = {
    "buy": "green",
    "sell": "red",
    "filled": "green",
    "rejected": "red",
    "unknown": "yellow",
    "well": "green",
    "note": "yellow",
    "wrong": "red",
}

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Column:
    """`text` makes the cell of an entry. A `wide` column is shown where there is room."""

    title: str
    text: Callable[[Entry], str | Text]
    right: bool = False
    wide: bool = False


def plain_text(name: str, title: str = "", *, wide: bool = False) -> Column:
    return Column(title or name, lambda entry: _styled(str(entry.get(name) or "")), wide=wide)


def figure(name: str, title: str = "", *, wide: bool = False) -> Column:
    return Column(title or name, lambda entry: number(entry.get(name)), right=True, wide=wide)


def amount(name: str, title: str = "", *, wide: bool = False) -> Column:
    """Money in the entry's `asset`, in USDT where it names none."""
    return Column(
        title or name, lambda entry: money(entry.get(name), entry.get("asset", "USDT")), right=True, wide=wide
    )


def profit(name: str, title: str = "", *, wide: bool = False) -> Column:
    return Column(
        title or name, lambda entry: Text(signed(entry.get(name)), style_of(entry.get(name))), right=True, wide=wide
    )


def time_of(name: str, title: str = "time UTC", *, wide: bool = False) -> Column:
    return Column(title, lambda entry: moment(entry.get(name), narrow=not is_wide()), wide=wide)


def is_wide() -> bool:
    return console.width >= WIDE


def table(columns: Sequence[Column], entries: Iterable[Entry], title: str = "", empty: str = "none") -> Table:
    """A table without lines: the figures are the picture."""
    shown = [column for column in columns if is_wide() or not column.wide]
    made = Table(title=title or None, title_justify="left", title_style="bold", header_style="dim", box=None)
    made.padding = (0, 2 if is_wide() else 1, 0, 0)
    made.pad_edge = False
    for column in shown:
        made.add_column(column.title, justify="right" if column.right else "left", overflow="fold")
    for entry in entries:
        made.add_row(*(column.text(entry) for column in shown))
    if not made.row_count:
        made.add_row(Text(empty, "dim"))
    return made


def _styled(text: str) -> Text:
    return Text(text, STYLES.get(text, ""))
