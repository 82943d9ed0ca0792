"""Kill switches, as they stand. Rule: what is about to be sent asks again, and knows of a halt within 100 ms.

The commit of an order asks for itself; this is for what was committed before the switch was thrown. Without an answer
from the store nothing is sent.
"""

from collections.abc import Collection
from uuid import UUID

from patriot.domain.order import Order
from patriot.runtime.context import RequestContext
from patriot.runtime.ports import Runtime
from patriot.runtime.risk import hold_of, scopes_of
from patriot.store.check import guard_key

KNOWN_SECONDS = 0.1


class Halts:
    """The halted scopes, read at most every 100 ms: `Halts.of(runtime)`."""

    @classmethod
    def of(cls, runtime: Runtime) -> "Halts":
        found = runtime.local.get("halts")
        if not isinstance(found, Halts):
            found = runtime.local["halts"] = cls()
        return found

    def __init__(self) -> None:
        self._known: Collection[tuple[UUID, str]] = ()
        self._until = float("-inf")

    async def above(self, order: Order, context: RequestContext) -> str | None:
        """A halted level above the order, or the hold of who has placed it. Raises StoreUnavailable."""
        asked_at = context.runtime.clock.monotonic()
        if asked_at >= self._until:
            self._known = await context.runtime.store.halted()
            self._until = asked_at + KNOWN_SECONDS
        if not self._known:
            return None
        scopes = scopes_of(order.user_id, order.account_id, order.strategy_id)
        if order.strategy_id and not order.emulated:  # a stop that the platform watches fires, whoever has paused since
            scopes.append(hold_of(order.account_id, order.strategy_id))
        return next((scope for scope in scopes if guard_key(context.tenant_id, scope) in self._known), None)
