"""Measures how accounts stand. Rule: a standing is at most half a second old; what no price tells is not known.

What must be remembered (the equity when the day began, the peak, what was deposited) lies in a snapshot per account,
written by whoever watches the accounts.
"""

import asyncio
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson

from patriot.domain.money import ZERO
from patriot.domain.risk.exposure import standing_of, with_marks
from patriot.domain.risk.level import level_id
from patriot.domain.risk.standing import Marks, Standing, advanced
from patriot.domain.worth import Market
from patriot.runtime.context import RequestContext
from patriot.runtime.ports import Runtime
from patriot.runtime.valuation import current_market
from patriot.store.api import Snapshot, StreamId

FRESH_SECONDS = 0.5
ACCOUNTS_MAX = 100_000


class Standings:
    """The measurements of one process: `Standings.of(runtime)`."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Standings":
        found = runtime.local.get("standings")
        if not isinstance(found, Standings):
            found = runtime.local["standings"] = cls()
        return found

    def __init__(self) -> None:
        self._known: dict[UUID, tuple[float, Standing | None]] = {}
        self._market: tuple[float, Market] | None = None
        self._reading = asyncio.Lock()

    async def standing(self, context: RequestContext, account_id: UUID) -> Standing | None:
        """How the account stands; None where a price that it takes is missing."""
        now = context.runtime.clock.monotonic()
        known = self._known.get(account_id)
        if known is None or known[0] + FRESH_SECONDS <= now:
            if len(self._known) > ACCOUNTS_MAX:
                self._known.clear()
            standing, marks = await measured(context, account_id, await self.market(context))
            known = self._known[account_id] = (now, marked(standing, marks))
        return known[1]

    async def market(self, context: RequestContext) -> Market:
        """Every price that is known; read once for all who ask at the same time."""
        async with self._reading:
            now = context.runtime.clock.monotonic()
            if self._market is None or self._market[0] + FRESH_SECONDS <= now:
                self._market = (now, await current_market(context))
            return self._market[1]


async def measured(context: RequestContext, account_id: UUID, market: Market) -> tuple[Standing | None, Marks | None]:
    """The account now, and its marks as they must be from now on."""
    account = await context.account(account_id)
    balances = await context.find("buying_power", {"account_id": account_id})
    positions = await context.find("positions", {"account_id": account_id})
    standing = standing_of(balances, positions, account["exchange"], market)
    before = await marks_of(context, account_id)
    if standing is None:
        return None, before
    deposited = await _deposited(context, account_id)

    def worth(asset: str, amount: Decimal) -> Decimal | None:
        return market.valuation.value(asset, amount, market.currency)

    return standing, advanced(before, standing.equity, deposited, worth=worth, now=context.now())


def marked(standing: Standing | None, marks: Marks | None) -> Standing | None:
    return with_marks(standing, marks.day_equity, marks.peak_equity) if standing and marks else standing


async def marks_of(context: RequestContext, account_id: UUID) -> Marks | None:
    kept = await context.runtime.store.load_snapshot(_stream(context, account_id))
    return _decoded(orjson.loads(kept.data)) if kept else None


async def keep_marks(context: RequestContext, account_id: UUID, marks: Marks) -> None:
    body = {
        "day": marks.day.isoformat(),
        "day_equity": str(marks.day_equity),
        "peak_equity": str(marks.peak_equity),
        "deposited": {name: str(amount) for name, amount in marks.deposited.items()},
    }
    stream = _stream(context, account_id)
    kept = await context.runtime.store.load_snapshot(stream)
    version = kept.version + 1 if kept else 1
    await context.runtime.store.save_snapshot(Snapshot(stream, version, orjson.dumps(body)))


async def _deposited(context: RequestContext, account_id: UUID) -> dict[str, Decimal]:
    """All that came from outside, less what went there, by asset."""
    rows = await context.find("ledger_entries", {"account_id": account_id, "account_code": "external"}, limit=100_000)
    sums: dict[str, Decimal] = {}
    for row in rows:
        sums[row["asset"]] = sums.get(row["asset"], ZERO) - row["amount"]
    return sums


def _stream(context: RequestContext, account_id: UUID) -> StreamId:
    return StreamId(context.tenant_id, "standing", level_id(f"standing:{account_id}"))


def _decoded(body: Mapping[str, Any]) -> Marks:
    deposited = {name: Decimal(amount) for name, amount in body["deposited"].items()}
    return Marks(date.fromisoformat(body["day"]), Decimal(body["day_equity"]), Decimal(body["peak_equity"]), deposited)
