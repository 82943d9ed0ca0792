"""Every setting, with its default and meaning, read once from `PATRIOT_*` environment variables or `.env`.

What is marked `Live` an administrator may change while the platform runs (see `live_settings.py`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from uuid import UUID

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from patriot import __version__
from patriot.runtime.sharding import Shard
from patriot.store.replica import ReplicaPlace


@dataclass(frozen=True, slots=True)
class Live:
    """Marks a setting that may change while the platform runs; `by_part`: parts may differ in it.

    Only what has no meaning for money: that would have to bind in the commit, as limits do.
    """

    by_part: bool = False


class Settings(BaseSettings):
    """The defaults run the platform on one machine with nothing configured."""

    # an error that shows what it was given would show a password
    model_config = SettingsConfigDict(
        env_prefix="PATRIOT_", env_file=".env", extra="ignore", hide_input_in_errors=True, validate_assignment=True
    )

    data_dir: Path = Field(
        Path(".patriot"), description="where the embedded database, keys and the venue's journal lie"
    )
    database_url: str | None = Field(None, description="a PostgreSQL server of your own, as owner; empty = embedded")
    database_replica_url: str | None = Field(None, description="a streaming standby of it, which answers reports")
    replica_lag_seconds: float = Field(10, ge=3, description="reports may be this old; an older standby is left alone")
    pool_app: int = Field(8, ge=1, description="connections of this process to the database, for tenants' reads")
    pool_system: int = Field(4, ge=1, description="and for everything else; one more writes")
    processes: int = Field(1, ge=1, description="how many such processes share the database server")
    host: str = Field("127.0.0.1", description="address of the public edge")
    port: int = Field(8000, ge=0, le=65535, description="port of the public edge; 0 = any free one")
    venue_port: int = Field(8010, ge=0, le=65535, description="port of the built-in venue; 0 = any free one")
    shard: str = Field("0/1", description="number/of how many: which symbols or accounts are this process's")
    metrics_port: int = Field(0, ge=0, le=65535, description="port of the embedded platform's /metrics; 0 = none")
    venue_at: str = Field("", description="host:port of a built-in venue elsewhere; empty = it is here, on venue_port")
    venue_host: str = Field("127.0.0.1", description="address that the built-in venue listens on")
    market: Literal["synthetic", "live", "replay"] = Field("synthetic", description="where prices come from")
    market_told: bool = Field(True, description="market data is published; no: only the venue of this process has it")
    execution: Literal["wire", "in_process"] = Field("wire", description="how paper orders reach the built-in venue")
    seed: int = Field(1, description="seed of the synthetic market")
    demo: bool = Field(True, description="create the demo user, paper account and strategy")
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Live(by_part=True)] = "info"
    log_format: Literal["auto", "json", "console"] = Field("auto", description="auto: console on a terminal")
    otlp_endpoint: str = Field("", description="a collector for traces: http://host:4318; empty = none")
    trace_share: Annotated[float, Live()] = Field(1, ge=0, le=1, description="of the operations, how many are traced")
    body_bytes_max: int = Field(64 * 1024, description="a larger request body is refused with 413")
    call_timeout_seconds: float = Field(0.5, description="calls between parts")
    instruments: tuple[str, ...] = Field(
        ("BTC/USDT", "ETH/USDT", "BTC/USDT:USDT", "ETH/USDT:USDT"),
        description="market data from the start: ccxt symbols (at every venue that lists them) or instrument ids",
    )
    staleness_seconds: float = Field(60, description="market data older than this is stale")
    record_ticks: bool = Field(False, description="write every trade to the table `ticks`")
    binance_connections_max: int = Field(300, ge=1, description="sockets per address of Binance")
    bybit_connections_max: int = Field(200, ge=1, description="sockets per address of Bybit")
    outgoing_address: str = Field("", description="replicas of one address share what venues allow it")
    snapshot_seconds: float = Field(60, ge=0, description="every account's worth is written so often; 0 = never")
    metrics_seconds: float = Field(300, ge=0, description="every user's performance of the day, so often; 0 = never")
    withdrawal_approvals: int = Field(2, ge=1, description="persons who must agree before money leaves")
    risk_seconds: float = Field(5, ge=0, description="every account's risk is measured so often; 0 = never")
    kafka: str = Field("", description="brokers that market data goes to directly; empty = through the sidecar")
    default_leverage: int = Field(1, ge=1, le=1000, description="where none was chosen; 1 leaves the venue's own alone")
    orders_at_once: int = Field(32, ge=1, description="new orders worked on at once; others wait, cancels never do")
    replicas: int = Field(1, ge=1, description="processes of this part at most; each has its share of rates per second")
    outbox_age_seconds: float = Field(2, description="the relay takes outbox rows older than this")
    broker_queue_max: int = Field(50_000, description="messages in memory; beyond, they wait in the outbox")
    delivery_attempts_max: int = Field(8, description="then a message goes to the dead-letter queue")
    delivery_concurrency: int = Field(32, description="deliveries at once in the embedded runtime")
    tenant_id: UUID = Field(UUID(int=1), description="the tenant of users who register themselves")
    chart_version: str = Field("", description="of the chart that starts this process, told by it; empty = no chart")
    jwt_issuer: str = "patriot"
    jwt_audience: str = "patriot-api"

    def changed(self, values: Mapping[str, str]) -> "Settings":
        """These settings, but for some. Raises ValidationError."""
        copy = self.model_copy()
        for name, value in values.items():
            setattr(copy, name, value)
        return copy

    @property
    def reports_from(self) -> ReplicaPlace | None:
        """The standby that answers reports, where there is one."""
        url = self.database_replica_url
        return ReplicaPlace(url, self.replica_lag_seconds) if url else None

    @property
    def venue_address(self) -> str:
        """Where the built-in venue is reached."""
        return self.venue_at or f"127.0.0.1:{self.venue_port}"

    @field_validator("chart_version")
    @classmethod
    def _is_ours(cls, chart: str) -> str:
        """The chart wires parts, topics and rights: those of another version may lack what this code needs."""
        if chart not in {"", __version__}:
            raise ValueError(
                f"the chart is made for version {chart}, the image has version {__version__}: "
                f"install the chart of {__version__}, or leave image.tag and image.digest to the chart"
            )
        return chart

    @field_validator("shard")
    @classmethod
    def _is_shard(cls, text: str) -> str:
        return str(Shard.of(text))

    @field_validator("database_url", "database_replica_url")
    @classmethod
    def _is_an_address(cls, url: str | None) -> str | None:
        """Refused here, without a word of it: others would quote the part that they cannot read, perhaps a password."""
        if url and not _is_database_address(url):
            raise ValueError(
                "is no postgresql://user:password@host:port/database; what is special in a password is "
                "percent-encoded: %23 for #, %2F for /, %40 for @"
            )
        return url


LIVE: Mapping[str, Live] = {
    name: mark for name, field in Settings.model_fields.items() for mark in field.metadata if isinstance(mark, Live)
}
"""What may change while the platform runs."""


def _is_database_address(url: str) -> bool:
    try:
        parts, port = urlsplit(url), urlsplit(url).port
    except ValueError:
        return False
    return parts.scheme in {"postgresql", "postgres"} and not parts.fragment and port != 0
