"""Messages whose content does not matter."""

from uuid import UUID, uuid4

import msgspec

from patriot.runtime.clock import SystemClock
from patriot.runtime.cloudevent import CloudEvent
from schemas.events import UserProfileChanged
from tests.support.host import TENANT


def changed(number: int, user: UUID | None = None, data: bytes = b"") -> CloudEvent:
    """A user's event of version `number`; where `data` is given, with this in its place."""
    user = user or uuid4()
    event = UserProfileChanged(user_id=user, telegram_id=number)
    return CloudEvent(
        id=f"{user}:{number}",
        source="/test",
        type=event.TYPE,
        time=SystemClock().now(),
        data=msgspec.Raw(data or event.model_dump_json().encode()),
        subject=str(user),
        tenantid=str(TENANT),
        correlationid="req_1_0123abcd",
        actor="service:test",
        aggregatetype="user",
        streamversion=number,
        partitionkey=str(user),
    )
