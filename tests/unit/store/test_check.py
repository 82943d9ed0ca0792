"""What a commit must look like. The contract tests refuse the same values through both stores."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.domain.errors import InvalidValue
from patriot.store.api import PUBLIC_TENANT, Append, NewEvent, Origin, Query, Row
from patriot.store.check import EVENTS_MAX, SEPARATOR, check_commit, check_query, guard_key
from patriot.store.tables import TABLES
from tests.store_samples import ACCOUNT, NOW, TENANT, append, commit, events, stream


def test_a_row_gets_its_tenant_and_correlation_id_from_the_origin():
    (row,) = check_commit(commit(rows=[Row("orders", {"id": ACCOUNT, "stream_version": 1})]))
    assert row.key == (TENANT, ACCOUNT)
    assert (row.values["tenant_id"], row.values["correlation_id"]) == (TENANT, "req_1700000000000_deadbeef")


def test_a_row_of_a_public_table_has_neither():
    (row,) = check_commit(commit(rows=[Row("instruments", {"id": "X", "version": 1})]))
    assert (row.key, set(row.values)) == (("X",), {"id", "version"})


@pytest.mark.parametrize("field", ["actor", "correlation_id", "causation_id"])
def test_an_origin_with_a_control_character_is_refused(field: str):
    values = {"actor": "user:1", "correlation_id": "req_1", "causation_id": ""}
    values[field] += SEPARATOR  # would shift the columns of a whole batch
    with pytest.raises(InvalidValue, match="origin"):
        check_commit(commit(Origin(TENANT, **values)))


@pytest.mark.parametrize(
    ("event", "field"),
    [
        (NewEvent("order\x1fcreated", 1, b"{}"), "event_type"),
        (NewEvent("order.created", 1, b'{"a": "\x1f"}'), "event_data"),
        (NewEvent("order.created", 1, b'{"a": "\\u0000"}'), "event_data"),
    ],
)
def test_an_event_with_a_control_character_is_refused(event: NewEvent, field: str):
    with pytest.raises(InvalidValue) as refused:
        check_commit(commit(appends=[Append(stream(), 0, [event])]))
    assert refused.value.field == field


def test_a_stream_with_a_control_character_or_a_negative_version_is_refused():
    with pytest.raises(InvalidValue, match="aggregate_type"):
        check_commit(append(stream("or\nder")))
    with pytest.raises(InvalidValue, match="expected_version"):
        check_commit(append(stream(), -1))


def test_a_commit_has_a_time_with_its_zone_and_a_bounded_number_of_events():
    with pytest.raises(InvalidValue, match="occurred_at"):
        check_commit(commit(occurred_at=NOW.replace(tzinfo=None)))
    check_commit(commit(appends=[Append(stream(), 0, events(EVENTS_MAX))]))
    with pytest.raises(InvalidValue, match="appends"):
        check_commit(commit(appends=[Append(stream(), 0, events(EVENTS_MAX)), Append(stream(), 0, events())]))


@given(st.decimals(allow_nan=False, allow_infinity=False, places=18, min_value=-(10**17), max_value=10**17))
@pytest.mark.requirement("P3")
def test_amounts_pass_unchanged_or_not_at_all(amount: Decimal):
    values = {"id": ACCOUNT, "stream_version": 1, "quantity": amount}
    (row,) = check_commit(commit(rows=[Row("orders", values)]))
    assert row.values["quantity"] == amount
    values["quantity"] = amount + Decimal("1E-19") if abs(amount) < 1 else amount.scaleb(20)
    if values["quantity"] != amount:
        with pytest.raises(InvalidValue):
            check_commit(commit(rows=[Row("orders", values)]))


def test_the_platforms_guard_has_no_tenant():
    assert guard_key(TENANT, "platform") == (PUBLIC_TENANT, "platform")
    assert guard_key(TENANT, "user:1") == (TENANT, "user:1")


def test_a_query_names_a_table_and_its_columns():
    assert check_query(Query("orders", TENANT, {"tenant_id": TENANT}, ("-created_at",))) is TABLES["orders"]
    for query in (Query("event_store", TENANT), Query("ticks", None, {"tenant_id": TENANT})):
        with pytest.raises(InvalidValue):
            check_query(query)


def test_every_table_can_tell_its_rows_apart():
    for table in TABLES.values():
        assert set(table.full_key) <= set(table.all_columns)
        assert table.version is None or table.version in table.columns
        assert set(table.unique) <= set(table.columns)
