"""Samples what every account is worth. Rule: a sample's time is when it was taken: all that was booked before is in it.

A sample has a row per asset and derivative position, and one for the account as a whole (`*`); they add up. What has
no price has no value, and then the account has no total: a gap is honest, a guess is not.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from patriot.domain.worth import Holding, holdings
from patriot.runtime.context import RequestContext
from patriot.runtime.valuation import current_market
from patriot.store.api import Commit, Origin, Query, Row

ROWS_PER_COMMIT = 2_000
ROWS_MAX = 10_000_000

Rows = Sequence[Mapping[str, Any]]


async def take_snapshots(context: RequestContext) -> None:
    """One sample of every account of every tenant."""
    store, market = context.runtime.store, await current_market(context)
    balances = await store.find(Query("buying_power", None, {}, ["account_id", "asset"], ROWS_MAX))
    positions = await store.find(Query("positions", None, {}, ["account_id", "instrument"], ROWS_MAX))
    tenants = {row["account_id"]: row["tenant_id"] for row in (*balances, *positions)}
    when = context.now()
    by_tenant: dict[UUID, list[Row]] = {}
    for holding in holdings(balances, positions, market):
        by_tenant.setdefault(tenants[holding.account_id], []).append(_row(holding, when))
    for tenant_id, rows in by_tenant.items():
        await _write(context, tenant_id, rows)


async def _write(context: RequestContext, tenant_id: UUID, rows: Sequence[Row]) -> None:
    origin = Origin(tenant_id, context.origin.actor, context.origin.correlation_id)
    for first in range(0, len(rows), ROWS_PER_COMMIT):
        commit = Commit(origin, context.now(), rows=rows[first : first + ROWS_PER_COMMIT])
        await context.runtime.store.commit(commit)


def _row(holding: Holding, when: datetime) -> Row:
    return Row(
        "portfolio_snapshots",
        {
            "time": when,
            "account_id": holding.account_id,
            "instrument": holding.name,
            "quantity": holding.quantity,
            "value_usd": holding.value,
            "unrealized_pnl": holding.unrealised,
        },
    )
