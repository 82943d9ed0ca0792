"""What analytics reads. Rule: by tenant and by the accounts of one user, never more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import numpy as np

from functions.analytics_queries import domain
from functions.analytics_queries.domain import AccountTrip, Extremes, Point, Trading
from patriot.domain.statistics.record import Floats, Record, Trips
from patriot.domain.worth import TOTAL, Market
from patriot.runtime.context import RequestContext
from patriot.runtime.valuation import current_market
from patriot.store.api import Between

ROWS_MAX = 500_000
BARS = (("1s", 1.0), ("1m", 60.0), ("1h", 3_600.0))
BARS_MAX = 7_200  # of one instrument, to look for the extremes of trips

Rows = Sequence[Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to measure: accounts of one user, from `since` (inclusive) to `until`."""

    accounts: tuple[UUID, ...]
    since: datetime | None
    until: datetime
    strategy: str | None = None
    benchmark: str | None = None
    seconds: float | None = None
    risk_free: float = 0.0


@dataclass(frozen=True, slots=True)
class Performance:
    record: Record
    trips: tuple[AccountTrip, ...]
    market: Market
    unpriced: int


async def performance(context: RequestContext, wanted: Wanted) -> Performance:
    """Measure. Without samples the curve is that of the closed profits."""
    market = await current_market(context)
    found = await traded(context, wanted, market)
    points = await _equity(context, wanted, found)
    sampled = context.runtime.settings.snapshot_seconds
    seconds = wanted.seconds or domain.step_of(points, sampled if wanted.strategy is None else 0.0)
    grid = domain.grid_of(points, seconds)
    trips = await _widened(context, found.trips, market)
    held = await context.find("positions", {"account_id": list(wanted.accounts)}, limit=ROWS_MAX)
    profits = [market.valued_profit(row) for row in held] if wanted.strategy is None else []
    record = Record(
        grid,
        domain.on_grid(points, grid),
        seconds,
        await _flows(context, wanted, market, points, grid),
        Trips.of([one.valued() for one in trips]),
        await _benchmark(context, wanted, grid, seconds),
        wanted.risk_free,
        await _orders(context, wanted),
        found.traded,
        len(found.still_open),
        float(sum(profit for profit in profits if profit is not None)),
    )
    return Performance(record, tuple(trips), market, found.unpriced)


async def traded(context: RequestContext, wanted: Wanted, market: Market) -> Trading:
    """The trips that closed within the time; those before are needed to know where each began."""
    where = {"account_id": list(wanted.accounts), "executed_at": Between(high=wanted.until)}
    rows = await context.find("trades", where, ["executed_at", "trade_id"], ROWS_MAX)
    orders = await context.find("orders", {"account_id": list(wanted.accounts)}, limit=ROWS_MAX)
    labels = {row["id"]: row["strategy_id"] for row in orders if row["strategy_id"]}
    if wanted.strategy is not None:
        rows = [row for row in rows if labels.get(row["order_id"]) == wanted.strategy]
    found = domain.trading(rows, labels, market.instruments, market.valuation, market.currency)
    if wanted.since is not None:
        found.trips = [one for one in found.trips if one.trip.closed_at >= wanted.since]
    return found


async def _equity(context: RequestContext, wanted: Wanted, found: Trading) -> list[Point]:
    sampled: list[Point] = []
    if wanted.strategy is None:
        where = {"account_id": list(wanted.accounts), "instrument": TOTAL, "time": Between(wanted.since, wanted.until)}
        sampled = domain.totals(await context.find("portfolio_snapshots", where, ["time"], ROWS_MAX))
    return sampled if len(sampled) > 1 else await _closed_profits(context, wanted, found)


async def _closed_profits(context: RequestContext, wanted: Wanted, found: Trading) -> list[Point]:
    """What the accounts own now, less all profits of the time, and then one trip after the other."""
    if not found.trips:
        return []
    market = await current_market(context)
    rows = await context.find("buying_power", {"account_id": list(wanted.accounts)})
    worth = float(market.valuation.total(((row["asset"], row["total"]) for row in rows), market.currency) or 0)
    worth -= float(sum(one.valued().profit for one in found.trips))
    points = [(found.trips[0].trip.opened_at.timestamp(), worth)]
    for one in found.trips:
        worth += float(one.valued().profit)
        points.append((one.trip.closed_at.timestamp(), worth))
    return points


async def _flows(
    context: RequestContext, wanted: Wanted, market: Market, points: Sequence[Point], grid: Floats
) -> Floats:
    if wanted.strategy is not None or not grid.size:
        return np.empty(0)
    accounts = list(wanted.accounts)
    span = Between(datetime.fromtimestamp(points[0][0], UTC), wanted.until)
    where = {"account_id": accounts, "account_code": "external", "posted_at": span}
    entries = await context.find("ledger_entries", where, ["posted_at"], ROWS_MAX)
    rates: dict[str, list[Point]] = {}
    for asset in {entry["asset"] for entry in entries} - {market.currency}:
        sampled = {"account_id": accounts, "instrument": asset, "time": span}
        rows = await context.find("portfolio_snapshots", sampled, ["time"], ROWS_MAX)
        priced = [row for row in rows if row["quantity"] and row["value_usd"] is not None]
        rates[asset] = [(row["time"].timestamp(), float(row["value_usd"] / row["quantity"])) for row in priced]
    came = domain.flows(entries, rates, market.valuation, market.currency)
    return domain.summed_on_grid(domain.at_samples(came, points), grid)


async def _widened(context: RequestContext, trips: Sequence[AccountTrip], market: Market) -> list[AccountTrip]:
    """The trips with how far the price went while they were open."""
    widened = list[AccountTrip]()
    for name in dict.fromkeys(one.trip.instrument for one in trips):
        own = [one for one in trips if one.trip.instrument == name]
        first, last = min(one.trip.opened_at for one in own), max(one.trip.closed_at for one in own)
        bars, seconds = await _bars(context, name, first, last, (last - first).total_seconds() / BARS_MAX)
        extremes = Extremes(bars)
        instrument = market.instruments[name]
        widened += [replace(one, trip=extremes.widened(one.trip, instrument, seconds)) for one in own]
    return sorted(widened, key=lambda one: one.trip.closed_at)


async def _benchmark(context: RequestContext, wanted: Wanted, grid: Floats, seconds: float) -> Floats:
    if wanted.benchmark is None or not grid.size:
        return np.empty(0)
    first, last = (datetime.fromtimestamp(float(time), UTC) for time in (grid[0], grid[-1] + 1))
    finest = max(length for _, length in BARS if length <= seconds)
    bars, length = await _bars(context, wanted.benchmark, first, last, finest)
    return domain.on_grid([(bar["time"].timestamp() + length, float(bar["close"])) for bar in bars], grid)


async def _orders(context: RequestContext, wanted: Wanted) -> int:
    where: dict[str, Any] = {"account_id": list(wanted.accounts), "created_at": Between(wanted.since, wanted.until)}
    where |= {} if wanted.strategy is None else {"strategy_id": wanted.strategy}
    return len(await context.find("orders", where, limit=ROWS_MAX))


async def _bars(
    context: RequestContext, instrument: str, first: datetime, last: datetime, finest_seconds: float
) -> tuple[Rows, float]:
    """The shortest bars that there are, from the one that `first` lies in, and their length."""
    for interval, length in (bar for bar in BARS if bar[1] >= finest_seconds):
        time = Between(first - timedelta(seconds=length), last)
        where = {"instrument": instrument, "interval": interval, "time": time}
        if rows := await context.find("ohlc", where, ["time"], ROWS_MAX):
            return rows, length
    return (), 0.0
