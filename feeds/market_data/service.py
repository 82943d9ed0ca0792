"""Keeps market data coming: definitions, default subscriptions, health. Rule: one endpoint's trouble is its own.

At the start all definitions are fetched and stored in one commit; an endpoint that does not answer is asked again,
with backoff, while the others run. Definitions are fetched anew each day, and at once where a price did not fit.
"""

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from feeds.market_data.backoff import Backoff, Breaker
from feeds.market_data.budget import ConnectionBudget
from feeds.market_data.definitions import Definitions
from feeds.market_data.endpoints import Endpoint, connections_max
from feeds.market_data.hub import MarketHub, scale
from feeds.market_data.pool import SharedConnections
from feeds.market_data.rest import REST_ERRORS, Rest
from feeds.market_data.source import Source, Surroundings
from feeds.market_data.timing import DEFAULT, Timing
from feeds.market_data.transport import Transport
from patriot.domain.instrument import Instrument
from patriot.protocols.codec import Channel, Subscription
from patriot.runtime.context import RequestContext
from patriot.store.api import StoreUnavailable

DEFAULT_SUBSCRIBER = "settings"
HEALTH_SECONDS = 30.0
DEFINITIONS_SECONDS = 86_400.0
OUTDATED_SECONDS = 60.0
"""A definition that does not fit is not fetched more often than this."""
TROUBLE = (*REST_ERRORS, StoreUnavailable)

log = structlog.get_logger()


class MarketData:
    """The connections of this process and what they need."""

    def __init__(
        self,
        context: RequestContext,
        hub: MarketHub,
        transport: Transport,
        endpoints: Sequence[Endpoint],
        timing: Timing = DEFAULT,
    ) -> None:
        runtime = context.runtime
        self._context, self._hub, self._clock = context, hub, runtime.clock
        self._definitions = Definitions(context)
        self._outdated: asyncio.Queue[str] = asyncio.Queue()
        self._around = Surroundings(
            runtime.clock,
            runtime.random,
            transport,
            timing,
            runtime.ticks.publish,
            hub.lose_book,
            self._outdated.put_nowait,
        )
        self._budgets: dict[tuple[str, str], ConnectionBudget] = {}
        sources = {one.name: self._source(one, transport, timing) for one in endpoints}
        self.connections = SharedConnections(sources, self._around)

    def _source(self, endpoint: Endpoint, transport: Transport, timing: Timing) -> Source:
        key = (endpoint.venue, endpoint.address)
        maximum = connections_max(self._context.runtime.settings, endpoint.venue)
        budget = self._budgets.setdefault(key, ConnectionBudget(endpoint.address, maximum, self._clock))
        return Source(endpoint, budget, Breaker(timing, self._clock), Rest(endpoint, transport))

    # --- subscriptions ---
    async def subscribe(self, subscriber: str, instruments: Iterable[str], channels: Sequence[Channel] = ()) -> None:
        """Subscribe all channels that the instrument's endpoint has, or the named ones.

        Raises UnknownInstrument, UnsupportedChannel, BudgetExhausted.
        """
        ids = list(dict.fromkeys(instruments))
        found = [self.connections.source_of(one).instruments[one] for one in ids]
        await self._definitions.store(found)
        for instrument in found:
            self._hub.define(instrument)
            self.connections.subscribe(subscriber, self._streams(instrument, channels))

    def unsubscribe(self, subscriber: str, instruments: Iterable[str], channels: Sequence[Channel] = ()) -> None:
        """Leave the named channels, or all."""
        wanted = set(instruments)
        streams = [
            one
            for one in self.connections.subscriptions()
            if one.instrument in wanted and (not channels or one.channel in channels)
        ]
        self.connections.unsubscribe(subscriber, streams)
        left = {one.instrument for one in self.connections.subscriptions()}
        for instrument in wanted - left:
            self._hub.forget(instrument)

    def _streams(self, instrument: Instrument, channels: Sequence[Channel]) -> list[Subscription]:
        endpoint = self.connections.source_of(instrument.id).endpoint
        mark: tuple[Channel, ...] = ("mark_price",) if endpoint.has_mark_price else ()
        chosen = channels or ("depth", endpoint.trade_channel, "quote", *mark)
        return [Subscription(endpoint.trade_channel if one == "trade" else one, instrument.id) for one in chosen]

    # --- life ---
    async def run(self) -> None:
        """Until cancelled."""
        try:
            await self._begin()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._check_health())
                tasks.create_task(self._follow_outdated())
                for source in self.connections.sources.values():
                    tasks.create_task(self._keep(source))
        finally:
            await self.connections.close()

    async def _begin(self) -> None:
        sources = list(self.connections.sources.values())
        reached = await asyncio.gather(*(self._fetch(source) for source in sources))
        if not any(reached) and not sources[0].endpoint.origin:
            log.error("no exchange can be reached: check the network, or start with the synthetic market instead")
        wanted = [one for source in sources for one in self._wanted_of(source)]
        await self._definitions.store(wanted)
        for source in sources:
            await self._subscribe_defaults(source)

    async def _keep(self, source: Source) -> None:
        """Definitions of one endpoint, for ever."""
        backoff = Backoff(self._around.timing, self._around.random)
        while not source.instruments:
            await self._clock.sleep(backoff.next_seconds())
            if await self._fetch(source):
                await self._subscribe_defaults(source)
        while True:
            await self._clock.sleep(DEFINITIONS_SECONDS)
            await self._renew(source)

    async def _fetch(self, source: Source, *, finer: Iterable[str] = ()) -> bool:
        try:
            await self._definitions.fetch(source, finer=finer)
        except TROUBLE as error:
            log.warning("definitions not fetched", endpoint=source.endpoint.name, reason=str(error))
            return False
        return True

    def _wanted_of(self, source: Source) -> list[Instrument]:
        runtime = self._context.runtime
        chosen = set(runtime.settings.instruments)
        found = [one for one in source.instruments.values() if one.id in chosen or one.symbol in chosen]
        return [one for one in found if runtime.shard.has(one.id)]

    async def _subscribe_defaults(self, source: Source) -> None:
        wanted = [one.id for one in self._wanted_of(source)]
        await self.subscribe(DEFAULT_SUBSCRIBER, wanted)
        if wanted:
            log.info("market data subscribed", endpoint=source.endpoint.name, instruments=wanted)

    async def _renew(self, source: Source, *, finer: Iterable[str] = ()) -> None:
        """Fetch again; what has changed is stored, told, and its connections are replaced."""
        before = source.instruments
        if not await self._fetch(source, finer=finer):
            return
        subscribed = {one.instrument for one in self.connections.subscriptions()} & source.instruments.keys()
        try:
            changed = await self._definitions.store([source.instruments[one] for one in sorted(subscribed)])
        except StoreUnavailable as error:
            log.warning("definitions not stored", endpoint=source.endpoint.name, reason=str(error))
            return
        rescaled = [one.id for one in changed if one.id in before and scale(before[one.id]) != scale(one)]
        if changed:
            self.connections.renew(source.endpoint.name, rescaled)
        for instrument in changed:
            self._hub.define(instrument)

    async def _follow_outdated(self) -> None:
        while True:
            instrument = await self._outdated.get()
            await self._renew(self.connections.source_of(instrument), finer=[instrument])
            await self._clock.sleep(OUTDATED_SECONDS)

    async def _check_health(self) -> None:
        """Each 30 s: a book that does not come, an instrument that stays silent."""
        while True:
            await self._clock.sleep(HEALTH_SECONDS)
            self.connections.check()
            for instrument in {one.instrument for one in self.connections.subscriptions()}:
                if self._hub.is_stale(instrument):
                    self.connections.refresh(instrument)
