"""Reading stored events. Rule: what was once written stays readable for ever.

A stored event names its type and the schema version it was written with. An upcaster takes the JSON object of one
version to the next; `decode_event` walks from the stored version to the current one. To change an event: raise its
`SCHEMA`, add an upcaster here, and keep the golden file of the old version.

EventUnreadable
├── UnknownEvent            no event has this type
├── UnknownSchema           the version is newer than this code, below 1, or no upcaster leads on from it
└── MalformedEvent          the data is not what this version demands
"""

from collections.abc import Callable
from typing import Any, Final

import orjson
from pydantic import ValidationError

import schemas.topics  # noqa: F401 - it imports every event there is
from schemas.events import EVENTS, Event

Fields = dict[str, Any]
Upcaster = Callable[[Fields], Fields]

UPCASTERS: Final[dict[tuple[str, int], Upcaster]] = {}
"""(event type, version) -> function from that version's fields to those of the next."""


class EventUnreadable(Exception):
    """Root of this module's errors."""


class UnknownEvent(EventUnreadable):
    """No event has this type."""


class UnknownSchema(EventUnreadable):
    """No way leads from this version to the current one."""


class MalformedEvent(EventUnreadable):
    """The data is not what this version of the event demands."""


def upcaster(event_type: str, from_version: int) -> Callable[[Upcaster], Upcaster]:
    """Register a function that takes the fields of `from_version` to `from_version` + 1."""

    def register(function: Upcaster) -> Upcaster:
        assert (event_type, from_version) not in UPCASTERS, f"{event_type} {from_version} has an upcaster already"
        UPCASTERS[event_type, from_version] = function
        return function

    return register


def decode_event(event_type: str, schema_version: int, data: bytes) -> Event:
    """The event that was stored as `data`, in its current form. Raises EventUnreadable."""
    event = EVENTS.get(event_type)
    if event is None:
        raise UnknownEvent(f"no event is called {event_type!r}")
    try:
        if schema_version == event.SCHEMA:
            return event.model_validate_json(data)
        return event.model_validate(_upcast(event, schema_version, orjson.loads(data)))
    except (ValidationError, orjson.JSONDecodeError, LookupError, TypeError) as error:  # an upcaster may miss a field
        raise MalformedEvent(f"{event_type} version {schema_version}: {error!r}") from error


def _upcast(event: type[Event], version: int, fields: Fields) -> Fields:
    for step in range(version, max(version + 1, event.SCHEMA)):
        function = UPCASTERS.get((event.TYPE, step))
        if function is None:
            raise UnknownSchema(f"{event.TYPE}: no way leads from version {version} to {event.SCHEMA}")
        fields = function(fields)
    return fields


@upcaster("order.created", 1)
def _plain_order(fields: Fields) -> Fields:
    """Version 2 adds trailing stops, icebergs, emulation and order lists; none of them was there before."""
    return fields


@upcaster("order.created", 2)
@upcaster("position.updated", 2)
def _unlevered(fields: Fields) -> Fields:
    """Version 3 adds the leverage; before, none could be chosen, and everything was bound at 1x."""
    return fields


@upcaster("position.updated", 1)
def _stays_traded(fields: Fields) -> Fields:
    """Version 2 tells trades that are taken back; before, none could be."""
    return fields


@upcaster("order.modify_requested", 1)
@upcaster("order.modified", 1)
def _stop_stays(fields: Fields) -> Fields:
    """Version 2 adds the stop price; before, it could not be changed."""
    return fields


@upcaster("risk.limits_changed", 1)
def _fewer_limits(fields: Fields) -> Fields:
    """Version 2 adds the limits `verified_only` and `minimum_liquidation_distance`; nothing was said of them before."""
    return fields
