"""Tells the platform what the hub has collected. Rule: ids are derived, so that a replay tells the same twice.

Prices go to the state store and to `market.data.prices`; books, trades and bars to their topics; closed bars (and, if
`record_ticks` is set, trades) to the store, in bulk, once a second. What the store does not take waits in a bounded
queue; when that is full the oldest rows are dropped and counted.
"""

from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime

import msgspec
import structlog

from feeds.market_data.encode import bar_row, encode_bars, encode_book, encode_price, encode_trades, moment, tick_row
from feeds.market_data.hub import BookImage, Due, MarketHub
from patriot.runtime.cloudevent import CloudEvent
from patriot.runtime.context import RequestContext, price_key
from patriot.store.api import PUBLIC_TENANT, Row, StoreUnavailable
from patriot.telemetry.metrics import metrics
from schemas.reports import BarsReport, BookReport, PriceReport, TradesReport
from schemas.topics import MARKET_ORDERBOOK, MARKET_PRICES, MARKET_TRADES, Topic

FLUSH_SECONDS = 0.1
PRICE_SECONDS = 30
WRITE_SECONDS = 1.0
ROWS_MAX = 100_000
ROWS_PER_WRITE = 5_000

log = structlog.get_logger()


class Outputs:
    """Flushes one hub."""

    def __init__(self, hub: MarketHub, context: RequestContext) -> None:
        self._hub = hub
        self._context = context
        self._runtime = context.runtime
        self._rows: deque[Row] = deque(maxlen=ROWS_MAX)
        self._written_at = self._runtime.clock.monotonic()
        self._defined_at = float("-inf")
        self.dropped_rows = 0

    async def flush(self) -> Due:
        """Tell everything that is due now; returns it."""
        now, monotonic = self._runtime.clock.now(), self._runtime.clock.monotonic()
        if monotonic - self._defined_at >= WRITE_SECONDS:
            self._defined_at = monotonic
            await self._define()
        due = self._hub.collect(now, monotonic)
        if not self._runtime.settings.market_told:
            return due
        await self._tell_prices(due, now)
        await self._publish(MARKET_ORDERBOOK, lambda: [self._book(image, now) for image in due.books])
        await self._publish(MARKET_TRADES, lambda: [*self._trades(due), *self._bars(due)])
        self._warn(due)
        self._keep(due)
        if monotonic - self._written_at >= WRITE_SECONDS:
            self._written_at = monotonic
            self._measure(monotonic)
            await self.write()
        return due

    async def write(self) -> None:
        """Write the waiting rows; they stay where the store does not answer."""
        while self._rows:
            rows = [self._rows[index] for index in range(min(len(self._rows), ROWS_PER_WRITE))]
            try:
                await self._context.write(rows)
            except StoreUnavailable as error:
                log.warning("bars not written", waiting=len(self._rows), reason=str(error))
                return
            for _ in rows:
                self._rows.popleft()

    async def _define(self) -> None:
        """Without a connection of its own the feed learns definitions from the store."""
        for identifier in self._hub.undefined():
            instrument = await self._runtime.references.instrument(identifier)
            if instrument is not None:
                self._hub.define(instrument)

    async def _tell_prices(self, due: Due, now: datetime) -> None:
        self._measure_told(due, now)
        bodies = {price.instrument.id: encode_price(price) for price in due.prices}
        for identifier, body in bodies.items():
            await self._runtime.state.set(price_key(identifier), body, seconds=PRICE_SECONDS)
        await self._publish(
            MARKET_PRICES,
            lambda: [self._message(PriceReport.TYPE, one, _key(now), now, body) for one, body in bodies.items()],
        )

    def _book(self, image: BookImage, now: datetime) -> CloudEvent:
        return self._message(BookReport.TYPE, image.instrument.id, _key(now), now, encode_book(image))

    def _trades(self, due: Due) -> Iterable[CloudEvent]:
        for instrument, trades in due.trades:
            when = moment(trades[-1].time_ms)
            yield self._message(
                TradesReport.TYPE, instrument.id, trades[-1].trade_id, when, encode_trades(instrument, trades)
            )

    def _bars(self, due: Due) -> Iterable[CloudEvent]:
        for instrument, bars in due.bars:
            when = moment(bars[-1].open_ms + bars[-1].seconds * 1000)
            yield self._message(BarsReport.TYPE, instrument.id, _key(when), when, encode_bars(instrument, bars))

    def _message(self, kind: str, instrument_id: str, key: str, when: datetime, body: bytes) -> CloudEvent:
        """Each type has a subject of its own: a queue that conflates by subject must not drop bars for trades."""
        return CloudEvent(
            id=f"{kind}:{instrument_id}:{key}",
            source="/patriot/market-data",
            type=kind,
            time=when,
            data=msgspec.Raw(body),
            subject=f"{instrument_id}#{kind}",
            tenantid=str(PUBLIC_TENANT),
            correlationid=self._context.origin.correlation_id,
            actor="service:market-data",
            partitionkey=instrument_id,
        )

    async def _publish(self, topic: Topic, make: Callable[[], Sequence[CloudEvent]]) -> None:
        """Messages are made only where somebody may hear them: in a replay nobody does."""
        if self._runtime.publisher.is_heard(topic.name) and (messages := make()):
            await self._runtime.publisher.publish(topic.name, *messages)

    def _keep(self, due: Due) -> None:
        rows = [bar_row(instrument, bar) for instrument, bars in due.bars for bar in bars]
        if self._runtime.settings.record_ticks:
            rows += [tick_row(instrument, trade) for instrument, trades in due.trades for trade in trades]
        self.dropped_rows += max(0, len(self._rows) + len(rows) - ROWS_MAX)
        self._rows.extend(rows)

    def _warn(self, due: Due) -> None:
        for identifier in due.became_stale:
            log.warning("market data stale", instrument=identifier, seconds=self._runtime.settings.staleness_seconds)

    def _measure_told(self, due: Due, now: datetime) -> None:
        for kind, told in (("prices", due.prices), ("books", due.books)):
            for one in told:
                metrics.market_data_told(one.instrument.venue, kind).inc()
        for instrument, trades in due.trades:
            metrics.market_data_told(instrument.venue, "trades").inc(len(trades))
            seconds = (now - moment(trades[-1].time_ms)).total_seconds()
            metrics.market_data_delivery(instrument.venue).observe(max(0.0, seconds))  # the venue's clock may be ahead

    def _measure(self, monotonic: float) -> None:
        silences: dict[str, float] = {}
        for market in self._hub:
            venue = market.instrument_id.partition(":")[0]
            seconds = self._hub.silence_seconds(market.instrument_id, monotonic) or 0.0
            silences[venue] = max(silences.get(venue, 0.0), seconds)
        for venue, seconds in silences.items():
            metrics.feed("market-data", venue).staleness_seconds.set(seconds)


def _key(when: datetime) -> str:
    return str(when.timestamp())
