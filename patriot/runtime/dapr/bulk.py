"""Many events in one call, for parts that only keep read models. Rule: each entry has a verdict of its own.

    POST /events/<topic>    {"entries": [{"entryId": "1", "event": {...}}, ...]}
                         →  {"statuses": [{"entryId": "1", "status": "SUCCESS"}, ...]}

Aggregates go side by side, so their rows share the store's group commits. Within an aggregate events go in order, and
behind one that has to come again all come again. Of those of which the newest tells all, only the newest is handled.

DROP is never answered: daprd 1.14 looks for the dropped entry where it stood in its first call, and dies where a
repeated call is shorter (`publishBulkMessageHTTP`). So the door moves what is dead to `<topic>.dead` itself.
"""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from patriot.runtime.cloudevent import CloudEvent, InvalidCloudEvent, decode
from patriot.runtime.delivery import Verdict

MESSAGES_MAX, AWAIT_MS_MAX = 50, 10


class InvalidCall(ValueError):
    """Bytes that are no bulk call of a sidecar."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One message of a call, or why it is none. `path` is where it would come alone."""

    id: str
    path: str
    body: bytes
    event: CloudEvent | InvalidCloudEvent

    @property
    def lane(self) -> str:
        """What is handled one after the other."""
        return self.id if isinstance(self.event, InvalidCloudEvent) else self.event.subject or self.event.id

    @property
    def version(self) -> int:
        return 0 if isinstance(self.event, InvalidCloudEvent) else self.event.streamversion


Deliver = Callable[[Entry], Awaitable[Verdict]]
IsNewest = Callable[[Entry], bool]
"""Whether of several such entries of an aggregate the newest tells all."""


class _Sent(msgspec.Struct):
    entryId: str  # noqa: N815 - Dapr's own name
    event: msgspec.Raw


class _Call(msgspec.Struct):
    entries: list[_Sent]


_calls = msgspec.json.Decoder(_Call)


def bulk_path(topic: str) -> str:
    return f"/events/{topic}"


def in_bulk(subscription: Mapping[str, Any]) -> dict[str, Any]:
    """The subscription with bulk calls. All types take one way: on several, each would be a call after the other."""
    limits = {"enabled": True, "maxMessagesCount": MESSAGES_MAX, "maxAwaitDurationMs": AWAIT_MS_MAX}
    return {**subscription, "routes": {"default": bulk_path(subscription["topic"])}, "bulkSubscribe": limits}


def entries_of(path: str, body: bytes) -> list[Entry]:
    """Raises InvalidCall."""
    try:
        return [_entry(path, sent.entryId, bytes(sent.event)) for sent in _calls.decode(body).entries]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidCall(str(error)) from None


def _entry(path: str, identifier: str, body: bytes) -> Entry:
    try:
        event = decode(body)
    except InvalidCloudEvent as error:
        return Entry(identifier, path, body, error)
    return Entry(identifier, f"{path}/{event.type}", body, event)


async def judge(entries: Sequence[Entry], deliver: Deliver, newest: IsNewest) -> list[tuple[Entry, Verdict]]:
    """Each entry with its verdict."""
    lanes: dict[str, list[Entry]] = defaultdict(list)
    for entry in entries:
        lanes[entry.lane].append(entry)
    judged = await asyncio.gather(*(_in_order(lane, deliver, newest) for lane in lanes.values()))
    return [one for lane in judged for one in lane]


async def _in_order(lane: Sequence[Entry], deliver: Deliver, newest: IsNewest) -> list[tuple[Entry, Verdict]]:
    telling = max(filter(newest, lane), key=lambda entry: entry.version, default=None)
    judged: list[tuple[Entry, Verdict]] = []
    outdated: list[Entry] = []
    stuck, told = False, False
    for entry in lane:
        if entry is not telling and newest(entry):
            outdated.append(entry)
            continue
        verdict: Verdict = "RETRY" if stuck else await deliver(entry)
        stuck, told = stuck or verdict == "RETRY", told or (entry is telling and verdict == "SUCCESS")
        judged.append((entry, verdict))
    return judged + [(entry, "SUCCESS" if told else "RETRY") for entry in outdated]
