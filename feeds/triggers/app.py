"""Fires the stops that the platform holds, and ends what is good till a date. Rule: an order fires once.

One process leads, by a lease whose epoch is checked in each append: a second one, or one that has been overtaken,
writes nothing. An order that fires stays itself (its id, its reservation): it goes on to be routed.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from uuid import UUID

import orjson
import structlog

from feeds.triggers.domain import units
from feeds.triggers.watch import Held, Move, Shot, Watch
from patriot.domain.order import Order
from patriot.domain.order_commands import expire, move_stop, request_cancel, trigger
from patriot.runtime.aggregates import ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.runtime.edge import user_context
from patriot.runtime.function import Context, Feed
from patriot.runtime.operation import operation
from patriot.runtime.projections import order_row
from patriot.runtime.risk import scopes_of
from patriot.store.api import Guard, GuardFailed, Lease, LeaseCheck, LeaseLost, Query, StoreUnavailable
from schemas.events import (
    OrderArmed,
    OrderCancelled,
    OrderCancelRequested,
    OrderCreated,
    OrderEvent,
    OrderExpired,
    OrderModified,
    OrderStopMoved,
    OrderTriggered,
)
from schemas.topics import ORDER_EVENTS

LEASE, LEASE_SECONDS = "triggers", 5.0
LOOK_SECONDS, RELOOK_SECONDS, RELOOK_SHARE = 1.0, 30.0, 20.0
AGAIN_SECONDS, AGAIN_SECONDS_MAX = 0.05, 2.0
OPEN = ["pending", "submitted", "accepted", "partially_filled", "unknown"]
EMULATED = ["trigger", "expiry", "trigger,expiry", "expiry,iceberg"]
ROWS_MAX = 10_000_000

log = structlog.get_logger()

feed = Feed(
    "triggers",
    publishes=(OrderStopMoved, OrderTriggered, OrderCancelRequested, OrderCancelled, OrderExpired),
    on_ticks=True,
)

Decide = Callable[[Order], list[OrderEvent]]


class Desk:
    """The triggers of one leader, for as long as it leads."""

    def __init__(self, context: RequestContext, lease: Lease) -> None:
        self._context, self._runtime, self.lease = context, context.runtime, lease
        self.watch = Watch(self._shoot)
        self._unsubscribe: dict[str, Callable[[], None]] = {}
        self._look_at = 0.0

    # --- orders ---
    async def look(self) -> None:
        """Agree with the rows: at the start, and now and then, for events go to one process of several only."""
        clock = self._runtime.clock
        started = clock.monotonic()
        where = {"status": OPEN, "emulated": EMULATED}
        found = await self._runtime.store.find(Query("orders", None, where, limit=ROWS_MAX))
        rows = [row for row in found if self._runtime.shard.has(row["instrument"])]
        for gone in self.watch.ids() - {row["id"] for row in rows}:
            self.watch.drop(gone)
        for row in rows:
            await self.take(row)
        self._look_at = clock.monotonic() + max(RELOOK_SECONDS, RELOOK_SHARE * (clock.monotonic() - started))

    async def take(self, row: Mapping[str, Any]) -> None:
        instrument = await self._context.instrument(row["instrument"])
        if instrument.id not in self._unsubscribe:
            price = await self._context.price(instrument.id)
            self.watch.book(instrument).last = units(instrument, price.last, 1) if price else None
            ticks = self._runtime.ticks
            self._unsubscribe[instrument.id] = ticks.subscribe(self.watch.on_market, [instrument.id])
            await self._ask_for_trades(instrument.id)
        self.watch.take(row, instrument)

    async def _ask_for_trades(self, instrument: str) -> None:
        body = orjson.dumps({"subscriber": feed.name, "instruments": [instrument], "channels": ["trade"]})
        try:
            answer = await self._context.invoke("market-data", "POST", "/subscribe", body)
        except (TimeoutError, KeyError) as error:
            log.warning("trades not subscribed", instrument=instrument, reason=repr(error))
            return
        if answer.status >= 400:
            log.warning("trades not subscribed", instrument=instrument, status=answer.status)

    # --- what is due ---
    async def advance(self) -> None:
        """Expiries and moved stops; now and then a look at everything."""
        for held in self.watch.expired(self._runtime.clock.now()):
            await self._decide(held, expire, "expire")
        for move in list(self.watch.moved()):
            await self._tell(move)
        if self._runtime.clock.monotonic() >= self._look_at:
            await self.look()

    def close(self) -> None:
        while self._unsubscribe:
            self._unsubscribe.popitem()[1]()

    async def _tell(self, move: Move) -> None:
        await self._decide(move.held, lambda order: move_stop(order, move.stop, move.reference), "move stop")

    def _shoot(self, shot: Shot) -> None:
        self._runtime.spawn(self._fire(shot), "trigger")

    async def _fire(self, shot: Shot) -> None:
        """Until it is durable, or somebody else leads."""
        pause = AGAIN_SECONDS
        while not await self._fired(shot):
            await self._runtime.clock.sleep(pause)
            pause = min(2 * pause, AGAIN_SECONDS_MAX)

    async def _fired(self, shot: Shot) -> bool:
        """False: to be tried again."""
        left = None
        try:
            fires = partial(trigger, price=shot.price, stop_price=shot.stop)
            left = await self._decide(shot.held, fires, "trigger", guarded=True)
        except LeaseLost:
            return True  # who leads now sees the same market
        except StoreUnavailable as error:
            log.warning("trigger not durable yet", order_id=str(shot.held.order_id), reason=str(error))
            return False
        except GuardFailed as error:
            if not error.halted:
                return False
            cancels = partial(request_cancel, reason="it fired while trading is halted")
            await self._decide(shot.held, cancels, "cancel")
        self.watch.drop(shot.held.order_id)
        if left is not None and left.waits_for == "trigger" and not left.ended:
            await self.take(_row(left, shot.held.tenant_id))  # its stop has been moved away from the market
        return True

    async def _decide(self, held: Held, decide: Decide, name: str, *, guarded: bool = False) -> Order | None:
        """The order as it stands, where there was nothing to decide."""
        context = user_context(self._runtime, feed.name, held.tenant_id, held.user_id)
        with operation(context, name):
            return await context.decide(partial(self._propose, context, held, decide, guarded=guarded))

    async def _propose(
        self, context: RequestContext, held: Held, decide: Decide, *, guarded: bool
    ) -> Proposal[Order | None]:
        loaded = await context.load(ORDER, held.order_id)
        order = loaded.found
        events, guards, rows = decide(order), tuple[Guard, ...](), []
        if not events:
            return Proposal([], order)
        if guarded and not order.reduce_only:
            guards = await _guards(context, order)
        if isinstance(events[0], OrderStopMoved):
            rows = [order_row(ORDER.fold(order, events[0], loaded.version + 1, context.now()))]
        lease = LeaseCheck(self.lease.name, self.lease.epoch)
        return Proposal([Change(loaded, events)], None, guards, rows, lease=lease)


def _row(order: Order, tenant_id: UUID) -> Mapping[str, Any]:
    return {**order_row(order).values, "tenant_id": tenant_id}


async def _guards(context: RequestContext, order: Order) -> tuple[Guard, ...]:
    """As they stand now: only a halt refuses what its owner was allowed when it was created."""
    scopes = scopes_of(order.user_id, order.account_id, order.strategy_id)
    known = await context.runtime.store.guards(context.tenant_id, scopes)
    return tuple(Guard(scope, known[scope].version) for scope in scopes)


@feed.task
async def run(context: RequestContext) -> None:
    """Lead where nobody else does."""
    runtime = context.runtime
    desk: Desk | None = None
    lease: Lease | None = None
    try:
        while True:
            lease = await runtime.leases.acquire(f"{LEASE}:{runtime.shard}", LEASE_SECONDS)
            if desk is not None and (lease is None or lease.epoch != desk.lease.epoch):
                _resigned(context, desk)
                desk = None
            if lease is not None:
                desk = desk or await _elected(context, lease)
                await desk.advance()
            await runtime.clock.sleep(LOOK_SECONDS)
    finally:
        if desk is not None:
            _resigned(context, desk)
        if lease is not None:
            await runtime.leases.release(lease)


async def _elected(context: RequestContext, lease: Lease) -> Desk:
    desk = context.runtime.local[feed.name] = Desk(context, lease)
    await desk.look()
    log.info("triggers led from here", held=len(desk.watch), epoch=lease.epoch)
    return desk


def _resigned(context: RequestContext, desk: Desk) -> None:
    desk.close()
    context.runtime.local.pop(feed.name, None)


@feed.on(ORDER_EVENTS, OrderCreated, OrderArmed, OrderModified)
async def hold(event: OrderEvent, context: Context) -> None:
    """Hold what the platform has to watch, from its first event on, where its owner wants it."""
    desk = context.runtime.local.get(feed.name)
    if not isinstance(desk, Desk) or (isinstance(event, OrderCreated) and not event.emulated):
        return
    order = (await context.load(ORDER, event.order_id)).found
    if order.emulated and not order.ended and context.runtime.shard.has(order.instrument):
        await desk.take(_row(order, context.tenant_id))


app = feed.app
