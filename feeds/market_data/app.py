"""Market data for the whole platform. Rule: every message goes through the `ticks` port, whatever source it has.

In a replay, and where the built-in venue runs in process, others publish on that port and this feed only listens;
otherwise it holds the connections to the exchanges, or to the built-in venue on loopback.
"""

import asyncio
from dataclasses import dataclass
from typing import Annotated

from fastapi import Query
from pydantic import Field

from feeds.market_data import views
from feeds.market_data.budget import BudgetExhausted
from feeds.market_data.days import LOOK_SECONDS, Days
from feeds.market_data.endpoints import endpoints
from feeds.market_data.hub import MarketHub
from feeds.market_data.market import BAR_SECONDS
from feeds.market_data.outputs import FLUSH_SECONDS, Outputs
from feeds.market_data.rest import Rest
from feeds.market_data.service import MarketData
from feeds.market_data.transport import WebTransport
from patriot.protocols.codec import Channel
from patriot.protocols.errors import ProtocolError
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Context, Feed
from patriot.runtime.ports import Runtime
from patriot.runtime.problem import ProblemError, not_found
from schemas.queries import BarPage, BookView, MarketStatusView, SubscriptionsView
from schemas.types import InstrumentId, Message

OPENING_LOOKS, OPENING_SECONDS = 50, 0.1

feed = Feed("market-data", on_ticks=True, source=True)


@dataclass(slots=True)
class Local:
    """What this feed holds in the process. `data` is None where others publish on the ticks port."""

    hub: MarketHub
    data: MarketData | None = None

    def rest_of(self, instrument: str) -> Rest | None:
        """Whom to ask about an instrument. Raises UnknownInstrument."""
        return None if self.data is None else self.data.connections.source_of(instrument).rest


class SubscriptionRequest(Message):
    """Who wants which instruments; without `channels`, everything that the endpoint has."""

    subscriber: Annotated[str, Field(min_length=1, max_length=100)]
    instruments: Annotated[tuple[InstrumentId, ...], Field(min_length=1, max_length=1000)]
    channels: tuple[Channel, ...] = ()


def local_of(runtime: Runtime) -> Local:
    """This process's own, made and connected to the ticks at first use."""
    local = runtime.local.get(feed.name)
    if local is None:
        local = runtime.local[feed.name] = Local(MarketHub(runtime.settings.staleness_seconds))
        runtime.ticks.subscribe(local.hub.on_market)
    assert isinstance(local, Local)
    return local


@feed.task
async def flush(context: RequestContext) -> None:
    """Tell prices, books, trades and bars, each 100 ms; ask again for what cannot be true."""
    local = local_of(context.runtime)
    outputs = Outputs(local.hub, context)
    while True:
        await context.runtime.clock.sleep(FLUSH_SECONDS)
        due = await outputs.flush()
        if local.data is not None:
            for instrument in (*due.became_stale, *due.to_resync):
                local.data.connections.refresh(instrument)


@feed.task
async def remember(context: RequestContext) -> None:
    """Write the daily bars of all that is heard. In a replay the days are not of our time."""
    if context.runtime.settings.market == "replay":
        return
    local = local_of(context.runtime)
    days = Days(context, local.hub, local.rest_of)
    while True:
        await context.runtime.clock.sleep(LOOK_SECONDS)
        await days.look()


async def _venue_serves(runtime: Runtime) -> None:
    """The built-in venue starts when we do: give it a moment before anybody calls it unreachable."""
    host, _, port = runtime.settings.venue_address.rpartition(":")
    for _ in range(OPENING_LOOKS):
        try:
            _, writer = await asyncio.open_connection(host, int(port))
        except OSError:
            await runtime.clock.sleep(OPENING_SECONDS)
        else:
            writer.close()
            return


@feed.task
async def connect(context: RequestContext) -> None:
    """Hold the connections, where this process has any."""
    settings = context.runtime.settings
    chosen = endpoints(settings)
    if not chosen:
        return
    local = local_of(context.runtime)
    if settings.market == "synthetic":
        await _venue_serves(context.runtime)
    async with WebTransport() as transport:
        local.data = MarketData(context, local.hub, transport, chosen)
        try:
            await local.data.run()
        finally:
            local.data = None


@feed.invoked("/subscribe")
async def subscribe(request: SubscriptionRequest, context: Context) -> SubscriptionsView:
    """Count a part of the platform in. Asking again is harmless."""
    data = local_of(context.runtime).data
    if data is not None:
        try:
            await data.subscribe(request.subscriber, request.instruments, request.channels)
        except ProtocolError as error:
            raise ProblemError(422, "not_offered", str(error), [("instruments", str(error))]) from None
        except BudgetExhausted as error:
            raise ProblemError(503, "connections_exhausted", str(error)) from None
    return views.subscriptions(data)


@feed.invoked("/unsubscribe")
async def unsubscribe(request: SubscriptionRequest, context: Context) -> SubscriptionsView:
    """Count a part of the platform out; what nobody wants any more is left."""
    data = local_of(context.runtime).data
    if data is not None:
        data.unsubscribe(request.subscriber, request.instruments, request.channels)
    return views.subscriptions(data)


@feed.invoked("/subscriptions")
async def subscriptions(context: Context) -> SubscriptionsView:
    return views.subscriptions(local_of(context.runtime).data)


@feed.get("/market/{instrument:path}/book", needs=None)
async def book(instrument: str, context: Context, depth: Annotated[int, Query(ge=1, le=1000)] = 20) -> BookView:
    """The order book as of now."""
    image = local_of(context.runtime).hub.book(instrument, depth)
    if image is None:
        raise _unheard(instrument, context)
    return views.book(image)


@feed.get("/market/{instrument:path}/bars", needs=None)
async def bars(
    instrument: str,
    context: Context,
    seconds: Annotated[int, Query(description=f"one of {BAR_SECONDS}")] = 60,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> BarPage:
    """The newest bars, oldest first; the last may still grow."""
    if seconds not in BAR_SECONDS:
        rule = f"must be one of {', '.join(map(str, BAR_SECONDS))}"
        raise ProblemError(422, "invalid_request", f"seconds: {rule}", [("seconds", rule)])
    hub = local_of(context.runtime).hub
    definition = hub.instrument(instrument)
    if definition is None:
        raise _unheard(instrument, context)
    return await views.bars(context, definition, hub.bars(instrument, seconds, limit), seconds, limit)


@feed.get("/market/{instrument:path}/status", needs=None)
async def status(instrument: str, context: Context) -> MarketStatusView:
    """Whether the instrument is heard, and through what."""
    local = local_of(context.runtime)
    found = views.status(context, local.hub, local.data, instrument)
    if found is None:
        raise _unheard(instrument, context)
    return found


def _unheard(instrument: str, context: RequestContext) -> ProblemError:
    """Nobody hears it, or another shard does: the gateway of a cluster asks that one by itself."""
    shard = context.runtime.shard
    if shard.has(instrument):
        return not_found("market data of", instrument)
    told = f"{instrument} is heard by shard {shard.holder(instrument)}, and this is {shard}: ask there"
    return ProblemError(421, "another_shard", told)


app = feed.app
