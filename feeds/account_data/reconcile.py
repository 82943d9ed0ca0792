"""Compares what the platform believes with what the venue says. Rule: a difference is asked about, then posted; never
guessed and never hidden.

Orders: the venue is asked about whatever is open here and not open there in the same way; what it proves is reported.
Balances: a difference that stays the same for a while, with every order agreed upon, is posted by an
`account.balance_adjusted` event.
"""

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from patriot.domain import reporting
from patriot.domain.account import adjust
from patriot.domain.money import ZERO
from patriot.domain.order_commands import order_id_of
from patriot.domain.venue import OrderRef, OrderState, Unknown, VenueAdapter
from patriot.runtime.aggregates import ACCOUNT, ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.telemetry.metrics import metrics
from schemas.reports import BalanceReport, VenueBalance, VenueReport

UNPROVED = ("submitted", "unknown")
RESTING = ("accepted", "partially_filled")
SETTLE = timedelta(seconds=2)
"""An order that changed this recently is left alone: its reports are still on their way."""

LASTING_SECONDS = 20.0
"""How long a difference of balances must stay the same before it is posted."""

log = structlog.get_logger()

Difference = tuple[Decimal, Decimal]
"""(booked, at the venue)."""


class Reconciliation:
    """Of one account. `context` is the account's: its tenant, the feed as actor."""

    def __init__(self, account: Mapping[str, Any], adapter: VenueAdapter, context: RequestContext) -> None:
        self._account = account
        self._account_id: UUID = account["id"]
        self._adapter = adapter
        self._context = context
        self._seen: dict[str, tuple[Difference, float]] = {}
        self._foreign: set[str] = set()

    async def orders(self) -> int:
        """Resolve what differs; returns how many were asked about."""
        rows = await self._open_rows((*UNPROVED, *RESTING))
        if not rows:
            return 0
        there = await self._adapter.open_orders(self._account_id)
        if isinstance(there, Unknown):
            log.warning("open orders not told", account_id=str(self._account_id), reason=there.reason)
            return 0
        known = {state.ref.client_order_id: state for state in there}
        self._report_foreign(known)
        differing = [row for row in rows if not _agrees(row, known.get(row["client_order_id"]))]
        for row in differing:
            await self._report_changed(row, known.get(row["client_order_id"]))
            await self.resolve(row["id"])
        return len(differing)

    async def unproved(self) -> int:
        """Resolve orders whose submission has no proof yet; returns how many."""
        rows = await self._open_rows(UNPROVED)
        for row in rows:
            await self.resolve(row["id"])
        return len(rows)

    async def everything(self) -> None:
        """Orders first: as long as one differs, its fills may explain any difference of balances."""
        if await self.orders():
            self._seen.clear()
            return
        await self.balances()

    async def balances(self) -> None:
        """Tell the venue's balances; post a difference that stays."""
        told = await self._adapter.balances(self._account_id)
        if isinstance(told, Unknown):
            log.warning("balances not told", account_id=str(self._account_id), reason=told.reason)
            return
        report = BalanceReport(
            account_id=self._account_id,
            user_id=self._account["user_id"],
            exchange=self._account["exchange"],
            balances=tuple(VenueBalance(asset=one.asset, total=one.total, available=one.available) for one in told),
            complete=True,
            source="reconciliation",
            as_of=self._context.now(),
        )
        await self._context.publish_reports(self._account["user_id"], [report])
        await self._compare({one.asset: one.total for one in told})

    async def _compare(self, at_venue: Mapping[str, Decimal]) -> None:
        if await self._is_moving():
            self._seen.clear()
            return
        rows = await self._context.find("buying_power", {"account_id": self._account_id})
        booked = {row["asset"]: row["total"] for row in rows}
        for asset in sorted(booked.keys() | at_venue.keys()):
            difference = (booked.get(asset, ZERO), at_venue.get(asset, ZERO))
            if difference[0] == difference[1]:
                self._seen.pop(asset, None)
            elif self._lasts(asset, difference):
                await self._adjust(asset, *difference)

    async def _is_moving(self) -> bool:
        """Whether any order may have fills that are still on their way."""
        where = {"account_id": self._account_id, "status": ["pending", *UNPROVED, *RESTING]}
        rows = await self._context.find("orders", where, limit=10_000)
        recently = self._context.now() - SETTLE
        return any(row["status"] not in RESTING or row["updated_at"] > recently for row in rows)

    def _lasts(self, asset: str, difference: Difference) -> bool:
        now = self._context.runtime.clock.monotonic()
        known, since = self._seen.get(asset, (None, now))
        if known != difference:
            self._seen[asset] = (difference, now)
            return False
        return now - since >= LASTING_SECONDS

    async def _adjust(self, asset: str, booked: Decimal, at_venue: Decimal) -> None:
        log.warning("balance differs", account_id=str(self._account_id), asset=asset, booked=booked, venue=at_venue)

        async def propose() -> Proposal[None]:
            loaded = await self._context.load(ACCOUNT, self._account_id)
            assert loaded.state is not None, "the account was linked"
            return Proposal([Change(loaded, adjust(loaded.state, asset, booked, at_venue, "reconciliation"))], None)

        await self._context.decide(propose)
        metrics.balance_adjustments(self._account["exchange"]).inc()

    async def _open_rows(self, statuses: tuple[str, ...]) -> list[Mapping[str, Any]]:
        where = {"account_id": self._account_id, "status": list(statuses)}
        rows = await self._context.find("orders", where, ["created_at"], 10_000)
        return [row for row in rows if row["updated_at"] < self._context.now() - SETTLE]

    async def resolve(self, order_id: UUID) -> None:
        """Ask the venue about one order; report what it proves."""
        order = (await self._context.load(ORDER, order_id)).state
        if order is None or not order.attempt:
            return
        ref = OrderRef(order.account_id, order.instrument, order.client_order_id, order.venue_order_id)
        reports = reporting.of_query(order, await self._adapter.query(ref), self._context.now())
        await self._context.publish_reports(order.user_id, reports or [])

    async def _report_changed(self, row: Mapping[str, Any], state: OrderState | None) -> None:
        """Another quantity or price than we know of: a modification whose answer was lost, or one made elsewhere."""
        if state is None or row["status"] not in RESTING or _same_terms(row, state):
            return
        report = VenueReport(
            account_id=self._account_id,
            outcome="modified",
            source="reconciliation",
            order_id=row["id"],
            client_order_id=row["client_order_id"],
            venue_order_id=state.ref.venue_order_id,
            instrument=row["instrument"],
            quantity=state.quantity,
            price=state.price,
        )
        await self._context.publish_reports(self._account["user_id"], [report])

    def _report_foreign(self, known: Mapping[str, OrderState]) -> None:
        foreign = {name for name in known if order_id_of(name) is None}
        metrics.foreign_orders(self._account["exchange"]).inc(len(foreign - self._foreign))
        self._foreign = foreign
        if foreign:
            log.warning("orders at the venue that are not ours", account_id=str(self._account_id), count=len(foreign))


def _agrees(row: Mapping[str, Any], state: OrderState | None) -> bool:
    """Whether the venue sees the order as we do: open, filled as far, of the same quantity and price."""
    if state is None or row["status"] not in RESTING or not _same_terms(row, state):
        return False
    return bool(state.filled_quantity == row["filled_quantity"])


def _same_terms(row: Mapping[str, Any], state: OrderState) -> bool:
    return bool(state.quantity == row["quantity"] and state.price == row["price"])
