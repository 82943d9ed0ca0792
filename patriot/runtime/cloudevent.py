"""CloudEvents 1.0: how every message looks on every broker. Sent in JSON structured mode, taken in binary mode too.

The platform's own attributes are extensions (lower-case letters and digits, as the specification asks): tenantid,
correlationid, causationid, actor, streamversion, schemaversion, partitionkey, traceparent.
Source: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from urllib.parse import unquote
from uuid import UUID

import msgspec

from patriot.runtime.messages import encoded_report
from patriot.store.api import Origin, RecordedEvent, StreamId
from patriot.telemetry.tracing import trace_parent
from schemas.reports import BalanceReport, RiskMetrics, VenueReport

SPEC_VERSION = "1.0"
CONTENT_TYPE = "application/cloudevents+json"
DATA_TYPE = "application/json"
BINARY_PREFIX = "ce-"  # binary mode: the attributes are headers, the body is the data


class CloudEvent(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One message. `data` is JSON as it came, decoded by whoever understands `type`."""

    id: str
    source: str
    type: str
    time: datetime
    data: msgspec.Raw
    specversion: str = SPEC_VERSION
    datacontenttype: str = DATA_TYPE
    subject: str = ""
    tenantid: str = ""
    correlationid: str = ""
    causationid: str = ""
    actor: str = ""
    aggregatetype: str = ""
    streamversion: int = 0
    schemaversion: int = 1
    partitionkey: str = ""
    traceparent: str = ""

    @property
    def origin(self) -> Origin:
        """The origin for what a handler of this event commits."""
        return Origin(_tenant(self.tenantid), self.actor, self.correlationid, self.id)

    @property
    def stream(self) -> StreamId:
        return StreamId(_tenant(self.tenantid), self.aggregatetype, UUID(self.subject))


@lru_cache(maxsize=1024)
def _tenant(text: str) -> UUID:
    return UUID(text)


class InvalidCloudEvent(ValueError):
    """Bytes that are no CloudEvent; the message says what is missing."""


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(CloudEvent, strict=False)  # some brokers turn integers of extensions into text
REQUIRED = ("id", "source", "type", "specversion")


def encode(event: CloudEvent) -> bytes:
    # `specversion` equals its default, which omit_defaults leaves out; the specification requires it.
    return b'{"specversion":"1.0",' + _encoder.encode(event)[1:]


def decode(body: bytes) -> CloudEvent:
    """Raises InvalidCloudEvent."""
    try:
        event = _decoder.decode(body)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError) as error:
        raise InvalidCloudEvent(f"not a CloudEvent: {error}") from None
    return _checked(event)


def _checked(event: CloudEvent) -> CloudEvent:
    if event.specversion != SPEC_VERSION:
        raise InvalidCloudEvent(f"specversion is {event.specversion!r}, must be '1.0'")
    if not (event.id and event.source and event.type):
        raise InvalidCloudEvent("id, source and type must not be empty")
    return event


def receive(headers: Mapping[str, str], body: bytes) -> CloudEvent:
    """The event of an HTTP delivery in structured or binary mode. Raises InvalidCloudEvent."""
    if headers.get(BINARY_PREFIX + "specversion") is None:
        return decode(body)
    if headers.get("content-type", DATA_TYPE).partition(";")[0].strip() != DATA_TYPE:
        raise InvalidCloudEvent(f"the data must be {DATA_TYPE}")
    attributes = {
        name.removeprefix(BINARY_PREFIX): unquote(text)
        for name, text in headers.items()
        if name.startswith(BINARY_PREFIX)
    }
    try:
        event = msgspec.convert({**attributes, "data": msgspec.Raw(body)}, CloudEvent, strict=False)
    except msgspec.ValidationError as error:
        raise InvalidCloudEvent(f"not a CloudEvent: {error}") from None
    return _checked(event)


def from_recorded(event: RecordedEvent, key: str) -> CloudEvent:
    return CloudEvent(
        id=event.id,
        source="/patriot/" + event.stream.kind,
        type=event.type,
        time=event.occurred_at,
        data=msgspec.Raw(event.data),
        subject=str(event.stream.id),
        tenantid=str(event.stream.tenant_id),
        correlationid=event.origin.correlation_id,
        causationid=event.origin.causation_id,
        actor=event.origin.actor,
        aggregatetype=event.stream.kind,
        streamversion=event.version,
        schemaversion=event.schema_version,
        partitionkey=key,
        traceparent=trace_parent(),
    )


def from_report(
    report: VenueReport | BalanceReport | RiskMetrics,
    identifier: str,
    *,
    now: datetime,
    service: str,
    origin: Origin,
    key: str,
) -> CloudEvent:
    """A report is told by `service`, whoever caused it."""
    subject = getattr(report, "order_id", None) or report.account_id
    return CloudEvent(
        id=identifier,
        source=f"/patriot/{service}",
        type=report.TYPE,
        time=now,
        data=msgspec.Raw(encoded_report(report)),
        subject=str(subject),
        tenantid=str(origin.tenant_id),
        correlationid=origin.correlation_id,
        causationid=origin.causation_id,
        actor=f"service:{service}",
        partitionkey=key,
        traceparent=trace_parent(),
    )
