"""The frame around a command. Rule: what is due comes first, then the command, its consequences, and then the news.

Consequences are stops that fire, reduce-only orders that lost their position, and liquidations; each may cause more,
so they repeat until prices rest. News are balances and positions, book deltas and quotes, then everything is delivered.
A listener that calls the exchange starts a frame of its own after the current one is whole.
"""

from collections.abc import Callable

from feeds.venue.accounts import Account, PositionView, WalletName
from feeds.venue.book import Book
from feeds.venue.clearing import Clearing
from feeds.venue.events import AccountUpdate, Events
from feeds.venue.execution import NEVER, Execution
from feeds.venue.liquidation import Liquidation
from feeds.venue.market import MarketState
from feeds.venue.statements import balance, position_view

FUNDING_INTERVAL_MS = 8 * 3_600_000


class Cycle:
    """Runs commands one after the other. `dirty` collects the books that changed."""

    def __init__(
        self,
        *,
        markets: dict[str, MarketState],
        clearing: Clearing,
        execution: Execution,
        liquidation: Liquidation,
        events: Events,
        now_ms: Callable[[], int],
        dirty: dict[str, Book],
    ) -> None:
        self._markets = markets
        self._clearing = clearing
        self._execution = execution
        self._liquidation = liquidation
        self._events = events
        self._now_ms = now_ms
        self._dirty = dirty
        self._is_running = False
        self._reason = ""
        self._due_ms = NEVER
        self._differences: dict[tuple[str, WalletName], int] = {}

    def may_wait(self, market: MarketState) -> bool:
        """Whether news of a book need no command: no order rests in it, nobody listens to it, nothing is due."""
        if market.has_orders or self._events.hears_market(market.instrument.id):
            return False
        return self._due_ms == NEVER or self._due_ms > self._now_ms()

    def command(self, reason: str, differences: dict[tuple[str, WalletName], int]) -> "Cycle":
        """Frame one command: `with cycle.command(...)`; the arguments go into the account updates that it causes."""
        assert not self._is_running, "a command does not call another"
        self._reason, self._differences = reason, differences
        return self

    def __enter__(self) -> None:
        self._execution.now_ms = self._now_ms()
        if self._due_ms <= self._execution.now_ms:
            self._due()
        self._is_running = True

    def __exit__(self, refused: type[BaseException] | None, *_: object) -> None:
        try:
            self._consequences()
            self._publish(self._reason, self._differences)
        finally:
            self._is_running = False
            fundings = [market.next_funding_ms for market in self._markets.values() if market.next_funding_ms]
            self._due_ms = min(self._execution.next_expiry_ms, *fundings, NEVER)
        if refused is None:
            self._events.deliver()

    def _due(self) -> None:
        self._execution.expire_due()
        for market in self._markets.values():
            if market.next_funding_ms and market.next_funding_ms <= self._execution.now_ms:
                self._fund(market)

    def _fund(self, market: MarketState) -> None:
        self._publish("order", {})
        while market.next_funding_ms <= self._execution.now_ms:
            market.next_funding_ms += FUNDING_INTERVAL_MS
            received = self._clearing.pay_funding(market)
            for name in received:
                self._clearing.touch_position(self._clearing.accounts[name], market.instrument.id)
            self._publish("funding", {(name, "linear"): amount for name, amount in received.items()})
        self._execution.revalued[market.instrument.id] = None

    def _consequences(self) -> None:
        while self._execution.moved or self._execution.revalued:
            self._execution.fire_stops()
            self._trim_reduce_only()
            self._check_margins()

    def _trim_reduce_only(self) -> None:
        for (name, _), (_, instrument_ids) in list(self._clearing.touched.items()):
            for instrument_id in instrument_ids:
                self._execution.trim_reduce_only(self._clearing.accounts[name], instrument_id)

    def _check_margins(self) -> None:
        suspects: dict[tuple[str, str], None] = {}
        for instrument_id in self._execution.revalued:
            settle = self._markets[instrument_id].instrument.settle
            for name in self._clearing.holders[instrument_id]:
                suspects[name, settle] = None
        for (name, wallet), (assets, _) in self._clearing.touched.items():
            if wallet == "linear":
                suspects.update(dict.fromkeys((name, asset) for asset in assets))
        self._execution.revalued.clear()
        for name, settle in suspects:
            self._liquidation.check(self._clearing.accounts[name], settle)

    def _publish(self, reason: str, differences: dict[tuple[str, WalletName], int]) -> None:
        for (name, wallet), (assets, instrument_ids) in self._clearing.touched.items():
            if self._events.hears_account(name):
                account = self._clearing.accounts[name]
                balances = tuple(balance(self._clearing, account, wallet, asset) for asset in assets)
                positions = tuple(self._position(account, instrument_id) for instrument_id in instrument_ids)
                difference = differences.get((name, wallet), 0)
                now_ms = self._execution.now_ms
                self._events.account(AccountUpdate(name, wallet, reason, balances, positions, difference, now_ms))
        self._clearing.touched.clear()
        for instrument_id, book in self._dirty.items():
            self._publish_book(self._markets[instrument_id], book)
        self._dirty.clear()

    def _position(self, account: Account, instrument_id: str) -> PositionView:
        return position_view(self._clearing, account, account.positions[instrument_id])

    def _publish_book(self, market: MarketState, book: Book) -> None:
        if not self._events.hears_market(book.instrument_id):
            book.skip_delta()
            return
        delta = book.take_delta(self._execution.now_ms)
        if delta is None:
            return
        self._events.market(delta)
        quote = book.quote(self._execution.now_ms)
        best = (quote.bid, quote.bid_quantity, quote.ask, quote.ask_quantity)
        if best != market.best_shown:
            market.best_shown = best
            self._events.market(quote)
