"""What every process must know, whoever changed it. Rule: all of them ask the store, those that start later, too.

A topic would not do: it reaches one replica of each part.
"""

from collections.abc import Awaitable, Callable

from patriot.runtime.ports import Runtime
from patriot.store.api import StoreUnavailable


async def follow(runtime: Runtime, name: str, seconds: float, ask: Callable[[], Awaitable[None]]) -> None:
    """Learn of all that matters now, however long the store takes, and go on asking where others may write."""
    while not await _answered(ask):
        await runtime.clock.sleep(seconds)
    if not runtime.states.alone:
        runtime.scheduler.every(name, seconds, ask)


async def _answered(ask: Callable[[], Awaitable[None]]) -> bool:
    try:
        await ask()
    except StoreUnavailable:
        return False
    return True
