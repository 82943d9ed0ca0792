"""What the feed shows, in the words of `schemas.queries`. Rule: decimals outside, integers inside."""

from collections.abc import Sequence

from feeds.market_data.encode import INTERVALS, moment
from feeds.market_data.hub import BookImage, MarketHub
from feeds.market_data.service import MarketData
from patriot.domain.instrument import Instrument
from patriot.protocols.market import Bar
from patriot.runtime.context import RequestContext
from patriot.store.api import Query
from schemas.queries import BarPage, BarView, BookView, MarketStatusView, StreamView, SubscriptionsView


def book(image: BookImage) -> BookView:
    price, quantity = image.instrument.price_of, image.instrument.quantity_of
    return BookView(
        instrument=image.instrument.id,
        bids=tuple((price(one), quantity(other)) for one, other in image.bids),
        asks=tuple((price(one), quantity(other)) for one, other in image.asks),
        sequence=image.sequence,
        as_of=image.as_of,
        in_sync=image.in_sync,
        stale=image.stale,
    )


async def bars(
    context: RequestContext, instrument: Instrument, newest: Sequence[Bar], seconds: int, limit: int
) -> BarPage:
    """Bars of this process; older ones come from the store."""
    views = [_bar(bar, instrument) for bar in newest]
    if len(views) < limit:
        first = views[0].time if views else None
        older = [one for one in await _stored(context, instrument, seconds, limit) if first is None or one.time < first]
        views = [*older, *views][-limit:]
    return BarPage(instrument=instrument.id, seconds=seconds, bars=tuple(views))


def status(
    context: RequestContext, hub: MarketHub, data: MarketData | None, instrument: str
) -> MarketStatusView | None:
    """None where nothing is known of the instrument."""
    silence = hub.silence_seconds(instrument, context.runtime.clock.monotonic())
    image = hub.book(instrument, 1)
    streams = [] if data is None else data.connections.streams(instrument)
    if silence is None and not streams:
        return None
    return MarketStatusView(
        instrument=instrument,
        source=context.runtime.settings.market,
        streams=tuple(
            StreamView(channel=one.channel, subscribers=one.subscribers, connected=one.connected) for one in streams
        ),
        in_sync=image is not None and image.in_sync,
        stale=hub.is_stale(instrument),
        silence_seconds=silence or 0.0,
        missed_trades=0 if data is None else data.connections.missed_trades(instrument),
    )


def subscriptions(data: MarketData | None) -> SubscriptionsView:
    found = {} if data is None else data.connections.subscriptions()
    return SubscriptionsView(
        streams=tuple(sorted((one.channel, one.instrument, count) for one, count in found.items()))
    )


async def _stored(context: RequestContext, instrument: Instrument, seconds: int, limit: int) -> list[BarView]:
    where = {"instrument": instrument.id, "interval": INTERVALS[seconds]}
    rows = await context.runtime.store.find(Query("ohlc", None, where, ("-time",), limit))
    names = ("time", "open", "high", "low", "close", "volume", "trades")
    return [BarView(**{name: row[name] for name in names}, closed=True) for row in reversed(rows)]


def _bar(bar: Bar, instrument: Instrument) -> BarView:
    price = instrument.price_of
    return BarView(
        time=moment(bar.open_ms),
        open=price(bar.open),
        high=price(bar.high),
        low=price(bar.low),
        close=price(bar.close),
        volume=instrument.quantity_of(bar.volume),
        trades=bar.trades,
        closed=bar.closed,
    )
