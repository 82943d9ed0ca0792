"""Strict JSON Schemas for kubeconform: every kind of Kubernetes and of the CRDs, unknown fields refused."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml


def write(folder: Path, swagger: Path, crds: Iterable[Path]) -> None:
    definitions: dict[str, Any] = json.loads(swagger.read_text(encoding="utf-8"))["definitions"]
    for definition in definitions.values():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if "apiVersion" in definition.get("properties", {}):
                _write(folder, kind["kind"], kind["group"], kind["version"], _closed(definition, definitions))
    for path in crds:
        for crd in yaml.load_all(path.read_text(encoding="utf-8"), Loader=_Loader):
            if crd and crd["kind"] == "CustomResourceDefinition":
                for version in crd["spec"]["versions"]:
                    kind = crd["spec"]["names"]["kind"]
                    _write(folder, kind, crd["spec"]["group"], version["name"], _of_crd(version))


def _of_crd(version: Mapping[str, Any]) -> dict[str, Any]:
    schema: dict[str, Any] = _strict(version["schema"]["openAPIV3Schema"])
    text = {"type": "string"}
    schema["properties"] = {
        **schema.get("properties", {}),
        "apiVersion": text,
        "kind": text,
        "metadata": {"type": "object"},
    }
    return schema


def _closed(definition: Mapping[str, Any], definitions: Mapping[str, Any]) -> dict[str, Any]:
    """With all that it refers to."""
    needed: set[str] = set()
    _references(definition, definitions, needed)
    return {**_strict(definition), "definitions": {name: _strict(definitions[name]) for name in needed}}


def _references(schema: Any, definitions: Mapping[str, Any], needed: set[str]) -> None:
    if isinstance(schema, dict):
        target = schema.get("$ref", "")  # one definition has a field of that name
        name = target.rpartition("/")[2] if isinstance(target, str) else ""
        if name and name not in needed:
            needed.add(name)
            _references(definitions[name], definitions, needed)
        for inner in schema.values():
            _references(inner, definitions, needed)
    elif isinstance(schema, list):
        for inner in schema:
            _references(inner, definitions, needed)


def _strict(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_strict(inner) for inner in schema]
    if not isinstance(schema, dict):
        return schema
    strict = {name: _strict(inner) for name, inner in schema.items()}
    named = isinstance(strict.get("properties"), dict) and strict.get("type", "object") == "object"
    if named and "additionalProperties" not in strict and not strict.get("x-kubernetes-preserve-unknown-fields"):
        strict["additionalProperties"] = False
    if strict.get("x-kubernetes-int-or-string") or strict.get("format") == "int-or-string":
        strict = {name: inner for name, inner in strict.items() if name not in {"type", "format"}}
        strict["anyOf"] = [{"type": "integer"}, {"type": "string"}]
    return strict


def _write(folder: Path, kind: str, group: str, version: str, schema: Mapping[str, Any]) -> None:
    name = "-".join(word for word in (kind.lower(), group.partition(".")[0], version) if word)
    (folder / f"{name}.json").write_text(json.dumps(schema), encoding="utf-8")


class _Loader(yaml.CSafeLoader):
    """Reads a lone `=`, which a CRD has as a value, as text."""


_Loader.add_constructor("tag:yaml.org,2002:value", lambda loader, node: loader.construct_scalar(node))
