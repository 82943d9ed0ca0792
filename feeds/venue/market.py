"""The market of one instrument inside the venue: book, prices, statistics, waiting stops. Rule: no money here."""

from collections import deque
from collections.abc import Callable
from decimal import Decimal
from heapq import heappop, heappush

from feeds.venue.amounts import notional_factor, quantity_factor, rate_of
from feeds.venue.book import Book
from feeds.venue.orders import Order, OrderStatus, OrderType, Trigger
from feeds.venue.trailing import Trails, is_past_activation
from feeds.venue.waiting import Waiting
from patriot.domain.instrument import Instrument
from patriot.domain.money import ZERO
from patriot.protocols.market import Bar, MarkPrice, Ticker, Trade

MINUTE_MS = 60_000
DAY_MINUTES = 1440
DAY_SECONDS = 86_400
_DAYS_MAX = 1000
_TRADES_MAX = 1000


class Stops:
    """Conditional orders of one instrument that wait for one kind of price. Dead ones leave when their turn comes."""

    def __init__(self) -> None:
        self._rising: list[tuple[int, int, int, Order]] = []
        self._falling: list[tuple[int, int, int, Order]] = []
        self._trails = Trails()

    def add(self, order: Order, price: int) -> None:
        """Let an order wait; `price` is that of now, 0 where none is known yet."""
        if order.type is OrderType.TRAILING_STOP:
            self._trails.add(order, price)
        elif fires_rising(order):
            heappush(self._rising, (order.trigger_units, order.id, order.version, order))
        else:
            heappush(self._falling, (-order.trigger_units, order.id, order.version, order))

    def __bool__(self) -> bool:
        return bool(self._rising or self._falling or self._trails)

    def follow(self, price: int) -> list[Order]:
        """Show a price to those that trail; return those that it has moved."""
        return self._trails.follow(price)

    def due(self, price: int) -> Order | None:
        """Take out the next order that fires at `price`, which those that trail have seen."""
        return _pop_due(self._rising, price) or _pop_due(self._falling, -price) or self._trails.due(price)


def fires_rising(order: Order) -> bool:
    """Tell whether the order waits for a price at or above its trigger."""
    return order.is_buy == order.type.is_stop


def is_triggered(order: Order, price: int) -> bool:
    """Whether the price is where the order fires; for one that trails: where it would have begun to."""
    if order.type is OrderType.TRAILING_STOP:
        return is_past_activation(order, price)
    return price >= order.trigger_units if fires_rising(order) else price <= order.trigger_units


def _pop_due(heap: list[tuple[int, int, int, Order]], price: int) -> Order | None:
    while heap:
        trigger, _, _, order = heap[0]
        waits = order.status is OrderStatus.UNTRIGGERED and abs(trigger) == order.trigger_units
        if waits and trigger > price:
            return None
        heappop(heap)
        if waits:
            return order
    return None


class MarketState:
    """Everything public about one instrument, and the integers that settle its fills.

    `last` and `mark` are 0 until known. `mark` of a derivative is set by the market source, or follows `last`.
    """

    def __init__(self, instrument: Instrument, dirty: dict[str, Book]) -> None:
        self.instrument = instrument
        self.catch_up: Callable[[Waiting], None]
        """Applies the news that waited; set by who brings news."""
        self._book = Book(instrument.id, dirty)
        self._orders = self._book.owners
        self._waiting: Waiting | None = None
        self.tick_units = instrument.price_units(instrument.tick_size)
        self.lot_units = instrument.quantity_units(instrument.lot_size)
        self.notional_factor = notional_factor(instrument)
        self.base_factor = quantity_factor(instrument)
        self.maker_rate = rate_of(instrument.maker_fee)
        self.taker_rate = rate_of(instrument.taker_fee)
        self.last = 0
        self.mark = 0
        self.index = 0
        self.mark_is_given = False
        self.funding_rate = ZERO
        self.next_funding_ms = 0
        self.stops = {Trigger.LAST: Stops(), Trigger.MARK: Stops()}
        self.trades: deque[Trade] = deque(maxlen=_TRADES_MAX)
        self.minutes: deque[Bar] = deque(maxlen=DAY_MINUTES)
        self.days: deque[Bar] = deque(maxlen=_DAYS_MAX)
        """Days that have ended, also those before the venue opened."""
        self.best_shown = (0, 0, 0, 0)
        self._trades_count = 0

    @property
    def book(self) -> Book:
        """The book as of now: who looks finds the news that waited in it."""
        if self._waiting is not None:
            waiting, self._waiting = self._waiting, None
            self.catch_up(waiting)
        return self._book

    @property
    def has_orders(self) -> bool:
        """Whether orders of accounts rest in the book."""
        return bool(self._orders)

    def waiting(self) -> Waiting:
        """Where news may wait while no orders rest; what has waited too long is applied first."""
        waiting = self._waiting
        if waiting is not None:
            if not waiting.is_full:
                return waiting
            _ = self.book
        self._waiting = waiting = Waiting()
        return waiting

    def next_trade_id(self) -> int:
        self._trades_count += 1
        return self._trades_count

    def trades_count_min(self, trade_id: int) -> None:
        """Never give out this trade id, or a lower one, again."""
        self._trades_count = max(self._trades_count, trade_id)

    def print_trade(self, trade: Trade) -> None:
        """Take a trade into last price, recent trades and minute bars."""
        self.last = trade.price
        if not self.mark_is_given:
            self.mark = self.index = trade.price
        self.trades.append(trade)
        open_ms = trade.time_ms - trade.time_ms % MINUTE_MS
        bar = self.minutes[-1] if self.minutes and self.minutes[-1].open_ms >= open_ms else None
        if bar is None:
            self._end_day(open_ms)
            self.minutes.append(_bar_of(trade, open_ms))
        else:
            self.minutes[-1] = _grow(bar, trade)

    def _end_day(self, next_ms: int) -> None:
        """Keep the day of the minutes whole: they themselves are soon forgotten."""
        length_ms = DAY_SECONDS * 1000
        if self.minutes and self.minutes[-1].open_ms // length_ms < next_ms // length_ms:
            self.days.append(self.bars(DAY_SECONDS, 1, next_ms)[-1])

    def price_for(self, trigger: Trigger) -> int:
        return self.mark if trigger is Trigger.MARK else self.last

    def mark_price(self, time_ms: int) -> MarkPrice:
        rate = format(self.funding_rate, "f")
        return MarkPrice(self.instrument.id, self.mark, self.index, rate, self.next_funding_ms, time_ms)

    def set_mark(self, mark: int, index: int, funding_rate: Decimal, next_funding_ms: int) -> None:
        self.mark, self.index, self.mark_is_given = mark, index, True
        self.funding_rate, self.next_funding_ms = funding_rate, next_funding_ms

    def ticker(self, time_ms: int) -> Ticker:
        """Statistics of the last 24 h, to the minute; all 0 before the first trade."""
        bars = [bar for bar in self.minutes if bar.open_ms > time_ms - DAY_MINUTES * MINUTE_MS]
        if not bars:
            return Ticker(self.instrument.id, self.last, self.last, self.last, self.last, 0, time_ms)
        day = merge(bars, DAY_MINUTES * 60, bars[0].open_ms)
        return Ticker(self.instrument.id, day.close, day.open, day.high, day.low, day.volume, time_ms)

    def bars(self, seconds: int, limit: int, time_ms: int) -> list[Bar]:
        """Bars of a whole number of minutes, oldest first, from the last 24 h of minutes; the newest may be open.

        Days go back as far as they are known.
        """
        step_ms = seconds * 1000
        groups: dict[int, list[Bar]] = {}
        for bar in self.minutes:
            groups.setdefault(bar.open_ms - bar.open_ms % step_ms, []).append(bar)
        if seconds == DAY_SECONDS and self.days:
            groups = {open_ms: group for open_ms, group in groups.items() if open_ms > self.days[-1].open_ms}
        made = [merge(group, seconds, open_ms, time_ms >= open_ms + step_ms) for open_ms, group in groups.items()]
        return [*self.days, *made][-limit:] if seconds == DAY_SECONDS else made[-limit:]


def merge(bars: list[Bar], seconds: int, open_ms: int, closed: bool = False) -> Bar:  # noqa: FBT001, FBT002
    """Join bars, oldest first, into one."""
    return Bar(
        bars[0].instrument,
        seconds,
        open_ms,
        bars[0].open,
        max(bar.high for bar in bars),
        min(bar.low for bar in bars),
        bars[-1].close,
        sum(bar.volume for bar in bars),
        sum(bar.trades for bar in bars),
        closed,
    )


def _bar_of(trade: Trade, open_ms: int) -> Bar:
    price = trade.price
    return Bar(trade.instrument, 60, open_ms, price, price, price, price, trade.quantity, 1, closed=False)


def _grow(bar: Bar, trade: Trade) -> Bar:
    price = trade.price
    high, low = max(bar.high, price), min(bar.low, price)
    volume, count = bar.volume + trade.quantity, bar.trades + 1
    return Bar(bar.instrument, 60, bar.open_ms, bar.open, high, low, price, volume, count, closed=False)
