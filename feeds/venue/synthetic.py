"""A seeded market that lives by itself. Rule: prices depend on the seed and the step number alone, never on customers.

A fair price per base asset walks through regimes (calm, rising, falling, wild) and is drawn back to where it began.
Two maker accounts quote real orders on a ladder around it, from a few ticks to five per cent away, so the book is deep
and is whole again after every step; a taker account sends flow that leans with the regime. Customers trade against
these orders as against any other. The perpetual trades at a basis to the spot; mark, index and funding follow from it.
Its past is a year of daily bars that end where the walk begins, so that whoever looks back finds something.

    market = SyntheticMarket(exchange, seed=7)
    market.step()   # one step stands for 100 ms; call it as often as you like, at the pace that you like
"""

from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from math import exp, log
from random import Random

from feeds.venue.exchange import Exchange
from feeds.venue.orders import NewOrder, Order, OrderType, Side, TimeInForce
from patriot.domain.instrument import Instrument
from patriot.domain.money import round_down
from patriot.protocols.market import Bar, MarkPrice

STEP_MS = 100
FUNDING_INTERVAL_MS = 8 * 3_600_000
START_PRICES = {"BTC": Decimal(60_000), "ETH": Decimal(3_000)}
"""Of the bases that are not named here: 100."""

# distance of each level from the fair price, in hundred-thousandths of it; the last is the backstop
_LADDER = (2, 5, 9, 14, 22, 35, 60, 110, 250, 700, 2000, 5000)
_LEVEL_NOTIONAL = 4_000  # USDT at the first level; deeper levels hold more
_PULL = 2e-6  # per step, toward the starting price
_SWITCH = 0.002  # chance per step that the regime changes
_FUNDING_MAX = Decimal("0.0005")
PAST_DAYS = 365
_DAY_MS = 86_400_000
_DAY_DEVIATION = 0.03  # of the logarithm of the price, as of large currencies in quiet years
_DAY_TRADES = 50_000


@dataclass(frozen=True, slots=True)
class Regime:
    """Per step: drift and deviation of the logarithm of the price, chance of a taker, its lean to buying."""

    name: str
    drift: float
    deviation: float
    taker: float
    buying: float


REGIMES = (
    Regime("calm", 0.0, 2e-5, 0.25, 0.5),
    Regime("rising", 8e-6, 4e-5, 0.45, 0.65),
    Regime("falling", -8e-6, 4e-5, 0.45, 0.35),
    Regime("wild", 0.0, 1.6e-4, 0.8, 0.5),
)


@dataclass(slots=True)
class Path:
    """The walk of one base asset's fair price, and of its perpetual's basis."""

    random: Random
    start: float
    logarithm: float = field(init=False)
    basis: float = 0.0
    regime: Regime = REGIMES[0]

    def __post_init__(self) -> None:
        self.logarithm = log(self.start)

    @property
    def price(self) -> float:
        return exp(self.logarithm)

    def step(self) -> None:
        if self.random.random() < _SWITCH:
            self.regime = self.random.choice(REGIMES)
        pull = _PULL * (log(self.start) - self.logarithm)
        self.logarithm += self.regime.drift + pull + self.random.gauss(0, self.regime.deviation)
        self.basis = 0.999 * self.basis + self.random.gauss(0, 1e-6)


def past_days(instrument: Instrument, start: float, random: Random, now_ms: int) -> list[Bar]:
    """The days before `now_ms`, oldest first: drawn backwards from the price at which the market opens."""
    today_ms = now_ms - now_ms % _DAY_MS
    bars: list[Bar] = []
    close = start
    for ago in range(1, PAST_DAYS + 1):
        before = close * exp(-random.gauss(0, _DAY_DEVIATION))
        high, low = max(before, close) * (1 + random.random() / 100), min(before, close) * (1 - random.random() / 100)
        prices = (before, high, low, close)
        units = [instrument.price_units(round_down(Decimal(each), instrument.tick_size)) for each in prices]
        volume = instrument.quantity_units(round_down(Decimal(random.uniform(1e8, 5e8) / close), instrument.lot_size))
        figures = (units[0], units[1], units[2], units[3], volume, _DAY_TRADES)
        bars.append(Bar(instrument.id, 86_400, today_ms - ago * _DAY_MS, *figures, closed=True))
        close = before
    return bars[::-1]


class SyntheticMarket:
    """Keeps the books of an exchange alive. Its accounts are `maker-1`, `maker-2` and `taker`, all unlimited."""

    def __init__(self, exchange: Exchange, seed: int) -> None:
        self.steps = 0
        self._exchange = exchange
        self._seed = seed
        open_account = partial(exchange.open_account, unlimited=True, own=True, history_max=0)
        self._makers, self._taker = [open_account("maker-1"), open_account("maker-2")], open_account("taker")
        bases = dict.fromkeys(instrument.base for instrument in exchange.instruments)
        self._paths = {base: Path(Random(f"{seed}:{base}"), float(START_PRICES.get(base, 100))) for base in bases}
        self._quotes: dict[str, dict[tuple[Side, int], Order]] = {one.id: {} for one in exchange.instruments}
        for instrument in exchange.instruments:
            start = self._paths[instrument.base].start
            random = Random(f"{seed}:{instrument.base}:past")
            exchange.remember_days(past_days(instrument, start, random, exchange.now_ms()))

    def step(self) -> None:
        """Move every price by one step: marks, then quotes, then takers."""
        self.steps += 1
        self._exchange.advance()
        for path in self._paths.values():
            path.step()
        for instrument in self._exchange.instruments:
            # a generator of its own per step and instrument: what customers did cannot shift the numbers
            random = Random(f"{self._seed}:{instrument.id}:{self.steps}")
            if instrument.is_derivative:
                self._set_mark(instrument)
            self._requote(instrument, random)
            self._take(instrument, random)

    def regime(self, base: str) -> Regime:
        return self._paths[base].regime

    def fair_price(self, instrument: Instrument) -> Decimal:
        """Return the current fair price, on the tick."""
        path = self._paths[instrument.base]
        price = path.price * (1 + path.basis if instrument.is_derivative else 1)
        return round_down(Decimal(price), instrument.tick_size)

    def _set_mark(self, instrument: Instrument) -> None:
        path, now_ms = self._paths[instrument.base], self._exchange.now_ms()
        index = round_down(Decimal(path.price), instrument.tick_size)
        rate = (Decimal("0.0001") + Decimal(path.basis)).quantize(Decimal("0.00000001"))
        rate = max(-_FUNDING_MAX, min(_FUNDING_MAX, rate))
        next_funding_ms = now_ms - now_ms % FUNDING_INTERVAL_MS + FUNDING_INTERVAL_MS
        mark = instrument.price_units(self.fair_price(instrument))
        units = instrument.price_units(index)
        self._exchange.set_mark(MarkPrice(instrument.id, mark, units, format(rate, "f"), next_funding_ms, now_ms))

    # makers

    def _requote(self, instrument: Instrument, random: Random) -> None:
        """Cancel what stands in the wrong place, then fill the ladder; bids and asks of old and new never meet."""
        quotes = self._quotes[instrument.id]
        targets = self._targets(instrument)
        refreshed = (random.choice(list(Side)), random.randrange(len(_LADDER)))
        for place, order in list(quotes.items()):
            if not order.is_open or order.price != targets[place] or place == refreshed:
                self._withdraw(order)
                del quotes[place]
        for place, price in targets.items():
            if place not in quotes:
                quotes[place] = self._quote(instrument, place, price, random)

    def _targets(self, instrument: Instrument) -> dict[tuple[Side, int], Decimal]:
        fair = self.fair_price(instrument)
        targets: dict[tuple[Side, int], Decimal] = {}
        for level, distance in enumerate(_LADDER):
            offset = fair * distance / 100_000
            grid = max(instrument.tick_size, round_down(offset / 3, instrument.tick_size))
            # a coarser grid farther out, so that deep orders stay where they are for a while
            targets[Side.BUY, level] = round_down(fair - offset, grid)
            targets[Side.SELL, level] = round_down(fair + offset, grid) + grid
        return targets

    def _quote(self, instrument: Instrument, place: tuple[Side, int], price: Decimal, random: Random) -> Order:
        side, level = place
        notional = Decimal(_LEVEL_NOTIONAL * (level + 1) * random.randint(50, 150)) / 100
        quantity = max(instrument.minimum_quantity, round_down(notional / price, instrument.lot_size))
        request = NewOrder(instrument_id=instrument.id, side=side, type=OrderType.LIMIT, quantity=quantity, price=price)
        return self._exchange.create(self._makers[level % 2], request)

    def _withdraw(self, order: Order) -> None:
        if order.is_open:
            account = self._exchange.account(order.account)
            self._exchange.cancel(account, order.instrument.id, order_id=order.id)

    # takers

    def _take(self, instrument: Instrument, random: Random) -> None:
        regime = self._paths[instrument.base].regime
        while random.random() < regime.taker:
            side = Side.BUY if random.random() < regime.buying else Side.SELL
            fair = self.fair_price(instrument)
            notional = Decimal(random.randint(250, 1_000) * random.randint(1, 12))
            quantity = max(instrument.minimum_quantity, round_down(notional / fair, instrument.lot_size))
            bound = fair * (Decimal("1.002") if side is Side.BUY else Decimal("0.998"))
            request = NewOrder(
                instrument_id=instrument.id,
                side=side,
                type=OrderType.LIMIT,
                quantity=quantity,
                price=round_down(bound, instrument.tick_size),
                time_in_force=TimeInForce.IOC,
            )
            self._exchange.create(self._taker, request)
