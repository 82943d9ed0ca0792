"""Writes the contracts as files for other languages. Rule: generated, never edited; a test fails where they differ.

    python -m schemas.asyncapi      AsyncAPI 3.0 and JSON Schemas into schemas/generated/

asyncapi.json            topics as channels, with key, partitions and retention; who publishes and who consumes
events/<type>.json       one JSON Schema per event, as stored and as the `data` of its CloudEvent
reports/<type>.json      the same for reports, which are not stored
commands/<Name>.json     what a client may send
queries/<Name>.json      what a client gets back
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

from schemas import (
    analytics,
    commands,
    portfolio_queries,
    queries,
    risk_commands,
    risk_queries,
    settlement_commands,
    settlement_queries,
    strategy_contracts,
)
from schemas.events import EVENTS
from schemas.reports import REPORTS
from schemas.topics import DEAD_LETTER_SUFFIX, TOPICS, Topic
from schemas.types import Message

GENERATED = Path(__file__).parent / "generated"
Document = dict[str, Any]

ENVELOPE: Document = {
    "description": "CloudEvents 1.0, JSON structured mode. `id` is the same at every redelivery: deduplicate by it.",
    "type": "object",
    "required": ["specversion", "id", "source", "type", "time", "data"],
    "properties": {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "minLength": 1},
        "source": {"type": "string", "minLength": 1},
        "type": {"type": "string", "minLength": 1},
        "time": {"type": "string", "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "subject": {"type": "string", "description": "the aggregate or instrument that this is about"},
        "tenantid": {"type": "string", "format": "uuid"},
        "correlationid": {"type": "string", "pattern": "^req_[0-9]{1,15}_[0-9a-f]{8}$"},
        "causationid": {"type": "string"},
        "actor": {"type": "string"},
        "aggregatetype": {"type": "string"},
        "streamversion": {"type": "integer", "description": "the aggregate's version after this event"},
        "schemaversion": {"type": "integer"},
        "partitionkey": {"type": "string"},
        "data": {},
    },
}


def files() -> Iterator[tuple[str, str]]:
    """(path below `generated`, text) of everything that is generated."""
    yield "asyncapi.json", _text(asyncapi())
    for folder, contracts in (("events", EVENTS), ("reports", REPORTS)):
        for name, contract in sorted(contracts.items()):
            yield f"{folder}/{name}.json", _text(_schema(contract, "serialization"))
    for name, contract in _contracts(commands, risk_commands, settlement_commands):
        yield f"commands/{name}.json", _text(_schema(contract, "validation"))
    for name, contract in _contracts(
        queries, risk_queries, settlement_queries, analytics, strategy_contracts, portfolio_queries
    ):
        yield f"queries/{name}.json", _text(_schema(contract, "serialization"))


def asyncapi() -> Document:
    """The AsyncAPI 3.0 document."""
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "patriot",
            "version": "1",
            "description": "Every topic, its events and reports. At least once; order holds per key. A message that "
            f"cannot be handled goes to the topic with `{DEAD_LETTER_SUFFIX}` appended.",
        },
        "defaultContentType": "application/cloudevents+json",
        "channels": {topic.name: _channel(topic) for topic in TOPICS.values()},
        "operations": dict(_operations()),
        "components": {
            "schemas": {"CloudEvent": ENVELOPE},
            "messages": {name: _message(name) for topic in TOPICS.values() for name in topic.types if _known(name)},
        },
    }


def _channel(topic: Topic) -> Document:
    return {
        "address": topic.name,
        "description": f"keyed by {topic.key}; " + ("nothing is lost" if topic.durable else "the newest value wins"),
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in topic.types if _known(name)},
        "bindings": {
            "kafka": {
                "topic": topic.name,
                "partitions": topic.partitions,
                "topicConfiguration": {"retention.ms": topic.retention_ms},
            }
        },
    }


def _operations() -> Iterator[tuple[str, Document]]:
    for topic in TOPICS.values():
        channel = {"$ref": f"#/channels/{topic.name}"}
        for part in topic.publishers:
            yield f"{part}.send.{topic.name}", {"action": "send", "channel": channel, "tags": [{"name": part}]}
        for part in topic.consumers:
            yield f"{part}.receive.{topic.name}", {"action": "receive", "channel": channel, "tags": [{"name": part}]}


def _message(name: str) -> Document:
    folder, contract = ("events", EVENTS[name]) if name in EVENTS else ("reports", REPORTS[name])
    payload = {
        "allOf": [
            {"$ref": "#/components/schemas/CloudEvent"},
            {"properties": {"type": {"const": name}, "data": {"$ref": f"./{folder}/{name}.json"}}},
        ]
    }
    summary = (contract.__doc__ or "").strip().partition("\n")[0]
    return {"name": name, "summary": summary, "payload": payload}


def _known(name: str) -> bool:
    """A topic may name a type before its class exists."""
    return name in EVENTS or name in REPORTS


def _contracts(*modules: ModuleType) -> Iterator[tuple[str, type[Message]]]:
    for module in modules:
        found: Mapping[str, Any] = vars(module)
        for name in sorted(found):
            value = found[name]
            if isinstance(value, type) and issubclass(value, Message) and value.__module__ == module.__name__:
                yield name, value


def _schema(contract: type[Message], mode: Literal["validation", "serialization"]) -> Document:
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **contract.model_json_schema(mode=mode)}


def _text(document: Document) -> str:
    return json.dumps(document, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write(folder: Path = GENERATED) -> None:
    """Write every file and remove those that are no longer generated."""
    wanted = {folder / path: text for path, text in files()}
    for old in set(folder.rglob("*.json")) - wanted.keys():
        old.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
