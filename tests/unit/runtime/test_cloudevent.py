"""CloudEvents: whatever arrives is an event or refused; what is sent comes back as it was."""

from datetime import UTC, datetime

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from patriot.runtime.cloudevent import CloudEvent, InvalidCloudEvent, decode, encode, receive

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
events = st.builds(
    CloudEvent,
    id=names,
    source=names,
    type=names,
    time=st.datetimes(timezones=st.just(UTC), min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30)),  # noqa: DTZ001
    data=st.dictionaries(names, st.integers(-(2**53), 2**53)).map(lambda data: msgspec.Raw(orjson.dumps(data))),
    subject=names | st.just(""),
    correlationid=names,
    streamversion=st.integers(0, 2**31),
)


@given(events)
def test_event_comes_back_as_it_was_sent(event: CloudEvent):
    back = decode(encode(event))
    assert bytes(back.data) == bytes(event.data)
    assert msgspec.structs.replace(back, data=event.data) == event
    assert orjson.loads(encode(event))["specversion"] == "1.0"


@pytest.mark.requirement("A5")
@given(
    st.binary(max_size=300),
    st.dictionaries(st.sampled_from(["ce-id", "ce-type", "ce-specversion", "ce-time"]), st.text()),
)
def test_garbage_is_refused_with_one_error(body: bytes, headers: dict[str, str]):
    with pytest.raises(InvalidCloudEvent):
        receive(headers, body)


@given(events, st.sampled_from(["id", "source", "type", "time", "data"]))
def test_missing_attribute_is_named(event: CloudEvent, name: str):
    fields = orjson.loads(encode(event))
    del fields[name]
    with pytest.raises(InvalidCloudEvent, match=name):
        decode(orjson.dumps(fields))


@given(events)
def test_another_version_of_the_specification_is_refused(event: CloudEvent):
    fields = {**orjson.loads(encode(event)), "specversion": "0.3"}
    with pytest.raises(InvalidCloudEvent, match="specversion"):
        decode(orjson.dumps(fields))
