"""Queries as SQL: names are quoted, values are parameters."""

import pytest

from patriot.store.api import Query
from patriot.store.select import select
from patriot.store.tables import TABLES
from tests.store_samples import ACCOUNT, TENANT


@pytest.mark.requirement("A4")
def test_a_tenants_query_is_bound_to_the_tenant_twice():
    text, values = select(TABLES["orders"], Query("orders", TENANT, {"account_id": ACCOUNT}, limit=5))
    assert text.endswith('where "account_id" = $1 and "tenant_id" = $2 limit $3')  # and by row-level security
    assert values == [ACCOUNT, TENANT, 5]


def test_a_list_means_any_of_and_none_means_null():
    text, values = select(TABLES["orders"], Query("orders", None, {"status": ("filled", "expired"), "reason": None}))
    assert 'where "status" = any($1) and "reason" is null limit $2' in text
    assert values == [["filled", "expired"], 1000]


def test_order_and_public_tables():
    text, _ = select(TABLES["ticks"], Query("ticks", TENANT, {}, ("instrument", "-time")))
    assert 'order by "instrument" asc, "time" desc' in text
    assert "tenant_id" not in text
