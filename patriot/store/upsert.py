"""Read-model rows of a batch as few statements. Rule: the result is as if the rows were written one after the other.

Rows of one table with the same columns go into one statement. A key may stand in a statement once: of two rows with
the same columns the newer wins; a row with other columns for the same key waits for the next wave.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from patriot.store.check import CheckedRow
from patriot.store.tables import SQL_TYPES, TABLES

_Group = tuple[int, str, tuple[str, ...]]  # wave, table, columns


class Upsert(NamedTuple):
    """A statement with its column values. Those of one wave may run at once."""

    wave: int
    text: str
    values: Sequence[list[Any]]


def upserts(rows: Sequence[CheckedRow]) -> Iterator[Upsert]:
    """Statements in the order in which they must run."""
    groups: dict[_Group, dict[tuple[Any, ...], Mapping[str, Any]]] = {}
    last: dict[tuple[str, tuple[Any, ...]], _Group] = {}
    for row in rows:
        name, columns = row.table.name, tuple(sorted(row.values))
        before = last.get((name, row.key))
        wave = 0 if before is None else before[0] + (before[2] != columns)
        group = last[(name, row.key)] = (wave, name, columns)
        members = groups.setdefault(group, {})
        if _newer(row, members.get(row.key)):
            members[row.key] = row.values
    for wave, name, columns in sorted(groups):
        members = groups[(wave, name, columns)]
        values = [[values[column] for values in members.values()] for column in columns]
        yield Upsert(wave, statement(name, columns), values)


def _newer(row: CheckedRow, other: Mapping[str, Any] | None) -> bool:
    version = row.table.version
    return other is None or version is None or row.values[version] > other[version]


@lru_cache(maxsize=1024)
def statement(name: str, columns: tuple[str, ...]) -> str:
    """Insert or update by key; where the table has a version, only if it is higher than the stored one."""
    table = TABLES[name]
    kinds = table.all_columns
    arrays = ", ".join(f"${number}::{SQL_TYPES[kinds[column]]}[]" for number, column in enumerate(columns, 1))
    names, key = ", ".join(map(_quoted, columns)), ", ".join(map(_quoted, table.full_key))
    changes = ", ".join(f"{_quoted(c)} = excluded.{_quoted(c)}" for c in columns if c not in table.full_key)
    action = f"update set {changes}" if changes else "nothing"
    newer = f" where {name}.{table.version} < excluded.{table.version}" if table.version else ""
    source = f"select {names} from unnest({arrays}) as new ({names}) order by {key}"  # noqa: S608 (names of our own)
    return f"insert into {name} ({names}) {source} on conflict ({key}) do {action}{newer}"


def _quoted(name: str) -> str:
    return f'"{name}"'
