"""One running strategy: bars in, orders out. Rule: while an order of it is under way, it decides nothing new.

Bars that close meanwhile are kept (bounded, the oldest dropped) and shown to the strategy afterwards, without letting
it trade on the past: only the newest bar may lead to an order. A strategy that quotes takes its resting orders back
first and places new ones once they have ended.
"""

from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from decimal import Decimal
from uuid import UUID

import structlog

from patriot.domain.bars import BarBuilder
from patriot.protocols.market import Bar, Market, Trade
from patriot.strategy import Intent, Strategy, StrategyBar

BARS_WAITING_MAX = ENDED_MAX = 1000

log = structlog.get_logger()

PlaceOrder = Callable[[Intent], Awaitable[UUID | None]]
"""Sends an order; returns its id, or None where it was refused."""

CancelOrder = Callable[[UUID], Awaitable[None]]


async def _nothing_to_cancel(_: UUID) -> None:
    return


class Runner:
    """Feeds one strategy. `on_market` is synchronous and cheap; `work` sends the orders."""

    def __init__(self, strategy: Strategy, place: PlaceOrder, cancel: CancelOrder = _nothing_to_cancel) -> None:
        self.strategy = strategy
        self._place, self._cancel = place, cancel
        self._bars = {name: BarBuilder(name, tuple(strategy.timeframes)) for name in strategy.instruments}
        self._waiting: deque[Bar] = deque(maxlen=BARS_WAITING_MAX)
        self._open: set[UUID] = set()
        self._ended: deque[UUID] = deque(maxlen=ENDED_MAX)
        self._positions: dict[str, int] = {}  # versions
        self.seen_ms = 0  # end of the newest bar that the strategy has seen
        self.paused = False
        self.busy = False

    @property
    def waits_for(self) -> frozenset[UUID]:
        """Its orders that are under way."""
        return frozenset(self._open)

    def on_market(self, message: Market) -> bool:
        """Take a tick; True when a bar has closed and `work` is due."""
        if not isinstance(message, Trade):
            return False
        closed = self._bars[message.instrument].add(message)
        self._waiting.extend(closed)
        return bool(closed)

    def on_position(self, quantity: Decimal, instrument: str, version: int) -> None:
        """Brokers reorder: what is older than the newest is of the past."""
        if version >= self._positions.get(instrument, 0):
            self._positions[instrument] = version
            self.strategy.on_position(quantity, instrument)

    def adopt(self, order_id: UUID) -> None:
        """An order is under way, unless its end has come before the news of its beginning."""
        if order_id not in self._ended:
            self._open.add(order_id)

    def on_order_end(self, order_id: UUID) -> None:
        self._open.discard(order_id)
        self._ended.append(order_id)

    def show_past(self, bars: Iterable[StrategyBar]) -> None:
        """Let the strategy see bars of before; what it wants to do about them is of the past."""
        for bar in bars:
            list(self.strategy.on_bar(bar))
            self.seen_ms = max(self.seen_ms, bar.open_ms + bar.seconds * 1000)

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

    async def take_back(self) -> None:
        """Ask for the end of all orders that are under way."""
        for order_id in sorted(self._open):
            await self._cancel(order_id)

    async def _show(self, bar: Bar) -> None:
        strategy = self.strategy
        intents = list(strategy.on_bar(StrategyBar.of(bar, strategy.instruments[bar.instrument])))
        self.seen_ms = max(self.seen_ms, bar.open_ms + bar.seconds * 1000)
        if self._waiting or self.paused:
            return  # a newer bar is there: the strategy has seen this one, that is all
        if self._open:
            if strategy.QUOTES:
                await self.take_back()
            return
        for intent in intents:
            order_id = await self._place(intent)
            if order_id is not None:
                self.adopt(order_id)
