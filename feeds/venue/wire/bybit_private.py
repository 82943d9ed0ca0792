"""The private topics of one account. Rule: a topic of all categories and one of a single category are told alike.

`order`, `execution`, `execution.fast`, `position` also exist per category ("order.spot"); `wallet` is one for all.
Source: bybit-exchange.github.io/docs/v5/websocket/private
"""

from collections.abc import Callable
from functools import partial
from typing import Final

import msgspec

from feeds.venue.accounts import Account
from feeds.venue.events import AccountEvent, AccountUpdate, OrderUpdate
from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_rows import Row, execution_row, fast_execution_row, mark_of, order_row, position_message
from feeds.venue.wire.bybit_wallet import wallet_message
from feeds.venue.wire.socket import Socket

_CATEGORIES: Final = ("spot", "linear", "inverse", "option")
_SPLIT: Final = ("order", "execution", "execution.fast", "position")
TOPICS: Final = frozenset({"wallet", *_SPLIT, *(f"{name}.{category}" for name in _SPLIT for category in _CATEGORIES)})

_encode = msgspec.json.Encoder().encode


class PrivateStreams:
    """What one authenticated socket hears of its account."""

    def __init__(self, desk: Desk, account: Account, socket: Socket) -> None:
        self._exchange = desk.exchange
        self._strikes = desk.strikes
        self._account = account
        self._socket = socket
        self._topics: set[str] = set()
        self._count = 0
        self._stop = desk.exchange.on_account(account.name, self._hear)

    def add(self, topic: str) -> None:
        self._topics.add(topic)

    def remove(self, topic: str) -> None:
        self._topics.discard(topic)

    def close(self) -> None:
        self._stop()

    def _hear(self, event: AccountEvent) -> None:
        if isinstance(event, OrderUpdate):
            self._tell_order(event)
        else:
            self._tell_account(event)

    def _tell_order(self, event: OrderUpdate) -> None:
        """A trade is told as an execution and as the order that it changed."""
        order, fill, category = event.order, event.fill, event.order.instrument.kind
        self._tell("order", category, lambda: {"category": category} | order_row(order), event.time_ms)
        if fill is not None:
            mark = mark_of(self._exchange, order.instrument.id)
            execution = {"category": category} | execution_row(fill, order, mark)
            self._tell("execution", category, lambda: execution, event.time_ms)
            self._tell("execution.fast", category, lambda: fast_execution_row(fill, order), event.time_ms)

    def _tell_account(self, event: AccountUpdate) -> None:
        for position in event.positions:
            self._tell("position", position.instrument.kind, partial(position_message, position), event.time_ms)
        if event.balances or event.positions:
            self._tell("wallet", "", partial(wallet_message, self._exchange, self._account), event.time_ms)

    def _tell(self, topic: str, category: str, row: Callable[[], Row], time_ms: int) -> None:
        for name in (topic, f"{topic}.{category}"):
            if name in self._topics:
                self._count += 1
                message = {"id": f"{self._account.name}_{name}_{self._count}", "topic": name, "creationTime": time_ms}
                text = _encode(message | {"data": [row()]}).decode()
                self._strikes.send(self._socket, text, name, self._account.name)
