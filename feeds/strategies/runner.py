"""One running strategy: bars in, orders out. Rule: while an order of it is under way, it decides nothing new.

Bars that close meanwhile are kept (bounded, the oldest dropped) and shown to the strategy afterwards, without letting
it trade on the past: only the newest bar may lead to an order.
"""

from collections import deque
from collections.abc import Awaitable, Callable
from decimal import Decimal
from uuid import UUID

import structlog

from patriot.domain.bars import BarBuilder
from patriot.protocols.market import Bar, Market, Trade
from patriot.strategy import Intent, Strategy, StrategyBar

BARS_WAITING_MAX = 1000

log = structlog.get_logger()

PlaceOrder = Callable[[Intent], Awaitable[UUID | None]]
"""Sends an order; returns its id, or None where it was refused."""


class Runner:
    """Feeds one strategy. `on_market` is synchronous and cheap; `work` sends the orders."""

    def __init__(self, strategy: Strategy, place: PlaceOrder) -> None:
        self.strategy = strategy
        self._place = place
        self._bars = BarBuilder(strategy.instrument.id, (strategy.parameters.bar_seconds,))
        self._waiting: deque[Bar] = deque(maxlen=BARS_WAITING_MAX)
        self._open: set[UUID] = set()
        self.busy = False

    def on_market(self, message: Market) -> bool:
        """Take a tick; True when a bar has closed and `work` is due."""
        if not isinstance(message, Trade):
            return False
        closed = self._bars.add(message)
        self._waiting.extend(closed)
        return bool(closed)

    def on_position(self, quantity: Decimal) -> None:
        self.strategy.on_position(quantity)

    def on_order_end(self, order_id: UUID) -> None:
        self._open.discard(order_id)

    async def work(self) -> None:
        """Show the strategy every waiting bar and place what it wants after the newest."""
        if self.busy:
            return
        self.busy = True
        try:
            while self._waiting:
                await self._show(self._waiting.popleft())
        finally:
            self.busy = False

    async def _show(self, bar: Bar) -> None:
        intents = list(self.strategy.on_bar(StrategyBar.of(bar, self.strategy.instrument)))
        if self._waiting or self._open:
            return  # a newer bar is there, or an order is under way: the strategy has seen this bar, that is all
        for intent in intents:
            order_id = await self._place(intent)
            if order_id is not None:
                self._open.add(order_id)
