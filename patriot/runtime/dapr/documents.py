"""Dapr's YAML documents, read. Rule: what has not the shape that Dapr knows is told with its line, and left out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import yaml


@dataclass(frozen=True, slots=True)
class Finding:
    """One place that is wrong or unsafe."""

    path: Path
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Document:
    """One YAML document; `number` counts within its file, of `count`."""

    path: Path
    number: int
    count: int
    node: yaml.MappingNode
    value: Mapping[str, Any]

    @property
    def kind(self) -> str:
        return str(self.value.get("kind"))

    @property
    def name(self) -> str:
        return str(self.value["metadata"]["name"])

    def line(self, *keys: str | int) -> int:
        """Where the value under these keys stands, or the last of them that is there."""
        node: yaml.Node = self.node
        for key in keys:
            below = _below(node, key)
            if below is None:
                break
            node = below
        return int(node.start_mark.line) + 1


def read(*folders: Path) -> tuple[list[Document], list[Finding]]:
    """The documents of the folders' files, and what could not be read."""
    documents: list[Document] = []
    findings: list[Finding] = []
    for path in sorted(path for folder in folders for path in folder.glob("*.yaml")):
        try:
            nodes = [node for node in yaml.compose_all(path.read_text(encoding="utf-8")) if node is not None]
            found = [_read(path, number, len(nodes), node) for number, node in enumerate(nodes)]
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            reason = getattr(error, "problem", None) or error
            findings.append(Finding(path, mark.line + 1 if mark else 0, f"is no YAML: {reason}"))
            continue
        documents += [one for one in found if isinstance(one, Document)]
        findings += [one for one in found if isinstance(one, Finding)]
    return documents, findings


def _read(path: Path, number: int, count: int, node: yaml.Node) -> Document | Finding:
    value = yaml.SafeLoader("").construct_document(node)
    if not isinstance(node, yaml.MappingNode) or not isinstance(value, dict):
        return Finding(path, int(node.start_mark.line) + 1, "is no Kubernetes object")
    document = Document(path, number, count, node, value)
    try:
        msgspec.convert(value, SHAPES.get(document.kind, _Object))
    except msgspec.ValidationError as error:
        reason, _, place = str(error).partition(" - at ")
        return Finding(path, document.line(*_keys(place)), f"{place.strip('`$.') or document.kind}: {reason}")
    return document


def _keys(place: str) -> list[str | int]:
    """`$.spec.metadata[0]` -> spec, metadata, 0. Below a name that msgspec does not tell, it ends."""
    named = place.strip("`").partition("[...]")[0]
    return [int(index) if index else key for key, index in re.findall(r"\.(\w+)|\[(\d+)\]", named)]


def _below(node: yaml.Node, key: str | int) -> yaml.Node | None:
    if isinstance(key, int):
        return node.value[key] if isinstance(node, yaml.SequenceNode) else None
    if not isinstance(node, yaml.MappingNode):
        return None
    return next((value for name, value in node.value if name.value == key), None)


# --- shapes: what is looked at, no more ---
class _Named(msgspec.Struct):
    name: str


class _Object(msgspec.Struct):
    metadata: _Named


class _Reference(msgspec.Struct):
    name: str
    key: str = ""


class _Setting(msgspec.Struct):
    name: str
    value: str | int | float | bool | None = None
    envRef: str = ""  # noqa: N815 - Dapr's own names
    secretKeyRef: _Reference | None = None  # noqa: N815


class _ComponentSpec(msgspec.Struct):
    type: str
    version: str
    metadata: list[_Setting]


class _Component(_Object):
    spec: _ComponentSpec


class _SubscriptionSpec(msgspec.Struct):
    pubsubname: str
    topic: str
    deadLetterTopic: str = ""  # noqa: N815


class _Subscription(_Object):
    spec: _SubscriptionSpec


class _Retry(msgspec.Struct):
    maxRetries: int = -1  # noqa: N815


class _Policies(msgspec.Struct):
    retries: dict[str, _Retry] = {}


class _Way(msgspec.Struct):
    retry: str = ""


class _Target(msgspec.Struct):
    inbound: _Way | None = None


class _Targets(msgspec.Struct):
    apps: dict[str, dict[str, str]] = {}
    components: dict[str, _Target] = {}


class _ResiliencySpec(msgspec.Struct):
    policies: _Policies
    targets: _Targets


class _Resiliency(_Object):
    spec: _ResiliencySpec


SHAPES: Mapping[str, type[msgspec.Struct]] = {
    "Component": _Component,
    "Subscription": _Subscription,
    "Resiliency": _Resiliency,
}
