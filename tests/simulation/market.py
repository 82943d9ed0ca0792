"""The other side of every trade: a maker who quotes both instruments, and moves far enough to reach what rests."""

import random
from decimal import Decimal

from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, OrderType, Side
from patriot.runtime.embedded import Host
from tests.support.host import PERPETUAL, SPOT, set_price

INSTRUMENTS = (PERPETUAL, SPOT)
LEVELS = 3
LEVEL_TICKS = 20
MOVE_SECONDS = 1.0
START_PRICE = Decimal(60000)


class Market:
    def __init__(self, exchange: Exchange, rng: random.Random) -> None:
        self._exchange, self._rng = exchange, rng
        self._maker = exchange.open_account("maker", unlimited=True)
        self._quote(START_PRICE)

    def move(self) -> None:
        self._quote(self.middle + self._rng.choice((-20, -2, 0, 0, 2, 20)))

    async def tell(self, host: Host) -> None:
        """What a market data feed would tell this process."""
        for instrument in INSTRUMENTS:
            away = instrument.tick_size * LEVEL_TICKS
            await set_price(host, instrument.id, str(self.middle - away), str(self.middle + away))

    def _quote(self, middle: Decimal) -> None:
        self._exchange.cancel_all(self._maker)
        self.middle = middle
        for instrument in INSTRUMENTS:
            for level in range(1, LEVELS + 1):
                away = level * instrument.tick_size * LEVEL_TICKS
                self._rest(instrument.id, Side.BUY, middle - away)
                self._rest(instrument.id, Side.SELL, middle + away)

    def _rest(self, instrument_id: str, side: Side, price: Decimal) -> None:
        quantity = Decimal(self._rng.choice(("0.004", "0.011", "0.03")))
        order = NewOrder(instrument_id=instrument_id, side=side, type=OrderType.LIMIT, quantity=quantity, price=price)
        self._exchange.create(self._maker, order)
