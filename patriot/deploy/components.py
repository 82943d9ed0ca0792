"""The chart's Dapr components: those of `components/`, with secrets where a machine has environment variables.

Rule: no part may read the Kubernetes API, so Dapr's operator resolves what is secret, and the parts' own secret store
is the one of a single machine.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from patriot.deploy.text import NOTICE

ENVIRONMENTS = ("local", "production")
SECRETS = "secrets.yaml"
_REFERENCE = re.compile(r"envRef: PATRIOT_(\w+)")


def files(source: Path) -> Iterator[tuple[str, str]]:
    """(path below the chart's `files/components`, text) of each."""
    for environment in ENVIRONMENTS:
        for path in sorted((source / environment).glob("*.yaml")):
            origin = source / ENVIRONMENTS[0] / SECRETS if path.name == SECRETS else path
            yield f"{environment}/{path.name}", NOTICE + _REFERENCE.sub(_secret, origin.read_text(encoding="utf-8"))


def _secret(reference: re.Match[str]) -> str:
    """`PATRIOT_KAFKA` is the key `kafka` of the secret of brokers; the database has a secret of its own."""
    secret, key = ("database", "url") if reference[1] == "DATABASE_URL" else ("brokers", reference[1].lower())
    return f"secretKeyRef: {{name: {{{{ .Values.secrets.{secret} }}}}, key: {key}}}"
