"""Sweeps the outbox. Rule: what is committed gets published, however often its writer dies.

The writing process publishes right after its commit and takes the entry off. The relay takes what is older than
`outbox_age_seconds`. A message may so go out twice; consumers know what they have handled.
"""

from datetime import timedelta

from patriot.runtime.context import RequestContext
from patriot.runtime.function import Feed
from patriot.store.api import Query
from patriot.telemetry.metrics import metrics

PAGE = 1000
DEAD_LETTERS = Query("dead_letters", None, {"replayed_at": None}, limit=PAGE)

feed = Feed("relay")


@feed.task
async def sweep(context: RequestContext) -> None:
    """At the start everything that is left, then every half age whatever is too old."""
    runtime = context.runtime
    age = runtime.settings.outbox_age_seconds
    await publish_older_than(context, 0)
    while True:
        await runtime.clock.sleep(age / 2)
        await publish_older_than(context, age)
        metrics.outbox_depth(feed.name).set(await runtime.store.outbox_depth())
        metrics.dead_letters_waiting(feed.name).set(len(await runtime.store.find(DEAD_LETTERS)))


async def publish_older_than(context: RequestContext, seconds: float) -> int:
    """Hand every older outbox entry to the publisher; returns how many."""
    runtime = context.runtime
    events = await runtime.store.unpublished(context.now() - timedelta(seconds=seconds), PAGE)
    runtime.publisher.publish_recorded(events)
    return len(events)


app = feed.app
