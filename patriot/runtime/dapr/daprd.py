"""Sidecars as processes on this machine. Rule: every port on loopback, chosen free, the same after a restart."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from patriot.runtime.dapr.processes import Program, find_tool
from patriot.runtime.dapr.sidecar import Address
from patriot.runtime.serving import free_port

BODY_BYTES_MAX = "16Mi"
HEADER_BYTES_MAX = "16Ki"

SAMPLED_ON_ITS_OWN = "0.000000001"
"""A sidecar follows the sampling of the trace that a call or an event belongs to; 0 would turn its spans off."""

CONFIGURATION = """\
apiVersion: dapr.io/v1alpha1
kind: Configuration
metadata: {{name: patriot}}
spec:
  nameResolution:
    component: sqlite
    version: v1
    configuration: {{connectionString: "{names}"}}
"""

TRACING = """\
  tracing:
    samplingRate: "{sampled}"
    otel: {{endpointAddress: "{collector}", isSecure: {secure}, protocol: http}}
"""


@dataclass(frozen=True, slots=True)
class Tokens:
    """`api`: what the sidecar wants from its app; `app`: what the app wants from its sidecar."""

    api: str
    app: str


@dataclass(frozen=True, slots=True)
class Beside:
    """One sidecar: whose, where its app listens (0 = no app), what it loads."""

    app_id: str
    app_port: int
    resources: Sequence[Path]
    configuration: Path
    tokens: Tokens
    environment: Mapping[str, str] = field(default_factory=dict)
    http_port: int = field(default_factory=free_port)
    grpc_port: int = field(default_factory=free_port)
    internal_port: int = field(default_factory=free_port)

    @property
    def address(self) -> Address:
        return Address(self.http_port, self.grpc_port, self.tokens.api)

    @property
    def told_to_app(self) -> Mapping[str, str]:
        """The environment by which Dapr tells an app where its sidecar is."""
        return {
            "DAPR_HTTP_PORT": str(self.http_port),
            "DAPR_GRPC_PORT": str(self.grpc_port),
            "DAPR_API_TOKEN": self.tokens.api,
            "APP_API_TOKEN": self.tokens.app,
        }

    def program(self) -> Program:
        """Raises ToolMissing."""
        name = f"{self.app_id}.sidecar"
        told = {"DAPR_API_TOKEN": self.tokens.api, "APP_API_TOKEN": self.tokens.app, "OTEL_SERVICE_NAME": name}
        return Program(name, self._command(), {**self.environment, **told}, ready=self._is_healthy)

    def _command(self) -> Sequence[str]:
        command = [find_tool("daprd", "build it with `make daprd`, or install Dapr"), "--app-id", self.app_id]
        if self.app_port:
            command += ["--app-port", str(self.app_port), "--app-channel-address", "127.0.0.1"]
        command += ["--dapr-http-port", str(self.http_port), "--dapr-grpc-port", str(self.grpc_port)]
        command += ["--dapr-internal-grpc-port", str(self.internal_port), "--enable-metrics=false"]
        command += ["--dapr-listen-addresses", "127.0.0.1", "--dapr-internal-grpc-listen-address", "127.0.0.1"]
        command += [
            "--config",
            str(self.configuration),
            "--max-body-size",
            BODY_BYTES_MAX,
            "--read-buffer-size",
            "16Ki",
            "--log-level",
            "warn",
        ]
        return [*command, *(part for folder in self.resources for part in ("--resources-path", str(folder)))]

    async def _is_healthy(self) -> bool:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.http_port}/v1.0/healthz/outbound") as answer,
            ):
                return answer.status < 300
        except aiohttp.ClientError:
            return False


def write_configuration(folder: Path, collector: str = "") -> Path:
    """The sidecars' common configuration: they find each other in a file, and send spans to the collector's URL."""
    text = CONFIGURATION.format(names=folder / "names.db")
    if collector:
        place = urlsplit(collector)
        secure = str(place.scheme == "https").lower()
        text += TRACING.format(sampled=SAMPLED_ON_ITS_OWN, collector=place.netloc, secure=secure)
    path = folder / "configuration.yaml"
    path.write_text(text)
    return path
