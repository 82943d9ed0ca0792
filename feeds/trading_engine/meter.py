"""What the market of one instrument does, as the algorithms need it. Rule: a tick costs a few additions."""

from decimal import Decimal
from math import log, sqrt

from patriot.domain.instrument import Instrument
from patriot.protocols.market import Market, Quote, Trade

MEMORY_SECONDS = 300.0
SECOND_MS = 1000


class Meter:
    """Best prices, traded volume since the start, and the volatility of a second's return (exponential, 5 minutes)."""

    def __init__(self, instrument: Instrument) -> None:
        self.instrument = instrument
        self._bid = self._ask = self._last = self._volume = 0
        self._second = 0
        self._price_of_second = 0
        self._variance = 0.0

    def on_market(self, message: Market) -> None:
        if isinstance(message, Trade):
            self._volume += message.quantity
            self._last = message.price
            if message.time_ms // SECOND_MS != self._second:
                self._take_second(message.time_ms // SECOND_MS, message.price)
        elif isinstance(message, Quote):
            self._bid, self._ask = message.bid, message.ask

    def _take_second(self, second: int, price: int) -> None:
        if self._price_of_second and price > 0:
            seconds = max(1, second - self._second)
            square = log(price / self._price_of_second) ** 2 / seconds
            weight = min(1.0, seconds / MEMORY_SECONDS)
            self._variance += weight * (square - self._variance) if self._variance else square
        self._second, self._price_of_second = second, price

    @property
    def bid(self) -> Decimal | None:
        best = self._bid or self._last
        return self.instrument.price_of(best) if best else None

    @property
    def ask(self) -> Decimal | None:
        best = self._ask or self._last
        return self.instrument.price_of(best) if best else None

    @property
    def volume(self) -> Decimal:
        return self.instrument.quantity_of(self._volume)

    @property
    def volatility(self) -> float:
        return sqrt(self._variance)
