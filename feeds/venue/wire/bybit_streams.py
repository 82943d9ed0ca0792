"""Who reads which public topic of one category. Rule: a request that names one bad topic subscribes to none."""

from collections.abc import Callable
from typing import Final

from feeds.venue.errors import UnknownInstrument
from feeds.venue.events import EVERY, AccountEvent, Change, OrderUpdate
from feeds.venue.wire.bybit_desk import Desk
from feeds.venue.wire.bybit_market_rows import BAR_SECONDS, price, quantity
from feeds.venue.wire.bybit_rows import SIDES
from feeds.venue.wire.bybit_topics import (
    BOOK_SECONDS,
    BarPublisher,
    BookPublisher,
    LinearTickerPublisher,
    Publisher,
    SpotTickerPublisher,
    TradePublisher,
)
from feeds.venue.wire.socket import Socket
from patriot.domain.instrument import Kind


class LiquidationPublisher(Publisher):
    """allLiquidation.{symbol}: the executions of liquidations; the side is that of the position that is closed."""

    def listen(self) -> Callable[[], None]:
        return self.exchange.on_account(EVERY, self.hear_account)

    def hear_account(self, event: AccountEvent) -> None:
        if not isinstance(event, OrderUpdate) or event.change is not Change.TRADE or event.fill is None:
            return
        if event.order.is_liquidation and event.order.instrument.id == self.instrument.id:
            fill = event.fill
            self.tell(
                fill.time_ms,
                SIDES[not event.order.is_buy],
                quantity(self.instrument, fill.quantity_units),
                price(self.instrument, fill.price_units),
            )

    def tell(self, time_ms: int, side: str, size: str, paid: str) -> None:
        self.send("snapshot", [{"T": time_ms, "s": self.instrument.native_symbol, "S": side, "v": size, "p": paid}])


class OldLiquidationPublisher(LiquidationPublisher):
    """liquidation.{symbol}: the same under its former name and shape."""

    def tell(self, time_ms: int, side: str, size: str, paid: str) -> None:
        symbol = self.instrument.native_symbol
        self.send("snapshot", {"updatedTime": time_ms, "symbol": symbol, "side": side, "size": size, "price": paid})


def _book_publisher(depth: int) -> type[BookPublisher]:
    fields = {"depth": depth, "interval_seconds": BOOK_SECONDS[depth], "__doc__": f"orderbook.{depth}.{{symbol}}"}
    return type(f"BookPublisher{depth}", (BookPublisher,), fields)


_COMMON: Final[dict[str, type[Publisher]]] = {
    **{f"orderbook.{depth}": _book_publisher(depth) for depth in BOOK_SECONDS},
    **{f"kline.{interval}": BarPublisher for interval in BAR_SECONDS},
    "publicTrade": TradePublisher,
}
TOPICS: Final[dict[Kind, dict[str, type[Publisher]]]] = {
    "spot": {**_COMMON, "tickers": SpotTickerPublisher},
    "linear": {
        **_COMMON,
        "tickers": LinearTickerPublisher,
        "liquidation": OldLiquidationPublisher,
        "allLiquidation": LiquidationPublisher,
    },
}


class UnknownTopic(Exception):
    """A topic that the category does not have."""


class Streams:
    """The publishers of one category. They are kept once made, so that a book's `u` never starts again by itself."""

    def __init__(self, desk: Desk, kind: Kind) -> None:
        self._desk = desk
        self._kind = kind
        self._publishers: dict[str, Publisher] = {}

    def publisher(self, topic: str) -> Publisher:
        """Return the publisher of a topic. Raises UnknownTopic."""
        found = self._publishers.get(topic)
        if found is None:
            found = self._publishers[topic] = self._make(topic)
        return found

    def restart(self) -> None:
        """Let every book begin again at `u` 1, as after a restart of the service."""
        for publisher in self._publishers.values():
            if publisher.is_read:
                publisher.restart()

    def drop(self, reader: Socket) -> None:
        """Forget a reader."""
        for publisher in self._publishers.values():
            publisher.remove(reader)

    def _make(self, topic: str) -> Publisher:
        name, _, symbol = topic.rpartition(".")
        make = TOPICS[self._kind].get(name)
        if make is None:
            raise UnknownTopic(topic)
        try:
            instrument = self._desk.exchange.find_instrument(symbol, self._kind)
        except UnknownInstrument:
            raise UnknownTopic(topic) from None
        return make(self._desk, instrument, topic)
