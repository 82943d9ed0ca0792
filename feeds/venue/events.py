"""What listeners hear. Rule: events go out in the order things happened, after the command that caused them is whole.

A listener may call the exchange again: its events join the end of the queue, so everyone hears one order of events.
A listener must not raise.

Private (per account, `Exchange.on_account`): `OrderUpdate` for every change of an order, one per fill, then at most
one `AccountUpdate` per wallet and command with the balances and positions that changed.
Public (per instrument, `Exchange.on_market`): `patriot.protocols.market` types. `Trade` per match, then `BookDelta`
(complete, `first == last == previous + 1`; conflate n..m into first=n, last=m, previous=n-1), then `Quote` where the
best prices or their quantities changed; `MarkPrice` when set. `Ticker` and `Bar` are queries, made from the trades.
"""

from collections import deque
from collections.abc import Callable
from copy import copy
from enum import StrEnum
from typing import TypeVar

from msgspec import Struct

from feeds.venue.accounts import Balance, PositionView, WalletName
from feeds.venue.orders import Fill, Order
from patriot.protocols.market import Market


class Change(StrEnum):
    """What happened to an order (Binance's execution type). TRAILED: its stop has followed the market, which no
    exchange tells anybody.
    """

    NEW = "new"
    TRAILED = "trailed"
    TRIGGERED = "triggered"
    TRADE = "trade"
    AMENDED = "amended"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class OrderUpdate(Struct, frozen=True):
    """`order` is a copy as of this change; `fill` is set where `change` is TRADE."""

    change: Change
    order: Order
    fill: Fill | None
    time_ms: int


class AccountUpdate(Struct, frozen=True):
    """Balances and positions of one wallet that changed. `reason`: order, deposit, withdraw, transfer, funding,
    leverage. `difference` gives the amount (10^-18) of a deposit, withdrawal, transfer or funding, else 0.
    """

    account: str
    wallet: WalletName
    reason: str
    balances: tuple[Balance, ...]
    positions: tuple[PositionView, ...]
    difference: int
    time_ms: int


AccountEvent = OrderUpdate | AccountUpdate
AccountListener = Callable[[AccountEvent], None]
MarketListener = Callable[[Market], None]
Listener = TypeVar("Listener")
EVERY = "*"
"""As an account name or instrument id: all of them, but for the venue's own accounts."""


class Events:
    """Queue of undelivered events and the listeners. Nothing is queued where nobody listens."""

    def __init__(self) -> None:
        self._account: dict[str, list[AccountListener]] = {}
        self._market: dict[str, list[MarketListener]] = {}
        self._queue: deque[tuple[str, AccountEvent | Market]] = deque()
        self._delivering = False
        self.own: set[str] = set()
        """The venue's own accounts: who wants to hear one names it. Market makers cause most of what happens."""
        self.on_quiet: list[Callable[[], None]] = []
        """Called when everything that a command caused has been handed out."""

    def on_account(self, account: str, listener: AccountListener) -> Callable[[], None]:
        """Add a listener; call the result to take it away."""
        return _add(self._account, account, listener)

    def on_market(self, instrument_id: str, listener: MarketListener) -> Callable[[], None]:
        """Add a listener; call the result to take it away."""
        return _add(self._market, instrument_id, listener)

    def hears_account(self, account: str) -> bool:
        return account in self._account or (EVERY in self._account and account not in self.own)

    def hears_market(self, instrument_id: str) -> bool:
        return instrument_id in self._market or EVERY in self._market

    def order(self, change: Change, order: Order, fill: Fill | None, time_ms: int) -> None:
        if self.hears_account(order.account):
            self._queue.append((order.account, OrderUpdate(change, copy(order), fill, time_ms)))

    def account(self, update: AccountUpdate) -> None:
        self._queue.append((update.account, update))

    def market(self, event: Market) -> None:
        if self.hears_market(event.instrument):
            self._queue.append((event.instrument, event))

    def deliver(self) -> None:
        """Hand out everything that is queued. A call from within a listener leaves it to the outer one."""
        if self._delivering:
            return
        self._delivering = True
        try:
            while self._queue:
                self._hand_out(*self._queue.popleft())
            for listener in self.on_quiet:
                listener()
        finally:
            self._delivering = False

    def _hand_out(self, key: str, event: AccountEvent | Market) -> None:
        if isinstance(event, (OrderUpdate, AccountUpdate)):
            everybodys = () if key in self.own else self._account.get(EVERY, ())
            for account_listener in (*self._account.get(key, ()), *everybodys):
                account_listener(event)
        else:
            for market_listener in (*self._market.get(key, ()), *self._market.get(EVERY, ())):
                market_listener(event)


def _add(listeners: dict[str, list[Listener]], key: str, listener: Listener) -> Callable[[], None]:
    listeners.setdefault(key, []).append(listener)

    def remove() -> None:
        listeners[key].remove(listener)
        if not listeners[key]:
            del listeners[key]

    return remove
