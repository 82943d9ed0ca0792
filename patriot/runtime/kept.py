"""Answers that are kept for a while in the state port. Rule: an event about a user makes all that was kept for that
user unreachable; the time to live only bounds what is left when an event does not come.

What is kept lies under a key that holds the user's generation. An answer that was worked out before an event, and is
kept after it, therefore lands where nobody looks any more. And what is kept was read from the primary: a replica may
not yet have the event that made it necessary to look again.
"""

from collections.abc import Awaitable, Callable
from typing import TypeVar
from uuid import UUID

from msgspec.structs import replace

from patriot.runtime.context import RequestContext
from schemas.types import Message

PORTFOLIO_SECONDS = 30.0
PORTFOLIO_CLOSED_SECONDS = 300.0  # while none of its markets tells a price
STRATEGY_SECONDS = 300.0
GENERATION_SECONDS = 3_600.0  # longer than anything is kept

Answer = TypeVar("Answer", bound=Message)


async def kept(
    context: RequestContext,
    name: str,
    user_id: UUID,
    kind: type[Answer],
    *,
    make: Callable[[RequestContext], Awaitable[Answer]],
    seconds: Callable[[Answer], float],
) -> Answer:
    """The answer `name` of a user: kept, or made now and kept for `seconds(answer)`."""
    state = context.runtime.state
    generation = await state.get(_generation_key(context, user_id))
    key = f"kept:{name}:{context.tenant_id}:{user_id}:{generation.value.decode() if generation else ''}"
    entry = await state.get(key)
    if entry is not None:
        return kind.model_validate_json(entry.value)
    made = await make(replace(context, report=None))
    await state.set(key, made.model_dump_json().encode(), seconds=seconds(made))
    return made


async def forget(context: RequestContext, user_id: UUID) -> None:
    """The event that is being handled has changed something of this user."""
    assert context.event is not None
    value = context.event.id.encode()
    await context.runtime.state.set(_generation_key(context, user_id), value, seconds=GENERATION_SECONDS)


def _generation_key(context: RequestContext, user_id: UUID) -> str:
    return f"kept:{context.tenant_id}:{user_id}"
