"""The other side of every trade: quotes for both instruments, which move far enough to reach what rests."""

import random
from datetime import datetime
from decimal import Decimal

from feeds.venue.exchange import Exchange
from patriot.domain.instrument import Instrument
from patriot.protocols.market import BookSnapshot, Level, Trade
from patriot.runtime.context import price_key
from patriot.runtime.embedded import Host
from schemas.reports import PriceReport
from tests.support.host import PERPETUAL, SPOT

INSTRUMENTS = (PERPETUAL, SPOT)
LEVELS = (1, 2, 3)
LEVEL_TICKS = 20
MOVE_SECONDS = 1.0
START_PRICE = Decimal(60000)
TRADED = Decimal("0.02")  # what the feed tells that others have traded


class Market:
    def __init__(self, exchange: Exchange, rng: random.Random) -> None:
        self._exchange, self._rng = exchange, rng
        self._told: list[tuple[str, bytes, Trade]] = []
        self._quote(START_PRICE)

    def move(self) -> None:
        self._quote(self.middle + self._rng.choice((-20, -2, 0, 0, 2, 20)))

    async def tell(self, host: Host) -> None:
        """What a market data feed would tell this process."""
        if not self._told:
            self._told = [self._tells(instrument, host.runtime.clock.now()) for instrument in INSTRUMENTS]
        for key, price, trade in self._told:
            await host.runtime.state.set(key, price)
            host.runtime.ticks.publish(trade)

    def _tells(self, instrument: Instrument, now: datetime) -> tuple[str, bytes, Trade]:
        """The same for every process, until the market moves."""
        away, time_ms = instrument.tick_size * LEVEL_TICKS, int(now.timestamp() * 1000)
        bid, ask = self.middle - away, self.middle + away
        price = PriceReport(instrument=instrument.id, bid=bid, ask=ask, last=bid, as_of=now)
        return price_key(instrument.id), price.model_dump_json().encode(), self._trade(instrument, TRADED, time_ms)

    def _quote(self, middle: Decimal) -> None:
        """Everything anew, what was traded away too."""
        self.middle = middle
        self._told = []
        for instrument in INSTRUMENTS:
            bids, asks = self._levels(instrument, -1), self._levels(instrument, 1)
            self._exchange.external_book(BookSnapshot(instrument.id, bids, asks, 0, 0))
            self._exchange.external_trade(self._trade(instrument, instrument.minimum_quantity))

    def _trade(self, instrument: Instrument, traded: Decimal, time_ms: int = 0) -> Trade:
        """Somebody trades in the middle: stops look at that."""
        price, quantity = instrument.price_units(self.middle), instrument.quantity_units(traded)
        return Trade(instrument.id, price, quantity, buyer_is_maker=False, trade_id="", time_ms=time_ms)

    def _levels(self, instrument: Instrument, side: int) -> list[Level]:
        prices = (self.middle + side * level * LEVEL_TICKS * instrument.tick_size for level in LEVELS)
        return [(instrument.price_units(price), self._size(instrument)) for price in prices]

    def _size(self, instrument: Instrument) -> int:
        return instrument.quantity_units(Decimal(self._rng.choice(("0.004", "0.011", "0.03"))))
