"""A `Query` as SQL. Rule: names come from the table's declaration, values go in as parameters."""

from collections.abc import Sequence
from typing import Any

from patriot.store.api import Between, Query
from patriot.store.tables import Table


def select(table: Table, query: Query) -> tuple[str, Sequence[Any]]:
    """Statement and values of a query whose names were checked."""
    values: list[Any] = []
    conditions: list[str] = []
    wanted = dict(query.where)
    if table.tenant and query.tenant_id is not None:
        wanted["tenant_id"] = query.tenant_id
    for name, value in wanted.items():
        conditions.append(_condition(name, value, values))
    where = f" where {' and '.join(conditions)}" if conditions else ""
    order = f" order by {', '.join(map(_order, query.order_by))}" if query.order_by else ""
    columns = ", ".join(f'"{name}"' for name in table.all_columns)
    values.append(query.limit)
    return f"select {columns} from {table.name}{where}{order} limit ${len(values)}", values  # noqa: S608 (own names)


def _condition(name: str, value: Any, values: list[Any]) -> str:
    if value is None:
        return f'"{name}" is null'
    if isinstance(value, (list, tuple, set, frozenset)):
        values.append(list(value))
        return f'"{name}" = any(${len(values)})'
    if isinstance(value, Between):
        return _between(name, value, values)
    values.append(value)
    return f'"{name}" = ${len(values)}'


def _between(name: str, wanted: Between, values: list[Any]) -> str:
    conditions = []
    for sign, bound in ((">=", wanted.low), ("<", wanted.high)):
        if bound is not None:
            values.append(bound)
            conditions.append(f'"{name}" {sign} ${len(values)}')
    return " and ".join(conditions) or "true"


def _order(name: str) -> str:
    """None sorts last in either direction's natural sense: last ascending, first descending."""
    return f'"{name.removeprefix("-")}" {"desc" if name.startswith("-") else "asc"}'
