"""How well it went. Rule: users see themselves; a fund manager (analytics:read) sees every user of the tenant."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import Query as Parameter
from pydantic import AwareDatetime, BeforeValidator

from functions.analytics_queries.domain import AccountTrip
from functions.analytics_queries.reading import Wanted, performance, traded
from patriot.domain.statistics.drawdowns import drawdowns
from patriot.domain.statistics.record import STATISTICS, Record
from patriot.domain.statistics.summary import summary
from patriot.domain.statistics.tables import KEYS, Group, by_hour, by_month, grouped
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Function
from patriot.runtime.kept import STRATEGY_SECONDS, kept
from patriot.runtime.problem import not_found
from patriot.runtime.valuation import CURRENCY, current_market
from schemas.analytics import (
    BreakdownView,
    CurveView,
    DayPage,
    DayView,
    DrawdownView,
    FigureView,
    GroupView,
    MonthView,
    PerformanceView,
    RoundTripPage,
    RoundTripView,
    StatisticPage,
    StatisticView,
)
from schemas.types import InstrumentId


def _written_out(text: object) -> object:
    """Pydantic would take a number for seconds since 1970."""
    if isinstance(text, str) and "-" not in text[1:]:
        raise ValueError("must be a time with its zone, like 2026-01-31T12:00:00Z")
    return text


Moment = Annotated[AwareDatetime, BeforeValidator(_written_out)]

function = Function("analytics-queries")

TRIPS_SHOWN = 200
DRAWDOWNS_SHOWN = 5

Seconds = Annotated[float, Parameter(ge=1, le=86_400, allow_inf_nan=False)]
Rate = Annotated[float, Parameter(ge=-1, le=1, allow_inf_nan=False)]
Limit = Annotated[int, Parameter(ge=1, le=10_000)]
Days = Annotated[int, Parameter(ge=1, le=3_660)]
Strategy = Annotated[str, Parameter(min_length=1, max_length=64)]
By = Literal["strategy", "symbol", "venue", "hour", "weekday", "side"]


@function.get("/analytics/statistics", needs=None)
async def statistics() -> StatisticPage:
    """Every statistic: its unit, its formula and where that comes from."""
    return StatisticPage(statistics=tuple(_statistic(name) for name in STATISTICS))


@function.get("/analytics/performance", needs="portfolio:read", report=True)
async def own_performance(
    context: Context,
    *,
    account_id: UUID | None = None,
    strategy: Strategy | None = None,
    since: Moment | None = None,
    until: Moment | None = None,
    benchmark: InstrumentId | None = None,
    seconds: Seconds | None = None,
    risk_free: Rate = 0.0,
) -> PerformanceView:
    """All statistics, curves and tables of the caller's accounts, one account, or one strategy."""
    user_id = context.user.user_id

    async def make(context: RequestContext) -> PerformanceView:
        accounts = await _accounts(context, user_id, account_id)
        wanted = Wanted(accounts, since, until or context.now(), strategy, benchmark, seconds, risk_free)
        return await _measured(context, wanted)

    if strategy is None or since is not None or until is not None:
        return await make(context)
    name = f"strategy:{strategy}:results:{account_id}:{benchmark}:{seconds}:{risk_free}"
    return await kept(context, name, user_id, PerformanceView, make=make, seconds=lambda _: STRATEGY_SECONDS)


@function.get("/analytics/users/{user_id}/performance", needs="analytics:read", report=True)
async def user_performance(
    user_id: UUID, context: Context, since: Moment | None = None, benchmark: InstrumentId | None = None
) -> PerformanceView:
    """The same of any user of the tenant, for who manages the fund."""
    accounts = await _accounts(context, user_id, None)
    if not accounts:
        raise not_found("user", user_id)
    return await _measured(context, Wanted(accounts, since, context.now(), benchmark=benchmark))


@function.get("/analytics/trips", needs="portfolio:read", report=True)
async def trips(
    context: Context, account_id: UUID | None = None, strategy: Strategy | None = None, limit: Limit = 100
) -> RoundTripPage:
    """The caller's closed round trips, newest first."""
    accounts = await _accounts(context, context.user.user_id, account_id)
    found = await traded(context, Wanted(accounts, None, context.now(), strategy), await current_market(context))
    return RoundTripPage(currency=CURRENCY, trips=tuple(_trip(one) for one in reversed(found.trips[-limit:])))


@function.get("/analytics/breakdown", needs="portfolio:read", report=True)
async def breakdown(context: Context, by: By = "symbol", account_id: UUID | None = None) -> BreakdownView:
    """The caller's round trips by what they share."""
    accounts = await _accounts(context, context.user.user_id, account_id)
    found = await traded(context, Wanted(accounts, None, context.now()), await current_market(context))
    return _breakdown(found.trips, by)


@function.get("/analytics/days", needs="portfolio:read", report=True)
async def days(context: Context, limit: Days = 30) -> DayPage:
    """The caller's performance by day, newest first."""
    rows = await context.find("performance_metrics", {"user_id": context.user.user_id}, ["-time"], limit)
    return DayPage(currency=CURRENCY, days=tuple(_day(row) for row in rows))


async def _accounts(context: RequestContext, user_id: UUID, account_id: UUID | None) -> tuple[UUID, ...]:
    if account_id is not None:
        await context.own_account(account_id)
        return (account_id,)
    rows = await context.find("user_accounts", {"user_id": user_id})
    return tuple(row["id"] for row in rows)


async def _measured(context: RequestContext, wanted: Wanted) -> PerformanceView:
    found = await performance(context, wanted)
    record, times = found.record, found.record.times
    return PerformanceView(
        since=_moment(times[0]) if times.size else wanted.since or wanted.until,
        until=wanted.until,
        currency=found.market.currency,
        benchmark=wanted.benchmark,
        figures=tuple(_figure(name, value) for name, value in summary(record).items()),
        curve=_curve(record),
        months=tuple(MonthView(year=year, month=month, gain=gain) for (year, month), gain in by_month(record).items()),
        hours=by_hour(record),
        drawdowns=tuple(_drawdowns(record)),
        groups=tuple(_breakdown(found.trips, by) for by in KEYS),
        trips=tuple(_trip(one) for one in reversed(found.trips[-TRIPS_SHOWN:])),
        profits=tuple(float(profit) for profit in record.trips.profit),
        unpriced=found.unpriced,
    )


def _statistic(name: str) -> StatisticView:
    one = STATISTICS[name]
    return StatisticView(name=name, title=one.title, group=one.group, unit=one.unit, text=one.text)


def _figure(name: str, value: float | None) -> FigureView:
    one = STATISTICS[name]
    return FigureView(name=name, title=one.title, group=one.group, unit=one.unit, value=value)


def _curve(record: Record) -> CurveView:
    return CurveView(
        seconds=record.seconds,
        times=tuple(_moment(time) for time in record.times),
        equity=tuple(record.equity.tolist()),
        index=tuple(record.index.tolist()) if record.times.size else (),
        drawdown=tuple(record.drawdown.tolist()) if record.times.size else (),
        benchmark=tuple(record.benchmark.tolist()),
    )


def _drawdowns(record: Record) -> list[DrawdownView]:
    return [
        DrawdownView(
            start=_moment(record.times[one.start]),
            trough=_moment(record.times[one.trough]),
            end=None if one.end is None else _moment(record.times[one.end]),
            depth=one.depth,
        )
        for one in drawdowns(record)[:DRAWDOWNS_SHOWN]
    ]


def _breakdown(trips: Sequence[AccountTrip], by: str) -> BreakdownView:
    groups = grouped([one.valued() for one in trips], by)
    return BreakdownView(by=by, currency=CURRENCY, groups=tuple(_group(group) for group in groups))


def _group(group: Group) -> GroupView:
    return GroupView(**{name: getattr(group, name) for name in GroupView.model_fields})


def _trip(one: AccountTrip) -> RoundTripView:
    names = RoundTripView.model_fields.keys() - {"account_id", "strategy"}
    trip = one.valued()
    shown = {name: getattr(trip, name) for name in names}
    return RoundTripView(account_id=one.account_id, strategy=trip.label, **shown)


def _day(row: Any) -> DayView:
    names = DayView.model_fields.keys() - {"total_balance"}
    return DayView(total_balance=row["total_balance_usd"], **{name: row[name] for name in names})


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(float(seconds), UTC)


app = function.app
