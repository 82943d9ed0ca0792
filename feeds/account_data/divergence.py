"""What differs between us and the venue, told once. Rule: a divergence is an event; what agrees again is forgotten."""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

import structlog

from patriot.runtime.aggregates import ACCOUNT
from patriot.runtime.context import RequestContext
from patriot.runtime.decision import Change, Proposal
from patriot.telemetry.metrics import metrics
from schemas.events import AccountDiverged

Kind = Literal["order", "terms", "fill", "foreign", "balance", "position", "leverage"]

log = structlog.get_logger()


class Divergence(NamedTuple):
    """`subject` is an order id, the venue's id of a foreign order, an asset or an instrument."""

    kind: Kind
    subject: str
    ours: str
    theirs: str


class Divergences:
    """Those of one account. A round collects; its end tells what is new, in one commit."""

    def __init__(self, account: Mapping[str, Any], context: RequestContext) -> None:
        self._account, self._context = account, context
        self._told: set[Divergence] = set()
        self._found: list[Divergence] = []

    def add(self, kind: Kind, subject: object, ours: object, theirs: object) -> None:
        self._found.append(Divergence(kind, str(subject), str(ours), str(theirs)))

    async def tell(self) -> list[Divergence]:
        """The end of a round: events for what was not told before; returns all that the round has found."""
        found, self._found = self._found, []
        fresh = [one for one in dict.fromkeys(found) if one not in self._told]
        if fresh:
            await self._record(fresh)
        self._told = set(found)
        for one in fresh:
            metrics.divergences(self._account["exchange"], one.kind).inc()
            log.warning("differs from the venue", account_id=str(self._account["id"]), **one._asdict())
        return found

    async def _record(self, fresh: list[Divergence]) -> None:
        who = {"account_id": self._account["id"], "user_id": self._account["user_id"]}
        events = [AccountDiverged(**who, **one._asdict()) for one in fresh]

        async def propose() -> Proposal[None]:
            return Proposal([Change(await self._context.load(ACCOUNT, self._account["id"]), events)], None)

        await self._context.decide(propose)
