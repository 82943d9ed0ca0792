"""Writes every generated file. Rule: `make generate` is the only writer, and a test fails where a file differs.

python -m patriot.deploy        the chart's parts, Kong's configuration, dashboards, README; skaffold.yaml
"""

import json
from collections.abc import Iterator
from pathlib import Path

import yaml

from patriot.deploy import capacity, components, dashboards
from patriot.deploy.kong import kong
from patriot.deploy.nginx import nginx
from patriot.deploy.parts import documents
from patriot.deploy.readme import readme
from patriot.deploy.skaffold import skaffold
from patriot.deploy.text import to_yaml
from patriot.runtime import discovery

ROOT = Path(__file__).parents[2]
CHART = Path("charts/patriot")


def files() -> Iterator[tuple[Path, str]]:
    """(path below the checkout, text) of everything that is generated."""
    functions, feeds = discovery.functions(), discovery.feeds()
    parts = documents(functions, feeds)
    yield CHART / "files/parts.yaml", to_yaml(parts)
    yield CHART / "files/kong.yml", kong(functions, feeds)
    yield CHART / "files/nginx.conf", nginx(functions, feeds)
    for name, text in dashboards.files():
        yield CHART / "files/dashboards" / name, text
    for name, text in components.files(ROOT / "components"):
        yield CHART / "files/components" / name, text
    schema = json.loads((ROOT / CHART / "values.schema.json").read_text(encoding="utf-8"))
    values = yaml.safe_load((ROOT / CHART / "values.yaml").read_text(encoding="utf-8"))
    yield CHART / "README.md", readme(schema, values)
    yield Path("skaffold.yaml"), to_yaml(skaffold(parts))
    yield Path("docs/capacity.md"), capacity.document()


def write() -> None:
    wanted = {ROOT / path: text for path, text in files()}
    for folder in ("dashboards", "components"):
        for old in {path for path in (ROOT / CHART / "files" / folder).rglob("*.*") if path.is_file()} - wanted.keys():
            old.unlink()
    for path, text in wanted.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write()
