"""What must never be broken, looked at after every commit and at rest. Rule: it knows the venue's truth, and no code of
the platform's but the folds decides what it says.
"""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from feeds.venue.exchange import Exchange
from patriot.domain.deployment import Deployment
from patriot.domain.errors import InvalidTransition
from patriot.domain.money import ZERO
from patriot.domain.order import Order
from patriot.domain.reporting import SMALLER
from patriot.runtime.aggregates import ORDER, STRATEGY
from patriot.store.api import Commit, RecordedEvent
from patriot.store.memory import MemoryStore
from schemas.algorithm_events import AlgorithmEvent
from schemas.events import (
    AccountLeverageChanged,
    Filled,
    MoneyEvent,
    OrderAccepted,
    OrderCancelled,
    OrderCreated,
    OrderEvent,
    OrderExpired,
    OrderFilled,
    OrderRejected,
    OrderSubmitStarted,
)
from schemas.risk_events import RiskHalted, RiskResumed
from schemas.strategy_events import StrategyEvent
from schemas.upcasters import decode_event
from tests.simulation.parents import Parents

ROBOT, HELD_MAX = "robot", Decimal("0.006")
OPEN_AT_VENUE = frozenset({"new", "partially_filled", "untriggered"})


class WatchedStore(MemoryStore):
    """Tells `saw` every event in the moment in which it becomes durable."""

    def __init__(self, clock: Callable[[], datetime], saw: Callable[[RecordedEvent], None]) -> None:
        super().__init__(clock)
        self._saw = saw
        self.commits: list[Commit] = []

    def _append(self, commit: Commit) -> Sequence[RecordedEvent]:
        events = super()._append(commit)
        self.commits.append(commit)
        for event in events:
            self._saw(event)
        return events


class Watch:
    """Collects `problems`; `digest` is over everything that became durable or was sent."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.problems: list[str] = []
        self.orders: dict[UUID, Order] = {}
        self.parents = Parents(self.orders, self.require)
        self.events = 0
        self.commands = 0
        self.signals = 0
        self.deployed: Deployment | None = None
        self.held = ZERO  # by the strategy
        self._started: Counter[UUID] = Counter()
        self._sent: Counter[str] = Counter()
        self._halted: set[str] = set()
        self._leverages: dict[tuple[UUID, str], int] = {}
        self._trades: set[tuple[UUID, str]] = set()
        self._digest = hashlib.sha256()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    def require(self, holds: object, what: str) -> None:
        if not holds:
            self.problems.append(what)

    # --- at every step ---
    def sent(self, command: str, client_order_id: str) -> None:
        """A command leaves for the venue."""
        self.commands += 1
        self._digest.update(f"{command} {client_order_id}\n".encode())
        if command == "create":
            self._sent[client_order_id] += 1
            self.require(self._sent[client_order_id] == 1, f"{client_order_id} was sent twice")
            known = [order for order in self.orders.values() if order.client_order_id == client_order_id]
            started = known and self._started[known[0].order_id]
            self.require(started, f"{client_order_id} was sent before that was durable")

    def saw(self, recorded: RecordedEvent) -> None:
        self.events += 1
        self._digest.update(f"{recorded.stream.kind}/{recorded.stream.id}/{recorded.version}/".encode())
        self._digest.update(recorded.data)
        event = decode_event(recorded.type, recorded.schema_version, recorded.data)
        if isinstance(event, MoneyEvent):
            self._balances(event)
        if isinstance(event, OrderEvent):
            self._order(event, recorded)
        elif isinstance(event, AlgorithmEvent):
            self.parents.saw(event, recorded)
        elif isinstance(event, StrategyEvent):
            self.deployed = STRATEGY.fold(self.deployed, event, recorded.version, recorded.occurred_at)
        elif isinstance(event, AccountLeverageChanged):
            self._leverages[event.account_id, event.instrument] = event.leverage
            busy = [order for order in self.open if order.account_id == event.account_id]
            used = any(order.instrument == event.instrument for order in busy)
            self.require(not used, f"leverage changed to {event.leverage} while orders are open")
        elif isinstance(event, RiskHalted):
            self._halted.add(event.scope)
        elif isinstance(event, RiskResumed):
            self._halted.discard(event.scope)

    def _order(self, event: OrderEvent, recorded: RecordedEvent) -> None:
        try:
            order = ORDER.fold(self.orders.get(event.order_id), event, recorded.version, recorded.occurred_at)
        except InvalidTransition as error:
            self.problems.append(f"{event.TYPE} {recorded.version}: {error}")
            return
        self.orders[event.order_id] = order
        self._proved(event, order)

    def _balances(self, event: MoneyEvent) -> None:
        sums: dict[str, Decimal] = defaultdict(lambda: ZERO)
        for posting in event.postings:
            sums[posting.asset] += posting.amount
        self.require(not any(sums.values()), f"{event.TYPE} does not balance")

    def _proved(self, event: OrderEvent, order: Order) -> None:
        """What the event says of the venue is so."""
        theirs = self._theirs(order)
        status = theirs.status.value if theirs is not None else "never heard of"
        if isinstance(event, OrderCreated):
            self._created(event, order)
        if isinstance(event, OrderSubmitStarted):
            self._started[order.order_id] += 1
            self.require(self._started[order.order_id] == 1, f"{order.order_id} was begun to be sent twice")
            self._showed(order)
        if isinstance(event, OrderAccepted):
            self.require(theirs is not None, f"{order.order_id} accepted, but {status}")
        if isinstance(event, OrderCancelled | OrderExpired | OrderRejected):
            self.require(status not in OPEN_AT_VENUE, f"{order.order_id} {order.status}, but {status} at the venue")
        if isinstance(event, OrderFilled):
            self.require(status not in OPEN_AT_VENUE, f"{order.order_id} filled, but {status} at the venue")
        if isinstance(event, Filled):
            self._traded(event, order)

    def _created(self, event: OrderCreated, order: Order) -> None:
        halted = f"account:{order.account_id}" in self._halted and not order.reduce_only
        self.require(not halted, f"{order.order_id} was created while trading was halted")
        chosen = self._leverages.get((order.account_id, order.instrument))
        self.require(event.leverage == chosen, f"{order.order_id} is at {event.leverage}x, chosen is {chosen}x")
        self.parents.created(event)
        self._signalled(order)

    def _signalled(self, order: Order) -> None:
        """One at a time, so the strategy sees what each has done; none of one that is at rest."""
        if order.strategy_id == ROBOT:
            others = [one for one in self.open if one.strategy_id == ROBOT and one is not order]
            self.require(not others, f"{order.order_id} is a signal while {len(others)} are under way")
            runs = self.deployed is not None and self.deployed.status == "running" and self.deployed.accounts
            self.require(runs, f"{order.order_id} is a signal of a strategy that does not run")
            self.signals += 1

    def _showed(self, order: Order) -> None:
        """Of an iceberg one slice rests at a time."""
        if order.list_kind == "iceberg" and order.parent_id is not None:
            before = self.orders[order.parent_id]
            self.require(
                before.status == "filled", f"slice {order.order_id} was sent after one that is {before.status}"
            )

    def _traded(self, event: Filled, order: Order) -> None:
        key = (order.order_id, event.trade_id)  # who trades with himself has one trade in two orders
        self.require(key not in self._trades, f"trade {event.trade_id} was booked twice")
        self._trades.add(key)
        if order.strategy_id == ROBOT:
            self.held += event.quantity if order.side == "buy" else -event.quantity
            self.require(abs(self.held) <= HELD_MAX, f"the strategy holds {self.held}")
        account = self._exchange.account(str(order.account_id))
        theirs = self._theirs(order)
        fills = self._exchange.trades(account, order.instrument, theirs.id) if theirs is not None else []
        found = [fill for fill in fills if str(fill.trade_id) == event.trade_id]
        told = (event.quantity, event.price, event.fee)
        self.require(
            [(fill.quantity, fill.price, fill.fee) for fill in found] == [told],
            f"trade {event.trade_id} is not the venue's",
        )

    def _theirs(self, order: Order) -> Any:
        account = self._exchange.account(str(order.account_id))
        return account.by_client_id.get((order.instrument, order.client_order_id))

    # --- at rest ---
    @property
    def open(self) -> list[Order]:
        return [order for order in self.orders.values() if not order.ended]

    def check_lists(self) -> None:
        """Rivals share one quantity: that of an oco list, or what the entry of a bracket has filled."""
        lists: dict[UUID, list[Order]] = defaultdict(list)
        for order in self.orders.values():
            if order.list_id is not None and order.list_kind != "iceberg":
                lists[order.list_id].append(order)
        for list_id, members in lists.items():
            entries = [order for order in members if order.parent_id is None]
            oco = members[0].list_kind == "oco"
            shared = entries[0].asked_quantity if oco else entries[0].filled_quantity
            rivals = entries if oco else [order for order in members if order.parent_id is not None]
            filled = sum((order.filled_quantity for order in rivals), ZERO)
            self.require(filled <= shared, f"list {list_id} has filled {filled} of {shared}")

    @property
    def unsettled(self) -> list[Order]:
        """Orders that the platform and the venue do not see alike yet."""
        return [order for order in self.orders.values() if not self._agrees(order)]

    def _agrees(self, order: Order) -> bool:
        if order.waits_for:
            return self._theirs(order) is None and not order.pending_cancel
        if order.status in {"pending", "submitted", "unknown"} or order.pending_cancel or order.pending_modify:
            return False
        theirs = self._theirs(order)
        if theirs is None:
            return order.status in {"rejected", "cancelled"} and not order.filled_quantity
        status = "accepted" if theirs.status.value in {"new", "untriggered"} else theirs.status.value
        if order.ended and (order.reduce_only or order.reason == SMALLER):  # what the venue has cut off has expired
            return order.filled_quantity == theirs.filled and status in {order.status, "filled"}
        return (order.status, order.filled_quantity, order.quantity) == (status, theirs.filled, theirs.quantity)
