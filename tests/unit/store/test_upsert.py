"""Rows as statements: the result is as if they were written one after the other."""

from typing import Any
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from patriot.store.api import Row
from patriot.store.check import CheckedRow, check_commit
from patriot.store.upsert import statement, upserts
from tests.store_samples import commit


def checked(*rows: Row) -> list[CheckedRow]:
    return list(check_commit(commit(rows=rows)))


def order(number: int, version: int, **values: object) -> Row:
    return Row("orders", {"id": UUID(int=number), "stream_version": version, **values})


def test_rows_with_the_same_columns_share_a_statement():
    made = list(upserts(checked(order(1, 1, status="a"), order(2, 1, status="b"))))
    assert len(made) == 1
    assert ["a", "b"] in made[0].values


def test_of_two_rows_for_one_key_the_newer_is_written():
    ((_, _, values),) = upserts(checked(order(1, 2, status="new"), order(1, 1, status="old")))
    assert ["new"] in values
    rows = [Row("state", {"store": "s", "key": "k", "etag": etag}) for etag in ("1", "2")]
    ((_, _, values),) = upserts(checked(*rows))
    assert ["2"] in values


def test_other_columns_for_one_key_wait_for_their_turn():
    made = list(upserts(checked(order(1, 1, status="a"), order(1, 2, reason="b"), order(1, 3, status="c"))))
    texts = [text for _, text, _ in made]
    assert [upsert.wave for upsert in made] == [0, 1, 2]
    assert len(texts) == 3
    assert texts[0] == texts[2] != texts[1]


def test_a_statement_writes_by_key_and_only_what_is_newer():
    text = statement("positions", ("account_id", "instrument", "quantity", "stream_version", "tenant_id"))
    assert (
        'on conflict ("tenant_id", "account_id", "instrument") do update set "quantity" = excluded."quantity"' in text
    )
    assert text.endswith("where positions.stream_version < excluded.stream_version")
    assert "$3::numeric[]" in text
    assert 'order by "tenant_id", "account_id", "instrument"' in text  # so that two writers do not deadlock


def test_a_statement_without_a_version_always_writes_and_with_keys_alone_only_inserts():
    assert " where " not in statement("state", ("key", "store", "tenant_id", "value"))
    assert statement("state", ("key", "store", "tenant_id")).endswith("do nothing")


def apply(written: dict[Any, dict[str, Any]], row: CheckedRow) -> None:
    """What one statement does to one row."""
    stored = written.get(row.key)
    if stored is None or row.table.version is None or stored[row.table.version] < row.values[row.table.version]:
        written[row.key] = {**(stored or {}), **row.values}


ROWS = st.lists(
    st.builds(
        order,
        st.integers(1, 3),
        st.integers(1, 5),
        status=st.sampled_from("abc"),
    )
    | st.builds(order, st.integers(1, 3), st.integers(1, 5), reason=st.sampled_from("xyz"))
    | st.builds(
        lambda k, v: Row("state", {"store": "s", "key": k, "etag": v}), st.sampled_from("kl"), st.sampled_from("12")
    ),
    max_size=12,
)


@given(ROWS)
def test_statements_end_where_single_writes_end(rows: list[Row]):
    one_by_one: dict[Any, dict[str, Any]] = {}
    in_statements: dict[Any, dict[str, Any]] = {}
    made = checked(*rows)
    for row in made:
        apply(one_by_one, row)
    tables = {row.table.name: row.table for row in made}
    for _, text, columns in upserts(made):
        table = tables[text.split()[2]]
        names = [name.strip(' "') for name in text.split("(", 1)[1].split(")", 1)[0].split(",")]
        keys = set()
        for values in zip(*columns, strict=True):
            filled = dict(zip(names, values, strict=True))
            key = tuple(filled[name] for name in table.full_key)
            assert key not in keys  # PostgreSQL refuses to change a row twice in one statement
            keys.add(key)
            apply(in_statements, CheckedRow(table, key, filled))
    assert in_statements == one_by_one
