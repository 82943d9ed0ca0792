"""What a codec says beside market data. Rule: a codec never acts; an event tells its owner what to do.

`Resync` is the one that must be obeyed: the instrument's book is wrong until a new snapshot has come through.
"""

from typing import Literal

import msgspec

from patriot.protocols.market import Market

Cause = Literal["no_snapshot", "gap", "snapshot_too_old", "overflow", "unrepresentable"]


class Resync(msgspec.Struct, frozen=True, tag="resync"):
    """Distrust what is known of `instrument`. GET `request` and hand the body to `Codec.snapshot`, or send `frames`.

    With cause "unrepresentable" the definition is out of date as well: fetch definitions and build a new codec first.
    """

    instrument: str
    cause: Cause
    detail: str
    request: str = ""
    frames: tuple[bytes, ...] = ()


class Acknowledged(msgspec.Struct, frozen=True, tag="acknowledged"):
    """The venue took a request. `request_id` is empty where the venue does not repeat it."""

    request_id: str


class Declined(msgspec.Struct, frozen=True, tag="declined"):
    """The venue refused a request, in its own code and words."""

    request_id: str
    code: str
    message: str


class Heartbeat(msgspec.Struct, frozen=True, tag="heartbeat"):
    """The venue is alive: an answer to a ping, or its own beat."""


class GoingAway(msgspec.Struct, frozen=True, tag="going_away"):
    """The venue will close this connection: open the next one now."""


class Ignored(msgspec.Struct, frozen=True, tag="ignored"):
    """A well-formed message of a stream that this codec does not normalise."""

    stream: str


ProtocolEvent = Resync | Acknowledged | Declined | Heartbeat | GoingAway | Ignored
Event = Market | ProtocolEvent
