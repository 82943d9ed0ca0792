"""Each user's performance by day. Rule: a row is the day's and final once the day has ended (UTC); today's is renewed.

The day's profit is what the accounts are worth now, less what they were worth at the end of the day before, less what
was paid in meanwhile. Sharpe ratio and drawdown are those of all days so far.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any
from uuid import UUID

import numpy as np

from patriot.domain.money import ZERO
from patriot.domain.statistics.record import Record
from patriot.domain.statistics.summary import summary
from patriot.domain.worth import TOTAL, Market, holdings
from patriot.runtime.context import RequestContext
from patriot.runtime.valuation import current_market
from patriot.store.api import Between, Commit, Origin, Query, Row

DAY_SECONDS = 86_400.0
DAYS_MAX = 3_660
ROWS_MAX = 1_000_000

Rows = Sequence[Mapping[str, Any]]


async def measure_days(context: RequestContext) -> None:
    """Renew today's row of every user whose accounts are all priced."""
    store, market = context.runtime.store, await current_market(context)
    balances = await store.find(Query("buying_power", None, {}, ["account_id", "asset"], ROWS_MAX))
    positions = await store.find(Query("positions", None, {}, ["account_id", "instrument"], ROWS_MAX))
    worth = {one.account_id: one.value for one in holdings(balances, positions, market) if one.name == TOTAL}
    for (tenant_id, user_id), accounts in (await _accounts(context)).items():
        totals = [worth.get(account_id, ZERO) for account_id in accounts]
        if worth.keys() & set(accounts) and None not in totals:
            total = sum((value for value in totals if value is not None), ZERO)
            row = await _today(context, tenant_id, user_id, total, await _paid_in(context, tenant_id, accounts, market))
            origin = Origin(tenant_id, context.origin.actor, context.origin.correlation_id)
            await store.commit(Commit(origin, context.now(), rows=[row]))


async def _accounts(context: RequestContext) -> dict[tuple[UUID, UUID], list[UUID]]:
    rows = await context.runtime.store.find(Query("user_accounts", None, {}, ["id"], ROWS_MAX))
    found: dict[tuple[UUID, UUID], list[UUID]] = {}
    for row in rows:
        found.setdefault((row["tenant_id"], row["user_id"]), []).append(row["id"])
    return found


async def _paid_in(context: RequestContext, tenant_id: UUID, accounts: Sequence[UUID], market: Market) -> Decimal:
    """What came from outside today, less what went out, at the prices of now."""
    where = {"account_id": accounts, "account_code": "external", "posted_at": Between(_midnight(context.now()))}
    entries = await context.runtime.store.find(Query("ledger_entries", tenant_id, where, limit=ROWS_MAX))
    total = market.valuation.total(((entry["asset"], -entry["amount"]) for entry in entries), market.currency)
    return total or ZERO


async def _today(context: RequestContext, tenant_id: UUID, user_id: UUID, total: Decimal, paid_in: Decimal) -> Row:
    today = _midnight(context.now())
    where = {"user_id": user_id, "time": Between(high=today)}
    past = await context.runtime.store.find(Query("performance_metrics", tenant_id, where, ["-time"], DAYS_MAX))
    before = past[0]["total_balance_usd"] if past else (ZERO if paid_in else total)
    profit = total - before - paid_in
    days = [(row["total_balance_usd"], row["daily_pnl"]) for row in reversed(past)] + [(total, profit)]
    figures = summary(record_of(days))
    return Row(
        "performance_metrics",
        {
            "time": today,
            "user_id": user_id,
            "total_balance_usd": total,
            "daily_pnl": profit,
            "total_pnl": sum((gained for _, gained in days), ZERO),
            "sharpe_ratio": _decimal(figures["sharpe_ratio"]),
            "max_drawdown": _decimal(figures["max_drawdown"]),
        },
    )


def record_of(days: Iterable[tuple[Decimal, Decimal]]) -> Record:
    """Of (worth at the end, profit) of each day, oldest first."""
    worth, profits = np.array([[float(figure) for figure in day] for day in days], np.float64).T
    begins = worth - profits  # with what was paid in that day
    flows = np.concatenate(([0.0, 0.0], begins[1:] - worth[:-1]))
    equity = np.concatenate((begins[:1], worth))
    return Record(np.arange(equity.size, dtype=np.float64) * DAY_SECONDS, equity, DAY_SECONDS, flows)


def _midnight(now: datetime) -> datetime:
    return datetime.combine(now.astimezone(UTC).date(), time(), UTC)


def _decimal(figure: float | None) -> Decimal | None:
    return None if figure is None else Decimal(repr(figure))
