"""What was once stored stays readable: one golden file per event version."""

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import upcasters
from schemas.events import EVENTS, Event
from schemas.upcasters import EventUnreadable, MalformedEvent, UnknownEvent, UnknownSchema, decode_event, upcaster
from tests.unit.schemas.write_golden import GOLDEN, golden_path

VERSIONS = [(event, version) for event in EVENTS.values() for version in range(1, event.SCHEMA + 1)]
HOW = "run `python -m tests.unit.schemas.write_golden` once for a new event or version; never edit a golden file"


def name_of(value: object) -> str:
    return value.TYPE if isinstance(value, type) and issubclass(value, Event) else f"v{value}"


@pytest.mark.parametrize(("event", "version"), VERSIONS, ids=name_of)
def test_every_event_version_loads_from_its_golden_file(event: type[Event], version: int):
    path = golden_path(event, version)
    assert path.exists(), f"{path.name} is missing: {HOW}"
    loaded = decode_event(event.TYPE, version, path.read_bytes())
    assert type(loaded) is event


@pytest.mark.parametrize("event", EVENTS.values(), ids=name_of)
def test_current_version_is_written_as_its_golden_file_says(event: type[Event]):
    text = golden_path(event, event.SCHEMA).read_text().strip()
    loaded = decode_event(event.TYPE, event.SCHEMA, text.encode())
    assert loaded.model_dump_json() == text, f"{event.TYPE} changed: raise SCHEMA and add an upcaster; {HOW}"


def test_no_golden_file_is_without_its_event():
    assert {path.name for path in GOLDEN.iterdir()} == {golden_path(*each).name for each in VERSIONS}


def test_every_old_version_has_an_upcaster():
    needed = {(event.TYPE, version) for event in EVENTS.values() for version in range(1, event.SCHEMA)}
    assert set(upcasters.UPCASTERS) == needed


# --- an event with a history -----------------------------------------------------------------------------------------
@pytest.fixture
def _history(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """`test.happened`: version 1 said `name`, version 2 `label`, version 3 adds `count`."""
    monkeypatch.setattr(upcasters, "EVENTS", EVENTS.copy())
    known = {**EVENTS}
    monkeypatch.setattr(upcasters, "UPCASTERS", {})

    class Happened(Event):
        TYPE = "test.happened"
        SCHEMA = 3
        label: str
        count: int

    @upcaster("test.happened", 1)
    def _label(fields: dict[str, Any]) -> dict[str, Any]:
        return {"label": fields["name"]}

    @upcaster("test.happened", 2)
    def _count(fields: dict[str, Any]) -> dict[str, Any]:
        return {**fields, "count": 0}

    upcasters.EVENTS["test.happened"] = Happened
    yield
    EVENTS.clear()
    EVENTS.update(known)


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize(
    ("version", "data"), [(1, b'{"name":"x"}'), (2, b'{"label":"x"}'), (3, b'{"label":"x","count":0}')]
)
def test_decode_walks_from_any_version_to_the_current_one(version: int, data: bytes):
    assert decode_event("test.happened", version, data).model_dump() == {"label": "x", "count": 0}


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize("version", [0, -1, 4, 5])
def test_decode_refuses_a_version_that_nothing_leads_on_from(version: int):
    with pytest.raises(UnknownSchema, match=f"from version {version} to 3"):
        decode_event("test.happened", version, b"{}")


@pytest.mark.usefixtures("_history")
def test_upcaster_is_registered_once():
    with pytest.raises(AssertionError, match="has an upcaster already"):
        upcaster("test.happened", 1)(dict)


@pytest.mark.usefixtures("_history")
@pytest.mark.parametrize(
    ("version", "data"),
    [
        (1, b"{}"),
        (1, b"[]"),
        (1, b"not json"),
        (1, b'{"name":5}'),
        (2, b'{"label":"x","extra":1}'),
        (3, b'{"label":"x"}'),
        (3, b'{"label":"x","count":0,"extra":1}'),
        (3, b""),
    ],
)
def test_decode_names_the_event_whose_data_is_malformed(version: int, data: bytes):
    with pytest.raises(MalformedEvent, match=f"test.happened version {version}"):
        decode_event("test.happened", version, data)


def test_decode_refuses_an_unknown_type():
    with pytest.raises(UnknownEvent, match=r"'order\.exploded'"):
        decode_event("order.exploded", 1, b"{}")


@given(name=st.sampled_from([*EVENTS, "order.exploded"]), version=st.integers(-1, 3), data=st.binary() | st.just(b"{}"))
def test_decode_raises_nothing_but_its_own_errors(name: str, version: int, data: bytes):
    with pytest.raises(EventUnreadable):
        decode_event(name, version, data)
