"""How generated files are written. Rule: the same input gives the same bytes, and each file says who wrote it."""

import re
from typing import Any

import yaml

NOTICE = "# Written by `make generate`; edit its source instead.\n"
_MARK = re.compile(r"""['"]?@@(.+?)@@['"]?""")


def to_yaml(document: Any) -> str:
    return NOTICE + lines(document)


def lines(document: Any) -> str:
    """A part of a file."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, width=120, allow_unicode=True)


def helm(expression: str) -> str:
    """A value that Helm fills in: unquoted, so that it may be a list or a number."""
    return f"@@{expression}@@"


def with_helm(text: str) -> str:
    return _MARK.sub(r"{{ \1 }}", text)


class _Dumper(yaml.SafeDumper):
    """Writes code as a block, and never an anchor."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002
        return True

    def represent_text(self, text: str) -> yaml.Node:
        return self.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _Dumper.represent_text)
