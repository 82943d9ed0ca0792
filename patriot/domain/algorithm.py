"""A parent order that an algorithm works off: its state, folded from its events, and what is decided about it.

Rule: one child at a time, told before it is placed, counted when it is over. So the totals are sums over ended orders,
and after a crash the open child is found again by its derived id: placed if it was not, awaited if it was.

    running ⇄ paused ──► completed | cancelled          (also from running)
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Final, Literal
from uuid import UUID, uuid5

from patriot.domain.errors import InvalidTransition
from patriot.domain.money import ZERO, exact, rounded
from patriot.domain.order import Order
from schemas.algorithm_events import (
    AlgorithmCancelled,
    AlgorithmCancelRequested,
    AlgorithmChildPlaced,
    AlgorithmCompleted,
    AlgorithmEvent,
    AlgorithmPaused,
    AlgorithmProgressed,
    AlgorithmResumed,
    AlgorithmStarted,
)
from schemas.types import Side

Status = Literal["running", "paused", "completed", "cancelled"]
BASIS_POINTS = 10_000
REFUSALS_MAX = 5


@dataclass(frozen=True, slots=True)
class Algorithm:
    """State after `version` events. `child` is the open one's number, 0 where there is none; `placed` counts all."""

    algorithm_id: UUID
    account_id: UUID
    user_id: UUID
    algorithm: str
    instrument: str
    side: Side
    quantity: Decimal
    limit_price: Decimal | None
    parameters: Mapping[str, Any]
    arrival_price: Decimal
    reduce_only: bool
    version: int
    started_at: datetime
    updated_at: datetime
    status: Status = "running"
    placed: int = 0
    child: int = 0
    child_quantity: Decimal = ZERO
    child_price: Decimal | None = None
    child_at: datetime | None = None
    filled_quantity: Decimal = ZERO
    filled_value: Decimal = ZERO
    cancelling: bool = False
    refusals: int = 0
    paused_at: datetime | None = None
    paused: timedelta = field(default_factory=timedelta)
    reason: str = ""

    @property
    def ended(self) -> bool:
        return self.status in {"completed", "cancelled"}

    @property
    def held(self) -> bool:
        """Whether no child may be placed, not even one that was told before."""
        return not self.ended and (self.cancelling or self.status == "paused")

    @property
    def children_name(self) -> str:
        """The strategy that its children name."""
        return f"{self.algorithm} {str(self.algorithm_id)[:8]}"

    @property
    @exact
    def average_price(self) -> Decimal | None:
        return rounded(self.filled_value / self.filled_quantity) if self.filled_quantity else None

    @property
    def slippage(self) -> Decimal | None:
        return slippage(self.side, self.arrival_price, self.average_price)

    def active_seconds(self, now: datetime) -> float:
        """How long it has run, without its pauses."""
        pause = now - self.paused_at if self.paused_at else timedelta()
        return (now - self.started_at - self.paused - pause).total_seconds()


@exact
def slippage(side: Side, arrival: Decimal, average: Decimal | None) -> Decimal | None:
    """Basis points of the arrival price; positive where the execution was worse than it."""
    if average is None:
        return None
    worse = average - arrival if side == "buy" else arrival - average
    return rounded((worse / arrival * BASIS_POINTS).quantize(Decimal("0.0001")))


def child_id(algorithm_id: UUID, number: int) -> UUID:
    return uuid5(algorithm_id, f"child {number}")


# --- fold ---
def fold(state: Algorithm | None, event: AlgorithmEvent, version: int, occurred_at: datetime) -> Algorithm:
    """Raises InvalidTransition: the event cannot follow."""
    if isinstance(event, AlgorithmStarted):
        given = {name: getattr(event, name) for name in AlgorithmStarted.model_fields}
        return Algorithm(**given, version=version, started_at=occurred_at, updated_at=occurred_at)
    if state is None or state.ended or version != state.version + 1:
        raise InvalidTransition(f"{event.TYPE} cannot be event {version} of algorithm {event.algorithm_id}")
    changes = _CHANGES[type(event)](state, event, occurred_at)
    return replace(state, version=version, updated_at=occurred_at, **changes)


_Changes = dict[str, Any]


def _placed(_: Algorithm, event: AlgorithmChildPlaced, when: datetime) -> _Changes:
    child = {"child": event.number, "placed": event.number, "child_at": when}
    return child | {"child_quantity": event.quantity, "child_price": event.price}


def _progressed(state: Algorithm, event: AlgorithmProgressed, _: datetime) -> _Changes:
    nothing = event.filled_quantity == state.filled_quantity and event.status in {"refused", "rejected"}
    return {
        "child": 0,
        "child_quantity": ZERO,
        "filled_quantity": event.filled_quantity,
        "filled_value": event.filled_value,
        "refusals": state.refusals + 1 if nothing else 0,
        "reason": event.reason,
    }


def _resumed(state: Algorithm, _: AlgorithmResumed, when: datetime) -> _Changes:
    pause = when - state.paused_at if state.paused_at else timedelta()
    return {"status": "running", "paused_at": None, "paused": state.paused + pause}


_CHANGES: Final[dict[type[AlgorithmEvent], Callable[[Algorithm, Any, datetime], _Changes]]] = {
    AlgorithmChildPlaced: _placed,
    AlgorithmProgressed: _progressed,
    AlgorithmPaused: lambda _, event, when: {"status": "paused", "paused_at": when, "reason": event.reason},
    AlgorithmResumed: _resumed,
    AlgorithmCancelRequested: lambda *_: {"cancelling": True},
    AlgorithmCompleted: lambda *_: {"status": "completed"},
    AlgorithmCancelled: lambda _, event, __: {"status": "cancelled", "reason": event.reason},
}


# --- decisions ---
def ids(state: Algorithm) -> dict[str, UUID]:
    return {"algorithm_id": state.algorithm_id, "account_id": state.account_id, "user_id": state.user_id}


def pause(state: Algorithm, reason: str = "") -> list[AlgorithmEvent]:
    return [AlgorithmPaused(**ids(state), reason=reason)] if state.status == "running" else []


def resume(state: Algorithm) -> list[AlgorithmEvent]:
    return [AlgorithmResumed(**ids(state))] if state.status == "paused" else []


def request_cancel(state: Algorithm) -> list[AlgorithmEvent]:
    return [] if state.ended or state.cancelling else [AlgorithmCancelRequested(**ids(state))]


def place_child(state: Algorithm, quantity: Decimal, price: Decimal | None) -> list[AlgorithmEvent]:
    """[] while a child is open, or when nothing more may be placed."""
    if state.child or state.cancelling or state.status != "running":
        return []
    number = state.placed + 1
    order_id = child_id(state.algorithm_id, number)
    return [AlgorithmChildPlaced(**ids(state), number=number, order_id=order_id, quantity=quantity, price=price)]


@exact
def count_child(state: Algorithm, order: Order | None, refusal: str = "") -> list[AlgorithmEvent]:
    """The open child is over: `order`, or None where it was refused and never came to be."""
    if not state.child or (order is not None and not order.ended):
        return []
    filled, value = (order.filled_quantity, order.filled_value) if order else (ZERO, ZERO)
    quantity, total = state.filled_quantity + filled, state.filled_value + value
    average = rounded(total / quantity) if quantity else None
    return [
        AlgorithmProgressed(
            **ids(state),
            number=state.child,
            status=order.status if order else "refused",
            reason=(order.reason if order else refusal)[:500],
            filled_quantity=quantity,
            filled_value=total,
            slippage=slippage(state.side, state.arrival_price, average),
        )
    ]


def finish(state: Algorithm, reason: str = "") -> list[AlgorithmEvent]:
    """The end, once no child is open: completed, or cancelled with the reason."""
    if state.ended or state.child:
        return []
    figures = {
        "filled_quantity": state.filled_quantity,
        "average_price": state.average_price,
        "slippage": state.slippage,
    }
    if reason or state.cancelling:
        return [AlgorithmCancelled(**ids(state), **figures, reason=reason or "asked by the user")]
    return [AlgorithmCompleted(**ids(state), **figures)]
