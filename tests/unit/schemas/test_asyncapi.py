"""The generated contracts are what the code says, and the stored events are what the contracts say."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from schemas.asyncapi import GENERATED, files, write
from schemas.events import EVENTS
from schemas.topics import TOPICS
from tests.unit.schemas.write_golden import golden_path


@pytest.mark.requirement("A5")
def test_generated_files_are_those_of_the_code():
    on_disk = {str(path.relative_to(GENERATED)): path.read_text() for path in GENERATED.rglob("*.json")}
    wanted = dict(files())
    assert on_disk.keys() == wanted.keys(), "run `make generate`"
    for name, text in wanted.items():
        assert on_disk[name] == text, f"{name}: run `make generate`"


def test_write_removes_what_is_no_longer_generated(tmp_path: Path):
    (tmp_path / "events").mkdir()
    (tmp_path / "events" / "order.forgotten.json").write_text("{}")
    write(tmp_path)
    assert {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.json")} == {name for name, _ in files()}


@pytest.mark.parametrize("name", sorted(EVENTS))
def test_golden_event_is_valid_under_its_schema(name: str):
    schema = json.loads((GENERATED / "events" / f"{name}.json").read_text())
    event = EVENTS[name]
    golden = json.loads(golden_path(event, event.SCHEMA).read_text())
    validator = jsonschema_rs.validator_for(schema)
    validator.validate(golden)
    assert not validator.is_valid({**golden, "surprise": 1})


def test_every_topic_is_a_channel_with_its_parts():
    document = json.loads((GENERATED / "asyncapi.json").read_text())
    assert document["channels"].keys() == TOPICS.keys()
    for topic in TOPICS.values():
        tagged = {
            (operation["action"], operation["tags"][0]["name"])
            for operation in document["operations"].values()
            if operation["channel"]["$ref"] == f"#/channels/{topic.name}"
        }
        assert tagged == {("send", part) for part in topic.publishers} | {("receive", part) for part in topic.consumers}


def test_every_reference_leads_somewhere():
    document = json.loads((GENERATED / "asyncapi.json").read_text())
    for reference in references(document):
        if reference.startswith("./"):
            assert (GENERATED / reference).exists()
            continue
        found: Any = document
        for step in reference.removeprefix("#/").split("/"):
            found = found[step]


def references(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for inner in node.values():
            yield from references(inner)
