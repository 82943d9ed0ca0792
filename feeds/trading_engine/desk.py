"""Works off one parent order. Rule: told, then placed; counted, then told again. Every step may be repeated.

A step looks at how the parent and its open child stand and does the next thing: place the child that was told, count
the one that is over, cancel the one that rests too long, decide the next, or end.

A parent that is paused, or to be cancelled, holds a kill switch above its children: what was told before and is still
on its way is refused by its own commit. So nothing is placed after the answer to a pause.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import TypeVar
from uuid import UUID

import orjson
import structlog

from feeds.trading_engine.algorithm import Algorithm, View, chance
from feeds.trading_engine.meter import Meter
from patriot.domain.algorithm import REFUSALS_MAX, child_id, count_child, finish, place_child
from patriot.domain.algorithm import Algorithm as Parent
from patriot.domain.money import plain, round_down
from patriot.domain.order import Order
from patriot.runtime.aggregates import ALGORITHM, ORDER
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Loaded, Proposal, after
from patriot.runtime.projections import algorithm_row
from patriot.runtime.risk import hold_of
from patriot.store.api import GuardChange, LeaseCheck
from schemas.algorithm_events import AlgorithmEvent

BAD_REQUEST = 400
NEVER_PLACED = "cancelled before it was placed"
UNANSWERED = frozenset({"submitted", "unknown"})  # the venue has nothing yet that could be cancelled for sure

log = structlog.get_logger()

Result = TypeVar("Result")
Proposed = Callable[[Parent], Sequence[AlgorithmEvent]]


class Desk:
    """One parent order in the hands of the leader. `context` acts for its owner."""

    def __init__(
        self, algorithm_id: UUID, algorithm: Algorithm, meter: Meter, context: RequestContext, profile: list[float]
    ) -> None:
        self._id, self._algorithm, self._meter, self._context = algorithm_id, algorithm, meter, context
        self._profile = profile
        self._volume_before, self._filled_before = meter.volume, algorithm.parent.filled_quantity

    async def step(self, lease: LeaseCheck) -> bool:
        """Do the next thing. False: it is over."""
        context = self._context.fresh()
        parent = (await context.load(ALGORITHM, self._id)).state
        assert parent is not None, "it was started"
        if parent.ended:
            return False
        if parent.child:
            await self._mind(parent, context, lease)
        elif parent.cancelling:
            await decide(context, self._id, lease, finish)
        elif parent.refusals >= REFUSALS_MAX:
            await decide(context, self._id, lease, lambda state: finish(state, f"refused: {state.reason}"))
        elif parent.status == "running":
            await self._go_on(parent, context, lease)
        return True

    # --- the open child ---
    async def _mind(self, parent: Parent, context: RequestContext, lease: LeaseCheck) -> None:
        order = (await context.load(ORDER, child_id(self._id, parent.child))).state
        if order is None:
            await self._bring(parent, context, lease)
        elif order.ended:
            if not await _all_fills_told(order, context):
                return  # they are on their way: more than the parent's quantity would be placed without them
            await decide(context, self._id, lease, lambda state: count_child(state, order))
        elif self._is_unwanted(parent, order):
            await context.invoke("order-commands", "DELETE", f"/api/v1/orders/{order.order_id}")

    async def _bring(self, parent: Parent, context: RequestContext, lease: LeaseCheck) -> None:
        """Place the child that was told. That of a paused parent waits."""
        refusal = NEVER_PLACED if parent.cancelling else ""
        if not parent.held:
            refusal = await self._place(parent, context)
        if refusal:
            await decide(context, self._id, lease, lambda state: _never_placed(state, refusal))

    def _is_unwanted(self, parent: Parent, order: Order) -> bool:
        if order.pending_cancel or order.status in UNANSWERED:
            return False
        assert parent.child_at is not None
        rests = (self._context.now() - parent.child_at).total_seconds()
        return parent.cancelling or parent.status == "paused" or rests > self._algorithm.parameters.patience_seconds

    async def _place(self, parent: Parent, context: RequestContext) -> str:
        """The reason of a refusal; empty once it is placed."""
        price = parent.child_price
        body = {
            "account_id": str(parent.account_id),
            "instrument": parent.instrument,
            "side": parent.side,
            "order_type": "market" if price is None else "limit",
            "quantity": plain(parent.child_quantity),
            "price": None if price is None else plain(price),
            "reduce_only": parent.reduce_only,
            "strategy_id": parent.children_name,
        }
        path = f"/orders/{child_id(self._id, parent.child)}/place"
        answer = await context.invoke("order-commands", "POST", path, orjson.dumps(body))
        if answer.status < BAD_REQUEST:
            return ""
        if answer.status >= 500:
            log.warning("child not placed yet", algorithm_id=str(self._id), status=answer.status)
            return ""  # it is placed at the next step, under the same id
        told = orjson.loads(answer.body)
        return f"{told.get('code')}: {told.get('detail')}"

    # --- the next child ---
    async def _go_on(self, parent: Parent, context: RequestContext, lease: LeaseCheck) -> None:
        view = self._view(parent)
        if view is None:
            return
        if self._algorithm.gives_up(view):
            await decide(context, self._id, lease, finish)
            return
        instrument, over = self._meter.instrument, self._algorithm.is_over(view)
        target = parent.quantity if over else min(parent.quantity, self._algorithm.target(view))
        due, left = (quantity - parent.filled_quantity for quantity in (target, parent.quantity))
        smallest = max(instrument.minimum_quantity, instrument.lot_size, instrument.minimum_notional / view.ask)
        if left < smallest:
            await decide(context, self._id, lease, finish)
        elif due >= smallest:
            whole = left if left - due < smallest else due  # no rest that nobody could trade
            size, price = round_down(whole, instrument.lot_size), self._algorithm.price(view)
            await decide(context, self._id, lease, lambda state: place_child(state, size, price))

    def _view(self, parent: Parent) -> View | None:
        bid, ask = self._meter.bid, self._meter.ask
        if bid is None or ask is None:
            return None  # without a market nothing is decided
        started = parent.started_at
        return View(
            seconds=parent.active_seconds(self._context.now()),
            bid=bid,
            ask=ask,
            volume=self._volume(),
            filled=parent.filled_quantity,
            profile=self._profile,
            minute=started.hour * 60 + started.minute + started.second / 60,
            volatility=self._meter.volatility,
            chance=chance(self._id, parent.placed + 1),
        )

    def _volume(self) -> Decimal:
        """What the market has traded since the start; after a restart as much as would have led to the fills."""
        share = getattr(self._algorithm.parameters, "participation", None)
        before = self._filled_before / Decimal(str(share)) if share else Decimal(0)
        return before + self._meter.volume - self._volume_before


async def _all_fills_told(order: Order, context: RequestContext) -> bool:
    """What ended before all of it was filled may have fills whose news is still on its way: the venue is asked."""
    if not order.attempt or order.status in {"filled", "rejected"}:
        return True
    answer = await context.invoke("order-execution", "POST", f"/orders/{order.order_id}/look")
    if answer.status >= BAD_REQUEST:
        log.warning("fills of a child not told yet", order_id=str(order.order_id), status=answer.status)
        return False
    return Decimal(orjson.loads(answer.body)["filled_quantity"]) <= order.filled_quantity


def _never_placed(state: Parent, refusal: str) -> list[AlgorithmEvent]:
    """A pause that came in between is no refusal of the child."""
    return [] if state.status == "paused" and not state.cancelling else count_child(state, None, refusal)


async def decide(context: RequestContext, algorithm_id: UUID, lease: LeaseCheck | None, proposed: Proposed) -> Parent:
    """Commit what `proposed` makes of the parent; returns the parent after it."""

    async def propose() -> Proposal[Parent]:
        loaded = await context.load(ALGORITHM, algorithm_id)
        events = proposed(loaded.found)
        return proposal(loaded, events, context.now(), lambda state: state, lease if events else None)

    return await context.decide(propose)


def proposal(
    loaded: Loaded[Parent],
    events: Sequence[AlgorithmEvent],
    now: datetime,
    told: Callable[[Parent], Result],
    lease: LeaseCheck | None = None,
) -> Proposal[Result]:
    """The events with the parent's row and its hold on the children; the result is what is `told` of it after them."""
    change = Change(loaded, events)
    ((_, _, state),) = after([change], now)
    rows = [algorithm_row(state)] if events else []
    raises = [_hold(state)] if state.held != loaded.found.held else []
    return Proposal([change], told(state), rows=rows, raises=raises, lease=lease)


def _hold(parent: Parent) -> GuardChange:
    return GuardChange(hold_of(parent.account_id, parent.children_name), halted=parent.held)
