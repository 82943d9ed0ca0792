"""Compares what the platform believes with what the venue says. Rule: a difference is asked about, then posted; never
guessed and never hidden.

Orders: the venue is asked about whatever is open here and not open there in the same way; what it proves is reported.
Leverage: one that was changed at the venue is told, and left to a person; an order may set it again before.
Balances: a difference that stays the same for a while, with every order agreed upon, is posted by an
`account.balance_adjusted` event. Of a live account with no books yet everything is taken over at once.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import structlog

from feeds.account_data.divergence import Divergence, Divergences
from feeds.account_data.positions import adjust as adjust_position
from feeds.account_data.positions import differences
from patriot.domain import reporting
from patriot.domain.account import adjust
from patriot.domain.external import external_id
from patriot.domain.money import ZERO, plain
from patriot.domain.order_commands import order_id_of
from patriot.domain.venue import OrderRef, OrderState, Unknown, VenueAdapter, VenuePositionState
from patriot.runtime.aggregates import ACCOUNT, ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.operation import publish_told
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
        self._is_new = False
        self._divergences = Divergences(account, context)

    async def orders(self) -> int:
        """Resolve what differs and adopt what is foreign; returns how many were asked about."""
        there = await self._adapter.open_orders(self._account_id)
        if isinstance(there, Unknown):
            log.warning("open orders not told", account_id=str(self._account_id), reason=there.reason)
            return 0
        rows = await self._open_rows((*UNPROVED, *RESTING))
        known = {name_of(state.ref): state for state in there}
        differing = [row for row in rows if not _agrees(row, known.get(row["client_order_id"]))]
        for row in differing:
            self._tell_difference(row, known.get(row["client_order_id"]))
            await self._report_changed(row, known.get(row["client_order_id"]))
            await self.resolve(row["id"])
        return len(differing) + await self._adopt_foreign(there)

    def _tell_difference(self, row: Mapping[str, Any], state: OrderState | None) -> None:
        if row["status"] in UNPROVED:
            return  # known not to be known: that is what asking is for
        if state is None:
            self._divergences.add("order", row["id"], row["status"], "not open")
        elif not _same_terms(row, state):
            self._divergences.add("terms", row["id"], _terms(row), f"{state.quantity} at {state.price}")
        else:
            self._divergences.add("fill", row["id"], row["filled_quantity"], state.filled_quantity)

    async def _adopt_foreign(self, there: Sequence[OrderState]) -> int:
        """Orders at the venue that somebody placed without us."""
        adopted = 0
        for state in there:
            ref = state.ref
            if order_id_of(ref.client_order_id) is None and ref.venue_order_id:
                order_id = external_id(ref.account_id, ref.instrument, ref.venue_order_id)
                if (await self._context.load(ORDER, order_id)).state is None:
                    self._divergences.add("foreign", ref.venue_order_id, "unknown", f"{state.side} {state.quantity}")
                    metrics.foreign_orders(self._account["exchange"]).inc()
                    await self.adopt(state)
                    await self.resolve(order_id)  # what has been filled of it
                    adopted += 1
        return adopted

    async def adopt(self, state: OrderState) -> None:
        """Take an order that is not ours into the books; its fills follow by asking."""
        ref = state.ref
        if order_id_of(ref.client_order_id) is not None:
            return  # ours, of another installation or of before: its name tells an order that is not here
        report = VenueReport(
            account_id=self._account_id,
            outcome="external",
            source="reconciliation",
            order_id=external_id(ref.account_id, ref.instrument, ref.venue_order_id),
            client_order_id=ref.client_order_id,
            venue_order_id=ref.venue_order_id,
            instrument=ref.instrument,
            side=state.side,
            quantity=state.quantity,
            price=state.price,
            venue_time=state.time,
        )
        await publish_told(self._context.fresh(), self._account["user_id"], [report])

    async def unproved(self) -> int:
        """Resolve orders whose submission has no proof yet; returns how many."""
        rows = await self._open_rows(UNPROVED)
        for row in rows:
            await self.resolve(row["id"])
        return len(rows)

    async def everything(self) -> list[Divergence]:
        """Orders first: as long as one differs, its fills may explain any difference of balances or positions."""
        self._is_new = self._account["mode"] == "live" and not await self._context.find(
            "buying_power", {"account_id": self._account_id}, limit=1
        )
        if await self.orders():
            self._seen.clear()
        else:
            await self.positions()  # what it books changes what the balance should be
            await self.leverages()
            await self.balances()
        return await self._divergences.tell()

    async def positions(self) -> None:
        """Compare the positions of derivatives; make equal what stays different."""
        told = await self._adapter.positions(self._account_id)
        if isinstance(told, Unknown) or await self._is_moving():
            return
        at_venue = {one.instrument: one for one in told}
        for name, (ours, theirs) in (await differences(self._account, list(told), self._context)).items():
            self._divergences.add("position", name, ours, theirs)
            if self._lasts(name, (ours, theirs)):
                await adjust_position(
                    self._account, at_venue.get(name) or VenuePositionState(name, ZERO, ZERO), self._context
                )

    async def leverages(self) -> None:
        """Tell where the venue has another leverage for an open position than was chosen."""
        chosen: Mapping[str, int] = (await self._context.account(self._account_id))["leverages"] or {}
        rows = await self._context.find("positions", {"account_id": self._account_id}) if chosen else ()
        held = [row["instrument"] for row in rows if row["quantity"] and row["instrument"] in chosen]
        told = await self._adapter.leverages(self._account_id, held) if held else {}
        if isinstance(told, Unknown):
            return
        for name, theirs in told.items():
            if theirs != chosen[name]:
                self._divergences.add("leverage", name, f"{chosen[name]}x", f"{plain(theirs)}x")

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
                continue
            self._divergences.add("balance", asset, *difference)
            if self._lasts(asset, difference):
                await self._adjust(asset, *difference)

    async def _is_moving(self) -> bool:
        """Whether any order may have fills that are still on their way."""
        where = {"account_id": self._account_id, "status": ["pending", *UNPROVED, *RESTING]}
        rows = await self._context.find("orders", where, limit=10_000)
        recently = self._context.now() - SETTLE
        sent = [row for row in rows if not row["waits_for"]]  # what the platform holds back moves nothing
        return any(row["status"] not in RESTING or row["updated_at"] > recently for row in sent)

    def _lasts(self, asset: str, difference: Difference) -> bool:
        now = self._context.runtime.clock.monotonic()
        known, since = self._seen.get(asset, (None, now))
        if known != difference:
            self._seen[asset], since = (difference, now), now
        untouched = self._is_new and not difference[0]  # it may have been funded since it was looked at
        return untouched or now - since >= LASTING_SECONDS

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


def name_of(ref: OrderRef) -> str:
    """As our rows name it: an adopted order without a name of its own has the venue's."""
    return ref.client_order_id or f"venue {ref.venue_order_id}"


def _terms(row: Mapping[str, Any]) -> str:
    return f"{row['quantity']} at {row['price']}"


def _agrees(row: Mapping[str, Any], state: OrderState | None) -> bool:
    """Whether the venue sees the order as we do: open, filled as far, of the same quantity and price."""
    if state is None or row["status"] not in RESTING or not _same_terms(row, state):
        return False
    return bool(state.filled_quantity == row["filled_quantity"])


def _same_terms(row: Mapping[str, Any], state: OrderState) -> bool:
    return bool(state.quantity == row["quantity"] and state.price == row["price"])
