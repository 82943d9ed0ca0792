"""Running the tasks of feeds. Rule: one that fails is logged and started again, with backoff; one that ends is done."""

from collections.abc import Awaitable, Callable

import structlog

from patriot.runtime.context import RequestContext
from patriot.runtime.edge import system_context
from patriot.runtime.function import Feed
from patriot.runtime.ports import Runtime

RESTART_SECONDS = 0.5
RESTART_SECONDS_MAX = 30.0

log = structlog.get_logger()


async def supervise(runtime: Runtime, feed: Feed, action: Callable[[RequestContext], Awaitable[None]]) -> None:
    """Run one task of a feed for ever."""
    pause = RESTART_SECONDS
    while True:
        started = runtime.clock.monotonic()
        try:
            await action(system_context(runtime, feed.name))
        except Exception:
            log.exception("feed failed", feed=feed.name, task=action.__name__, restart_seconds=pause)
        else:
            return
        long_lived = runtime.clock.monotonic() - started > RESTART_SECONDS_MAX
        pause = RESTART_SECONDS if long_lived else min(pause * 2, RESTART_SECONDS_MAX)
        await runtime.clock.sleep(pause)
