"""What a commit must look like before any store takes it: both refuse the same values in the same words.

Checked in the caller's own time, before the commit meets others, so bad input never costs a neighbour.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from patriot.domain.errors import InvalidValue
from patriot.domain.money import decimal_of
from patriot.store.api import PUBLIC_TENANT, BalanceChange, Commit, Origin, Query, Row
from patriot.store.tables import TABLES, Table

DECIMALS = 18
EVENTS_MAX = 10_000  # per commit
_STEP = Decimal(1).scaleb(-DECIMALS)
_WIDE = Context(prec=60, rounding=ROUND_HALF_EVEN)
_EXACT = Context(prec=60, traps=[Inexact])
_INTEGER_MAX = 2**31 - 1
_BIGINT_MAX = 2**63 - 1
SEPARATOR = "\x1f"  # joins texts on their way to the database; a control character, so no name or JSON holds it
SEPARATOR_BYTES = SEPARATOR.encode()
_ESCAPED_NUL = b"\\u0000"  # PostgreSQL's text and jsonb cannot hold it


class CheckedRow(NamedTuple):
    """A row as it will be written: all values of their column's type, tenant and correlation id included."""

    table: Table
    key: tuple[Any, ...]
    values: Mapping[str, Any]


def check_commit(commit: Commit) -> Sequence[CheckedRow]:
    """Return the commit's rows as they will be written. Raises InvalidValue."""
    if commit.occurred_at.tzinfo is None:
        raise InvalidValue("occurred_at", "must be a time with its zone")
    origin = commit.origin
    if not (origin.actor + origin.correlation_id + origin.causation_id).isprintable():
        raise InvalidValue("origin", "must not hold a control character")
    _check_appends(commit)
    for change in commit.balances:
        _check_balance(change)
    return [_check_row(row, origin) for row in commit.rows]


def guard_key(tenant_id: UUID, scope: str) -> tuple[UUID, str]:
    """Whose guard a scope means: the platform's own binds every tenant."""
    return (PUBLIC_TENANT if scope == "platform" else tenant_id, scope)


def check_query(query: Query) -> Table:
    """Return the table that `query` reads. Raises InvalidValue for unknown tables and columns."""
    table = _table(query.table)
    wanted = [*query.where, *(name.removeprefix("-") for name in query.order_by)]
    for name in wanted:
        if name not in table.all_columns:
            raise InvalidValue(name, f"is no column of {table.name}")
    return table


def _check_appends(commit: Commit) -> None:
    count = 0
    for append in commit.appends:
        if append.stream.tenant_id != commit.origin.tenant_id:
            raise InvalidValue("tenant_id", "of a stream must be the origin's")
        if not append.stream.kind.isprintable():
            raise InvalidValue("aggregate_type", "must not hold a control character")
        if append.expected_version < 0:
            raise InvalidValue("expected_version", "must not be negative")
        count += len(append.events)
        for event in append.events:
            if SEPARATOR_BYTES in event.data or _ESCAPED_NUL in event.data:
                raise InvalidValue("event_data", "must not hold a control character or an escaped NUL character")
            if not event.type.isprintable():
                raise InvalidValue("event_type", "must not hold a control character")
    if count > EVENTS_MAX:
        raise InvalidValue("appends", f"must not hold more than {EVENTS_MAX} events")


def _check_balance(change: BalanceChange) -> None:
    for name in ("total", "reserved", "margin", "required"):
        value = getattr(change, name)
        if value:
            _amount(value, name)


def _check_row(row: Row, origin: Origin) -> CheckedRow:
    table = _table(row.table)
    if not table.by_rows:
        raise InvalidValue("table", f"{table.name} is written by balance changes only")
    columns = table.columns
    for name in row.values.keys() - columns.keys():
        raise InvalidValue(name, f"is no column of {table.name} that a row may set")
    values = {
        name: None if value is None else _CHECKS[columns[name]](value, name) for name, value in row.values.items()
    }
    for name in (*table.key, *((table.version,) if table.version else ())):
        if values.get(name) is None:
            raise InvalidValue(name, f"is required in {table.name}")
    if table.tenant:
        values["tenant_id"] = origin.tenant_id
        values["correlation_id"] = origin.correlation_id
    return CheckedRow(table, tuple(values[name] for name in table.full_key), values)


def _table(name: str) -> Table:
    try:
        return TABLES[name]
    except KeyError:
        raise InvalidValue("table", f"{name!r} is not a table") from None


def _uuid(value: Any, name: str) -> UUID:
    if not isinstance(value, UUID):
        raise InvalidValue(name, "must be a UUID")
    return value


def _text(value: Any, name: str) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise InvalidValue(name, "must be text without a NUL character")
    return str(value)


def _amount(value: Any, name: str) -> Decimal:
    number = decimal_of(value, name)
    try:
        _EXACT.quantize(number, _STEP)
    except Inexact:
        raise InvalidValue(name, f"has more than {DECIMALS} decimals") from None
    return number


def _number(value: Any, name: str) -> Decimal:
    return decimal_of(value, name).quantize(_STEP, context=_WIDE)


def _integer(value: Any, name: str, maximum: int = _INTEGER_MAX) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) > maximum:
        raise InvalidValue(name, f"must be an integer up to {maximum}")
    return value


def _bigint(value: Any, name: str) -> int:
    return _integer(value, name, _BIGINT_MAX)


def _boolean(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidValue(name, "must be true or false")
    return value


def _check_moment(value: Any, name: str) -> datetime:
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise InvalidValue(name, "must be a time with its zone")
    return value


def _json(value: Any, name: str) -> bytes:
    try:
        text = orjson.dumps(value)
    except TypeError as error:
        raise InvalidValue(name, f"must be JSON: {error}") from None
    if _ESCAPED_NUL in text:
        raise InvalidValue(name, "must not hold a NUL character")
    return text


def _bytes(value: Any, name: str) -> bytes:
    if not isinstance(value, bytes):
        raise InvalidValue(name, "must be bytes")
    return value


_CHECKS: Mapping[str, Callable[[Any, str], Any]] = {
    "uuid": _uuid,
    "text": _text,
    "amount": _amount,
    "number": _number,
    "integer": _integer,
    "bigint": _bigint,
    "boolean": _boolean,
    "timestamptz": _check_moment,
    "jsonb": _json,
    "bytea": _bytes,
}
