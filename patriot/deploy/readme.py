"""The chart's README: every value, its default and meaning. Rule: the words come from values.schema.json."""

import json
from collections.abc import Iterator
from typing import Any

Document = dict[str, Any]

HEAD = """\
# The chart

Installs the platform on any Kubernetes that has Knative Serving and Dapr: functions as Knative Services, feeds as
StatefulSets with leases, Kong in front, alerts, dashboards, migrations and backups. PostgreSQL and the brokers are
yours; `components` says where they are. How to run it all: [docs/operations.md](../../docs/operations.md).

    helm upgrade --install patriot charts/patriot --namespace patriot --values charts/patriot/values-production.yaml

`values.schema.json` refuses what is not in this table.

| value | default | meaning |
| --- | --- | --- |
"""


def readme(schema: Document, values: Document) -> str:
    return HEAD + "".join(f"| `{path}` | {default} | {meaning} |\n" for path, default, meaning in _rows(schema, values))


def _rows(schema: Document, values: Any, path: str = "") -> Iterator[tuple[str, str, str]]:
    for name, inner in schema.get("properties", {}).items():
        here = f"{path}.{name}" if path else name
        default = values.get(name) if isinstance(values, dict) else None
        if "properties" in inner:
            yield from _rows(inner, default, here)
        else:
            yield here, _shown(default), inner.get("description", "")


def _shown(value: Any) -> str:
    return f"`{json.dumps(value)}`" if value not in ("", None) else ""
