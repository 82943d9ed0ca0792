"""Tells the analysis of every instrument. Rule: from what is recorded, now and then; never in the way of a tick."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
import orjson
import structlog

from feeds.trading_engine.analysis import domain
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.context import RequestContext
from patriot.store.api import PUBLIC_TENANT, Query
from schemas.reports import AnalysisReport
from schemas.topics import MARKET_PRICES

BARS = 240
DEPTH = 20

log = structlog.get_logger()

Row = Mapping[str, Any]


async def analyse(context: RequestContext) -> int:
    """One round over our shard's instruments with minute bars; returns how many reports were published."""
    store = context.runtime.store
    names = [row["id"] for row in await store.find(Query("instruments", None, {}, ["id"]))]
    bars = {name: rows for name in names if (rows := await _bars(context, name))}
    closes = {name: {_minute(row): float(row["close"]) for row in rows} for name, rows in bars.items()}
    ours = [name for name in bars if context.runtime.shard.has(name)]  # their books are in this process
    for name in ours:
        report = report_of(name, bars[name], closes, await _book(context, name), context)
        await context.runtime.publisher.publish(MARKET_PRICES.name, _message(report, context))
    return len(ours)


def report_of(
    name: str, rows: Sequence[Row], closes: Mapping[str, Mapping[int, float]], book: Mapping[str, Any], context: Any
) -> AnalysisReport:
    series = [float(row["close"]) for row in rows]
    spread, bids, asks = domain.spread_and_depth(_levels(book, "bids"), _levels(book, "asks"))
    most, shares = domain.volume_profile([(float(row["close"]), float(row["volume"])) for row in rows])
    return AnalysisReport(
        instrument=name,
        as_of=context.now(),
        minutes=len(series),
        volatility=_figure(domain.volatility(series)),
        regime=domain.regime(series),
        trends={frame: domain.trend(series, minutes) for frame, minutes in domain.TIMEFRAMES.items()},
        spread_bps=_figure(spread),
        bid_depth=_figure(bids),
        ask_depth=_figure(asks),
        volume_per_minute=_figure(sum(float(row["volume"]) for row in rows) / len(rows)),
        busiest_price=_figure(most),
        volume_shares=tuple(_figure(one) for one in shares),
        correlations={other: _figure(one) for other, one in domain.correlations(closes, name).items()},
    )


async def _bars(context: RequestContext, name: str) -> list[Row]:
    where = {"instrument": name, "interval": "1m"}
    rows = await context.runtime.store.find(Query("ohlc", None, where, ["-time"], BARS))
    return list(reversed(rows))


async def _book(context: RequestContext, name: str) -> Mapping[str, Any]:
    try:
        answer = await context.invoke("market-data", "GET", f"/api/v1/market/{name}/book?depth={DEPTH}")
    except (TimeoutError, KeyError) as error:
        log.info("no book to analyse", instrument=name, reason=repr(error))
        return {}
    return dict(orjson.loads(answer.body)) if answer.status == 200 else {}


def _levels(book: Mapping[str, Any], side: str) -> list[tuple[float, float]]:
    return [(float(price), float(quantity)) for price, quantity in book.get(side, ())]


def _minute(row: Row) -> int:
    return int(row["time"].timestamp() // 60)


def _figure(number: float) -> Decimal:
    return Decimal(str(round(number, 8)))


def _message(report: AnalysisReport, context: RequestContext) -> CloudEvent:
    return CloudEvent(
        id=f"{report.TYPE}:{report.instrument}:{report.as_of.timestamp()}",
        source=f"/patriot/{context.service}",
        type=report.TYPE,
        time=report.as_of,
        data=msgspec.Raw(report.model_dump_json().encode()),
        subject=f"{report.instrument}#{report.TYPE}",
        tenantid=str(PUBLIC_TENANT),
        correlationid=context.origin.correlation_id,
        actor=f"service:{context.service}",
        partitionkey=report.instrument,
    )
