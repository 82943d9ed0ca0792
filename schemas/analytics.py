"""What analytics_queries answers. Figures that describe money are numbers, sums of money are decimal strings."""

from uuid import UUID

from schemas.types import InstrumentId, Message, Number, Side, Time


class StatisticView(Message):
    """What a statistic is: its unit (ratio, percent as a fraction, money, seconds, count), formula and source."""

    name: str
    title: str
    group: str
    unit: str
    text: str


class StatisticPage(Message):
    statistics: tuple[StatisticView, ...]


class FigureView(Message):
    """`value` is None where the statistic says nothing, for example a ratio of no trades."""

    name: str
    title: str
    group: str
    unit: str
    value: float | None


class RoundTripView(Message):
    """From flat to flat. `adverse` and `favourable`: the furthest that the open profit went."""

    account_id: UUID
    instrument: InstrumentId
    strategy: str
    side: Side
    quantity: Number
    entry_price: Number
    exit_price: Number
    profit: Number
    fees: Number
    adverse: Number
    favourable: Number
    opened_at: Time
    closed_at: Time


class RoundTripPage(Message):
    currency: str
    trips: tuple[RoundTripView, ...]


class GroupView(Message):
    """The trips that share a strategy, symbol, venue, hour, weekday or side."""

    key: str
    trips: int
    wins: int
    profit: Number
    fees: Number
    best: Number
    worst: Number


class BreakdownView(Message):
    by: str
    currency: str
    groups: tuple[GroupView, ...]


class MonthView(Message):
    year: int
    month: int
    gain: float


class DrawdownView(Message):
    """`end` is None while it is open; `depth` is a fraction below zero."""

    start: Time
    trough: Time
    end: Time | None
    depth: float


class CurveView(Message):
    """Columns, `seconds` apart: worth, what it became of one unit, its distance to the peak, the benchmark."""

    seconds: float
    times: tuple[Time, ...]
    equity: tuple[float, ...]
    index: tuple[float, ...]
    drawdown: tuple[float, ...]
    benchmark: tuple[float, ...]


class PerformanceView(Message):
    """Everything that a report shows. `unpriced` trips earn an asset without a price and are left out."""

    since: Time
    until: Time
    currency: str
    benchmark: InstrumentId | None
    figures: tuple[FigureView, ...]
    curve: CurveView
    months: tuple[MonthView, ...]
    hours: dict[int, float]
    drawdowns: tuple[DrawdownView, ...]
    groups: tuple[BreakdownView, ...]
    trips: tuple[RoundTripView, ...]
    profits: tuple[float, ...]
    unpriced: int


class DayView(Message):
    """One user's performance of a day (UTC); today's is renewed as it goes."""

    time: Time
    total_balance: Number
    daily_pnl: Number
    total_pnl: Number
    sharpe_ratio: Number | None
    max_drawdown: Number | None


class DayPage(Message):
    currency: str
    days: tuple[DayView, ...]
