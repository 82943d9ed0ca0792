"""Dead letters: messages that could not be handled. Rule: one is written down with its reason before it is let go."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import structlog

from patriot.store.api import PUBLIC_TENANT, Commit, Origin, Row, Store
from patriot.telemetry.metrics import metrics

ID_LENGTH_MAX = 200

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message as its consumer got it. What is wrong with it may be any of these texts."""

    consumer: str
    topic: str
    event_id: str
    tenant_id: str
    correlation_id: str
    body: bytes

    @property
    def id(self) -> str:
        """The same at every redelivery."""
        told = self.event_id.replace("\0", "")[:ID_LENGTH_MAX] or hashlib.sha256(self.body).hexdigest()[:32]
        return f"{self.consumer}:{told}"

    @property
    def tenant(self) -> UUID:
        """A letter may be dead because of its tenant: then it lies with the public ones."""
        try:
            return UUID(self.tenant_id)
        except ValueError:
            return PUBLIC_TENANT


async def bury(store: Store, now: datetime, letter: DeadLetter, attempts: int, reason: str) -> None:
    """Write the letter down. Raises what the store raises: then it is not buried."""
    row = {
        "id": letter.id,
        "topic": letter.topic,
        "consumer": letter.consumer,
        "body": letter.body,
        "error": reason,
        "attempts": attempts,
        "created_at": now,
    }
    origin = Origin(letter.tenant, f"service:{letter.consumer}", letter.correlation_id, letter.event_id)
    await store.commit(Commit(origin, now, rows=[Row("dead_letters", row)], publish=False))
    metrics.dead_letters(letter.topic, letter.consumer).inc()
    log.error("dead letter", consumer=letter.consumer, topic=letter.topic, id=letter.event_id, reason=reason)
