"""Market data for the whole platform. Rule: every message goes through the `ticks` port, whatever source it has.

In a replay, and where the built-in venue runs in process, others publish on that port and this feed only listens;
otherwise it holds the connections to the exchanges.
"""

from feeds.market_data.hub import MarketHub
from feeds.market_data.outputs import FLUSH_SECONDS, Outputs
from patriot.runtime.context import RequestContext
from patriot.runtime.function import Feed
from patriot.runtime.ports import Runtime

feed = Feed("market-data")


def hub_of(runtime: Runtime) -> MarketHub:
    """The hub of this process, made and connected to the ticks at first use."""
    hub = runtime.local.get(feed.name)
    if hub is None:
        hub = runtime.local[feed.name] = MarketHub(runtime.settings.staleness_seconds)
        runtime.ticks.subscribe(hub.on_market)
    assert isinstance(hub, MarketHub)
    return hub


@feed.task
async def flush(context: RequestContext) -> None:
    """Tell prices, books, trades and bars, each 100 ms."""
    clock = context.runtime.clock
    outputs = Outputs(hub_of(context.runtime), context)
    while True:
        await clock.sleep(FLUSH_SECONDS)
        await outputs.flush()


app = feed.app
