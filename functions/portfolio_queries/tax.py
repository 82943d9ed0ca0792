"""Lots and money flows. Rule: computed from trades and ledger as they are, so they are as true as those."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

from patriot.domain.lots import first_in_first_out
from patriot.domain.money import EXACT, ZERO
from patriot.domain.statistics.trips import Fill
from patriot.domain.worth import earned_asset
from patriot.runtime.context import RequestContext
from schemas.portfolio_queries import DisposalView, FlowPage, FlowView, LotPage, LotView

ROWS_MAX = 500_000
COLUMNS = {
    "external": "transferred",
    "transit": "transferred",
    "realised": "realised",
    "fees": "fees",
    "funding": "funding",
    "position": "invested",
}
"""Ledger -> the column of a `FlowView` that it belongs to."""


async def lots_of(context: RequestContext, accounts: Sequence[UUID]) -> LotPage:
    """Every lot and disposal of these accounts, oldest first."""
    where = {"account_id": list(accounts)}
    groups: dict[tuple[UUID, str], list[Fill]] = {}
    for row in await context.find("trades", where, ["executed_at", "trade_id"], ROWS_MAX):
        groups.setdefault((row["account_id"], row["instrument"]), []).append(_fill(row))
    lots, disposals = list[LotView](), list[DisposalView]()
    for (account_id, name), fills in groups.items():
        instrument = await context.instrument(name)
        still_open, closed = first_in_first_out(fills, instrument)
        more = {"account_id": account_id, "asset": earned_asset(instrument)}
        lots += [LotView(**more, **_fields(lot)) for lot in still_open]
        disposals += [DisposalView(**more, **_fields(one)) for one in closed]
    disposals.sort(key=lambda one: one.closed_at)
    return LotPage(lots=tuple(lots), disposals=tuple(disposals))


async def flows_of(context: RequestContext, accounts: Sequence[UUID]) -> FlowPage:
    """The ledger of these accounts, summed: what each kind of booking did to each balance."""
    rows = await context.find("ledger_entries", {"account_id": list(accounts)}, ["posted_at"], ROWS_MAX)
    sums: dict[tuple[UUID, str], dict[str, Decimal]] = {}
    for row in rows:
        columns = sums.setdefault(
            (row["account_id"], row["asset"]), dict.fromkeys([*COLUMNS.values(), "balance"], ZERO)
        )
        name, amount = COLUMNS.get(row["account_code"], "balance"), row["amount"]
        columns[name] = EXACT.add(columns[name], amount if name == "balance" else -amount)
    flows = (
        FlowView(account_id=account_id, asset=asset, **sums[account_id, asset]) for account_id, asset in sorted(sums)
    )
    return FlowPage(flows=tuple(flows))


def _fill(row: Mapping[str, Any]) -> Fill:
    names = ("instrument", "side", "quantity", "price", "fee", "fee_asset")
    return Fill(**{name: row[name] for name in names}, time=row["executed_at"])


def _fields(one: Any) -> dict[str, Any]:
    return {name: getattr(one, name) for name in one.__dataclass_fields__}
